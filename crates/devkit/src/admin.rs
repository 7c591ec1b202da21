//! A runtime of our own for making and dropping databases.
//!
//! Each test has a runtime that ends with it, and a database is dropped from
//! `Drop`, where nothing can be awaited. This one outlives them all.

use std::sync::LazyLock;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Error, NoTls};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("whoop-devkit")
        .enable_all()
        .build()
        .expect("a process that may run tests may start a thread")
});

/// Runs a future on the lasting runtime, from any other.
pub(crate) async fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    match RUNTIME.spawn(future).await {
        Ok(output) => output,
        // Nothing cancels these tasks, so it panicked: so do we.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Leaves a future to the lasting runtime.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}

/// Runs a future on the lasting runtime and blocks until it is done.
pub(crate) fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    RUNTIME.spawn(async move {
        future.await;
        drop(done);
    });
    // The channel closes when the task ends, in whichever way.
    let _ = wait.recv();
}

/// Connects; the connection is driven by the runtime that this is called on.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with the client, and its errors reach the client's callers.
    tokio::spawn(connection);
    Ok(client)
}
