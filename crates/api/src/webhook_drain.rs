//! Works off WHOOP's webhooks in the background.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use whoop_storage::StorageError;
use whoop_sync::{Engine, SyncContext, SyncError};

/// What comes in so soon after another is fetched together with it: WHOOP sends
/// one event for the sleep and one for its recovery.
const BATCH_DELAY: Duration = Duration::from_millis(250);

/// How often it is looked for what other replicas left, or what is to be tried
/// again.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Until an end is asked for.
pub(crate) async fn run_webhook_drain(engine: Engine, came: Arc<Notify>, stop: CancellationToken) {
    let mut was_away = false;
    while !stop.is_cancelled() {
        let job = SyncContext::webhook(stop.clone());
        let mut pause = None;
        match engine.drain_webhooks(&job, true).await {
            Ok(report) => {
                was_away = false;
                pause = report.paused_for;
                if report.done + report.dead > 0 || pause.is_some() {
                    tracing::debug!(?report, "webhooks drained");
                }
            }
            Err(error) => {
                // Once, and not every few seconds of an outage.
                if !was_away {
                    match &error {
                        // Whoever starts everything at once migrates in the next moment.
                        SyncError::Storage(StorageError::NotMigrated(_)) => tracing::warn!(
                            error = error.error_chain(),
                            "the database is not ready; until it is, requests are answered with 503"
                        ),
                        SyncError::Storage(_) => tracing::error!(
                            error = error.error_chain(),
                            "the database cannot be used; until it can, requests are answered \
                             with 503 and WHOOP has to send its webhooks again"
                        ),
                        _ => tracing::warn!(
                            error = error.error_chain(),
                            "webhooks wait; what came in is stored"
                        ),
                    }
                }
                was_away = true;
            }
        }
        if let Some(pause) = pause {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.max(BATCH_DELAY)) => continue,
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = came.notified() => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(BATCH_DELAY) => {}
                }
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
