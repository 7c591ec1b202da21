use std::{future::Future, time::Duration};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer than a call or a refresh in hand may take once an end is asked for,
/// and short enough to end within the ten seconds that are usual.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Work that goes on although its caller may be gone.
///
/// It runs beside the server and not on one of its workers, which end with the
/// last request: a refresh that is cut off between WHOOP's answer and our
/// commit costs the member's connection.
#[derive(Debug, Clone)]
pub(crate) struct BackgroundTasks {
    runtime: Handle,
    tasks: TaskTracker,
    stop_token: CancellationToken,
}

impl BackgroundTasks {
    /// On the runtime it is called from.
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

    /// Asks work that can to end after the page in hand.
    pub(crate) fn stop(&self) {
        self.stop_token.cancel();
    }

    /// Turns true once an end is asked for.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop_token.clone()
    }

    /// Waits for what is under way.
    pub(crate) async fn shut_down(&self) {
        self.stop();
        self.tasks.close();
        if let Err(Elapsed { .. }) = timeout(STOP_TIMEOUT, self.tasks.wait()).await {
            tracing::warn!(left = self.tasks.len(), "ending in the middle of a sync");
        }
    }
}
