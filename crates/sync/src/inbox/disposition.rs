//! Disposition of a webhook event: the outcome of processing it, which is done, waiting, retry or
//! dead.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;
use whoop_storage::table::{record_denial::INDEPENDENT_AFTER, webhook_event::WebhookEventRow};

use crate::SyncError;

/// Maximum number of attempts to process an event, which take about half a day together. After the
/// last one, the event is a dead letter.
const MAX_ATTEMPTS: i32 = 16;

/// Pause before the second attempt to process an event. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Outcome of processing a webhook event. If several members have the same WHOOP account, the
/// greatest of their outcomes applies, in the order of these variants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disposition {
    Done,
    /// The event is a dead letter, which is not retried.
    Dead {
        reason: String,
    },
    /// The announced data type was not read yet. The event does not change.
    Waiting,
    /// The attempt failed. The event is due again after the given time.
    Retry {
        after: TimeDelta,
        reason: String,
    },
}

impl Disposition {
    /// Returns the disposition of an event after the read of the announced change has failed.
    pub(super) fn after_error(event: &WebhookEventRow, error: &SyncError) -> Self {
        let reason = error.error_chain();
        match error {
            // The member did not grant the data type. Its records cannot be read, so none is
            // missing.
            SyncError::NotGranted { .. } => Self::Done,
            _ if blocks_all_events(error) => Self::Waiting,
            _ if event.attempts + 1 >= MAX_ATTEMPTS => Self::Dead { reason },
            _ => Self::Retry {
                after: retry_pause(event.attempts),
                reason,
            },
        }
    }

    /// Returns the disposition of an event after WHOOP answered 404 for the announced record.
    ///
    /// WHOOP's lists and records can lag behind its webhooks. Therefore the record is requested
    /// again after one minute, then after ten minutes, then after one hour. The last 404 is at
    /// least an hour later than the first one. It therefore counts as independent of the first, and
    /// ends the event.
    pub(super) fn after_denial(event: &WebhookEventRow) -> Self {
        Self::Retry {
            after: match event.attempts {
                0 => TimeDelta::minutes(1),
                1 => TimeDelta::minutes(10),
                _ => INDEPENDENT_AFTER,
            },
            reason: "WHOOP returned 404 for a record that it announced".to_owned(),
        }
    }
}

/// Whether the error does not concern a single event, because it would stop all other events of the
/// member too.
pub(super) fn blocks_all_events(error: &SyncError) -> bool {
    error.ends_run()
        || matches!(
            error,
            SyncError::Stopped
                | SyncError::ReauthRequired
                | SyncError::NotConnected
                | SyncError::Busy
        )
}

/// Returns the pause after this number of failed attempts. It contains random jitter, because many
/// events may fail at the same time.
fn retry_pause(attempts: i32) -> TimeDelta {
    let attempts = usize::try_from(attempts).unwrap_or(0);
    let pause = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_max_times(attempts + 1)
        .with_jitter()
        .build()
        .nth(attempts)
        .unwrap_or(MAX_PAUSE);
    TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1))
}
