//! Processes the events in the webhook inbox in the background.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use whoop_storage::StorageError;
use whoop_sync::{Engine, SyncContext, SyncError};

/// Time to wait for further events after one has arrived, so that several events are processed
/// together.
///
/// WHOOP sends one event for a sleep, and another one for the recovery of this sleep.
const BATCH_DELAY: Duration = Duration::from_millis(250);

/// Interval between two searches for events that another process has received but not processed,
/// and for events that are due for another attempt.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Processes the events in the webhook inbox until a stop is requested.
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
                // The error is logged once per outage, and not every few seconds.
                if !failed_before {
                    match &error {
                        // This is only a warning: if all programs are started at the same time, the
                        // database will be migrated in a moment.
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
