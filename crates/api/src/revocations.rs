//! Revokes permissions at WHOOP in the background: after a member has disconnected, and after
//! connecting a member failed or was not confirmed in time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whoop_sync::{Engine, SyncContext};

/// Interval between two searches for permissions that have to be revoked.
const INTERVAL: Duration = Duration::from_secs(60);

/// Revokes the permissions that are due, once a minute until the process stops.
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
            // The error is logged once per outage, and not every minute.
            tracing::warn!(
                error = error.error_chain(),
                "due permissions could not be revoked"
            );
        }
        failed_before = revoked.is_err();
    }
}
