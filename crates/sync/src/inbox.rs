//! Receives WHOOP's webhooks, and reads the changes that they announce.
//!
//! A webhook event announces that a data type of a member changed. The event is stored before WHOOP
//! gets an answer. The same transaction opens the webhook signal of the data type (the mark that an
//! announced change was not read yet) for every member with the WHOOP account. Any later read of
//! the data type's list up to the present closes the signal. Therefore the order, duplicates and
//! delays of events do not matter.

mod disposition;
mod drain;
mod event_fetcher;
mod member_events;
mod missed_webhooks;

use crate::{EngineSettings, MemberLeases, MemberSync, Quota, RecordReader};
use std::sync::Arc;
use whoop_client::{WebhookEnvelope, WebhookError};
use whoop_core::Clock;
use whoop_core::DataType;
use whoop_storage::Database;
use whoop_storage::{
    StorageError,
    table::{
        webhook_event::{self, NewWebhookEvent, WebhookEventState},
        webhook_signal,
    },
};

pub use drain::DrainReport;

/// Reason for which a webhook was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookReceiveError {
    #[error(transparent)]
    Refused(#[from] WebhookError),
    /// The webhook could not be stored. WHOOP should send it again.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Receives WHOOP's webhooks, and syncs the members whose changes they announce.
#[derive(Debug, Clone)]
pub struct WebhookInbox {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: EngineSettings,
    pub(crate) quota: Arc<Quota>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) reader: Arc<RecordReader>,
    pub(crate) members: Arc<MemberSync>,
}

impl WebhookInbox {
    /// Verifies that WHOOP sent a webhook, and stores its event. Returns whether the event is new.
    ///
    /// A new event of a known type also opens the webhook signal of its data type.
    ///
    /// # Errors
    ///
    /// The webhook was not signed by WHOOP, is too old or malformed, or could not be stored.
    pub async fn receive_webhook(
        &self,
        envelope: WebhookEnvelope<'_>,
    ) -> Result<bool, WebhookReceiveError> {
        let now = self.clock.now();
        let within = self.settings.signed_within;
        let event = self.quota.whoop.verify_webhook(envelope, within, now)?;
        let data_type = announced_data_type(&event.event_type);
        let mut transaction = self.database.begin().await?;
        let stored = NewWebhookEvent {
            trace_id: &event.trace_id,
            event_type: &event.event_type,
            record_id: &event.record_id,
            whoop_user_id: event.whoop_user_id,
            signed_at: event.signed_at,
            state: match data_type {
                Some(_) => WebhookEventState::Pending,
                None => WebhookEventState::UnknownType,
            },
        };
        let is_new = webhook_event::insert(&mut transaction, &stored, now).await?;
        if let Some(data_type) = data_type.filter(|_| is_new) {
            webhook_signal::open(&mut transaction, event.whoop_user_id, data_type, now).await?;
        }
        transaction.commit().await?;
        tracing::debug!(
            event_type = event.event_type,
            record = event.record_id,
            trace = event.trace_id,
            is_new,
            "webhook received"
        );
        Ok(is_new)
    }
}

/// Returns the data type that an event announces; `None` if the event's type is unknown.
fn announced_data_type(event_type: &str) -> Option<DataType> {
    let (data_type, change) = event_type.split_once('.')?;
    let data_type = data_type.parse().ok()?;
    matches!(change, "updated" | "deleted").then_some(data_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_six_event_types_of_whoop_announce_a_data_type() {
        for data_type in ["recovery", "sleep", "workout"] {
            for change in ["updated", "deleted"] {
                assert!(announced_data_type(&format!("{data_type}.{change}")).is_some());
            }
        }
        for unknown in [
            "sleep",
            "sleep.",
            "sleep.created",
            "body.updated",
            "sleep.updated.x",
            ".",
        ] {
            assert_eq!(announced_data_type(unknown), None, "{unknown}");
        }
    }
}
