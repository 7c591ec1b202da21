//! Revokes permissions at WHOOP in the background: of members who disconnected, of connects that
//! failed, and of connects that were not confirmed in time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whoop_sync::{Engine, SyncContext};

/// Interval between two checks for revocations that are due.
const INTERVAL: Duration = Duration::from_secs(60);

/// Revokes permissions that are due, until the process stops.
pub(crate) async fn run_revocations(engine: Engine, stop: CancellationToken) {
    let mut failed_before = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let context = SyncContext::scheduled(None, stop.clone());
        let revoked = engine.revocations.revoke_due(&context).await;
        if let Err(error) = &revoked
            && !failed_before
        {
            // Logged once per outage, not every minute.
            tracing::warn!(
                error = error.error_chain(),
                "due permissions could not be revoked"
            );
        }
        failed_before = revoked.is_err();
    }
}
