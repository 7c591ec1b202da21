//! A runtime, for creating and dropping databases, that runs as long as the process.
//!
//! A test's own runtime ends with the test. A database is dropped in `Drop`, which cannot await, so
//! the drop needs a runtime that runs longer than every test.

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

/// Runs a future on the process-wide runtime and returns its output. The caller may be on any other
/// runtime.
pub(crate) async fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    match RUNTIME.spawn(future).await {
        Ok(output) => output,
        // The tasks of this runtime are never cancelled, so an error means that the task panicked.
        // The caller then panics too.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Starts a future on the process-wide runtime and does not wait for it.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}

/// Runs a future on the process-wide runtime and blocks the calling thread until the future ends.
pub(crate) fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    RUNTIME.spawn(async move {
        future.await;
        drop(done);
    });
    // The channel closes when the task ends, even if the task panics.
    let _ = wait.recv();
}

/// Connects to a database. The connection runs as a task on the caller's runtime.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // The task ends when the client is dropped. Its errors are ignored here, because the client's
    // methods return them too.
    tokio::spawn(connection);
    Ok(client)
}
