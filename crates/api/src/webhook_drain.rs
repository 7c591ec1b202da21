//! Processes WHOOP's webhook events in the background.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use whoop_storage::StorageError;
use whoop_sync::{Engine, SyncContext, SyncError};

/// Time to wait for further events after one arrives, so that they are fetched together: WHOOP
/// sends one event for a sleep and one for its recovery.
const BATCH_DELAY: Duration = Duration::from_millis(250);

/// Interval between two checks for events that other replicas did not process, or that are due for
/// another attempt.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Processes events until a stop is requested.
pub(crate) async fn run_webhook_drain(
    engine: Engine,
    webhook_arrived: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut failed_before = false;
    while !stop.is_cancelled() {
        let context = SyncContext::webhook(stop.clone());
        let mut pause = None;
        match engine.inbox.drain_webhooks(&context, true).await {
            Ok(report) => {
                failed_before = false;
                pause = report.paused_for;
                if report.done + report.dead > 0 || pause.is_some() {
                    tracing::debug!(?report, "webhooks drained");
                }
            }
            Err(error) => {
                // Logged once per outage, not every few seconds.
                if !failed_before {
                    match &error {
                        // If all programs are started at the same time, the migration will follow
                        // in a moment.
                        SyncError::Storage(StorageError::NotMigrated(_)) => tracing::warn!(
                            error = error.error_chain(),
                            "the database is not ready; requests are answered with 503"
                        ),
                        SyncError::Storage(_) => tracing::error!(
                            error = error.error_chain(),
                            "the database cannot be used; requests are answered with 503 and WHOOP \
                             has to send its webhooks again"
                        ),
                        _ => tracing::warn!(
                            error = error.error_chain(),
                            "webhook events could not be processed; they remain stored"
                        ),
                    }
                }
                failed_before = true;
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
            () = webhook_arrived.notified() => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(BATCH_DELAY) => {}
                }
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
