//! Detects webhooks that did not arrive while the receiver was unavailable.

use crate::RecordReader;
use chrono::{DateTime, Utc};
use whoop_core::{
    DataType,
    plan::webhook_signals::{
        SILENCE_TRUSTED_FOR, WHOOP_CLOCK_SKEW, doubted_before, is_unannounced,
    },
};
use whoop_storage::{
    StorageError,
    table::{sync_log::SyncLogRow, webhook_event, webhook_signal},
};

impl RecordReader {
    /// Opens the webhook signals of all members if webhooks were missed, so that the data types are
    /// read once more.
    ///
    /// Webhooks were missed if a list contained a change that WHOOP did not announce, and no
    /// webhook of any member arrived soon after the change. `change` is the time of the latest
    /// change in the list. `before` is the row of the sync log before the read.
    pub(crate) async fn detect_missed_webhooks(
        &self,
        data_type: DataType,
        change: Option<DateTime<Utc>>,
        before: &SyncLogRow,
    ) -> Result<(), StorageError> {
        let now = self.clock.now();
        let unannounced = change
            .filter(|change| is_unannounced(*change, before.last_sync_at, before.signal_at, now));
        let Some(change) = unannounced else {
            return Ok(());
        };
        let mut conn = self.database.get().await?;
        let next_webhook = webhook_event::first_since(&mut conn, change - WHOOP_CLOCK_SKEW).await?;
        if let Some(read_before) = doubted_before(change, next_webhook, now) {
            let signals =
                webhook_signal::open_read_before(&mut conn, read_before, now - SILENCE_TRUSTED_FOR)
                    .await?;
            tracing::warn!(
                %data_type, %change, %read_before, signals,
                "webhooks were missed; data types last read before read_before will be read again"
            );
        }
        Ok(())
    }
}
