use std::{future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum time to wait for background tasks at the stop. It is longer than a call to WHOOP or a
/// token refresh in progress may take, and shorter than the usual limit of ten seconds for the end
/// of a process.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Tasks that continue although their caller may be gone.
///
/// They run on the process's runtime and not on the runtimes of the server's workers, which end
/// with the last request. A token refresh that is interrupted between WHOOP's response and the
/// commit would lose the member's connection.
#[derive(Debug, Clone)]
pub(crate) struct BackgroundTasks {
    runtime: Handle,
    tasks: TaskTracker,
    stop_token: CancellationToken,
}

impl BackgroundTasks {
    /// Spawns tasks on the current runtime.
    pub(crate) fn new() -> Self {
        Self {
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop_token: CancellationToken::new(),
        }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_on(work, &self.runtime)
    }

    /// Requests a stop. Tasks that support it end after the page that they are reading.
    pub(crate) fn stop(&self) {
        self.stop_token.cancel();
    }

    /// Returns the token that is cancelled when a stop is requested.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop_token.clone()
    }

    /// Requests a stop and waits for the running tasks.
    pub(crate) async fn shut_down(&self) {
        self.stop();
        self.tasks.close();
        if let Err(Elapsed { .. }) = timeout(STOP_TIMEOUT, self.tasks.wait()).await {
            tracing::warn!(
                left = self.tasks.len(),
                "stopped before all background tasks ended"
            );
        }
    }
}
