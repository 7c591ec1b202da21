//! A runtime for creating and dropping databases that lives as long as the process.
//!
//! The runtime of a test ends with the test, and a database is dropped in `Drop`, which cannot
//! await. This runtime outlives all tests.

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
        .expect("a process that runs tests can start a thread")
});

/// Runs a future on the process-wide runtime; callable from any other runtime.
pub(crate) async fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    match RUNTIME.spawn(future).await {
        Ok(output) => output,
        // These tasks are never cancelled, so the task panicked. The panic is passed on.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Starts a future on the process-wide runtime and does not wait for it.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}

/// Runs a future on the process-wide runtime and blocks until it is done.
pub(crate) fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    RUNTIME.spawn(async move {
        future.await;
        drop(done);
    });
    // The channel closes when the task ends, even if it panics.
    let _ = wait.recv();
}

/// Connects to a database. The calling runtime drives the connection.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // The task ends when the client is dropped; errors are returned by the client's methods.
    tokio::spawn(connection);
    Ok(client)
}
