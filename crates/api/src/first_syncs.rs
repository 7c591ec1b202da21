//! Resumes the first syncs that a stopped process did not finish.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whoop_sync::{Engine, SyncContext};

/// Pause before the next attempt if PostgreSQL is unavailable.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// Runs once when the process starts.
pub(crate) async fn resume(engine: Engine, stop: CancellationToken) {
    let context = SyncContext::scheduled(None, stop.clone());
    while let Err(error) = engine.first_syncs.resume_first_syncs(&context).await {
        tracing::debug!(
            error = error.error_chain(),
            "members with a pending first sync could not be listed"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}
