//! WHOOP's webhooks: taken in, and worked off.
//!
//! An event is a hint. It is stored before it is answered, and worked off by
//! fetching what it speaks of as it is by then, so that its order, a duplicate
//! or a delay changes nothing in the end.

mod drain;
mod fetch;
mod verdict;

use whoop_client::{Envelope, WebhookRefused};
use whoop_core::DataType;
use whoop_storage::{
    StorageError,
    table::webhook_event::{self, NewEvent, State},
};

pub use drain::{Drained, Thrift};

use crate::Engine;

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error(transparent)]
    Refused(#[from] WebhookRefused),
    /// WHOOP is to send it again.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Engine {
    /// Takes a webhook in: proves that it is WHOOP's, and stores it. Returns whether
    /// it is new.
    ///
    /// # Errors
    ///
    /// It is not WHOOP's, or it could not be stored.
    pub async fn take_webhook(&self, envelope: Envelope<'_>) -> Result<bool, NotTaken> {
        let now = self.clock.now();
        let within = self.settings.signed_within;
        let event = self.whoop.open_webhook(envelope, within, now)?;
        let state = if is_known(&event.event_type) {
            State::Pending
        } else {
            State::UnknownType
        };
        let mut conn = self.database.get().await?;
        let stored = NewEvent {
            trace_id: &event.trace_id,
            event_type: &event.event_type,
            record_id: &event.record_id,
            whoop_user_id: event.whoop_user_id,
            signed_at: event.signed_at,
            state,
        };
        let is_new = webhook_event::insert(&mut conn, &stored, now).await?;
        tracing::debug!(
            event_type = event.event_type,
            record = event.record_id,
            trace = event.trace_id,
            is_new,
            "a webhook came in"
        );
        Ok(is_new)
    }
}

/// Whether there is something to fetch.
fn is_known(event_type: &str) -> bool {
    event_type
        .split_once('.')
        .is_some_and(|(data_type, change)| {
            data_type.parse::<DataType>().is_ok() && matches!(change, "updated" | "deleted")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoops_six_types_are_known_and_a_seventh_is_not() {
        for data_type in ["recovery", "sleep", "workout"] {
            for change in ["updated", "deleted"] {
                assert!(is_known(&format!("{data_type}.{change}")));
            }
        }
        for other in [
            "sleep",
            "sleep.",
            "sleep.created",
            "body.updated",
            "sleep.updated.x",
            ".",
        ] {
            assert!(!is_known(other), "{other}");
        }
    }
}
