//! Resumes the first syncs of members that did not end, because their process was stopped.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whoop_sync::{Engine, SyncContext};

/// Pause before the next attempt to resume the first syncs, if PostgreSQL is unavailable.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// Resumes the first syncs that did not end. If PostgreSQL is unavailable, tries again until it is
/// available or the process stops.
///
/// The API calls this once, when it starts.
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
