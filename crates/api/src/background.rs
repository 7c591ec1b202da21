use std::{future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum time to wait for background tasks when the process stops: 8 seconds.
///
/// A call to WHOOP or a token refresh in progress takes less time. Ten seconds after the stop was
/// requested, a process manager usually kills the process.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Tasks that continue even if the request that started them has ended.
///
/// The tasks run on the runtime of the process, because the runtimes of the server's workers end
/// with the last request. If a token refresh were interrupted between WHOOP's response and the
/// commit of the new token pair, the member would lose the connection to WHOOP.
#[derive(Debug, Clone)]
pub(crate) struct BackgroundTasks {
    runtime: Handle,
    tasks: TaskTracker,
    stop_token: CancellationToken,
}

impl BackgroundTasks {
    /// Returns an empty set of tasks, which will run on the current Tokio runtime.
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

    /// Requests that all tasks stop, without waiting for them.
    ///
    /// Tasks that use the stop token end early: a sync ends after the page of WHOOP's list that it
    /// is reading. Other tasks run to their end.
    pub(crate) fn stop(&self) {
        self.stop_token.cancel();
    }

    /// Returns the token that is cancelled when a stop is requested.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop_token.clone()
    }

    /// Requests that all tasks stop, and waits until the running tasks have ended, for at most
    /// [`STOP_TIMEOUT`].
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
