//! The disposition of an event: done, waiting, retry or dead.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;
use whoop_storage::table::{record_denial::INDEPENDENT_AFTER, webhook_event::WebhookEventRow};

use crate::SyncError;

/// Maximum number of attempts, which take about half a day; then the event is dead.
const MAX_ATTEMPTS: i32 = 16;

/// Pause before the second attempt; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The outcome of processing an event. If two members have the same WHOOP account, the greater
/// outcome counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disposition {
    Done,
    /// The event is a dead letter.
    Dead {
        reason: String,
    },
    /// The data type was not read yet; the event does not change.
    Waiting,
    /// The attempt failed; the event is due again later.
    Retry {
        after: TimeDelta,
        reason: String,
    },
}

impl Disposition {
    /// Returns the disposition after the read that should have answered the event failed.
    pub(super) fn after_error(event: &WebhookEventRow, error: &SyncError) -> Self {
        let reason = error.error_chain();
        match error {
            // The data type cannot be read, so no record is missing.
            SyncError::NotGranted { .. } => Self::Done,
            _ if blocks_all_events(error) => Self::Waiting,
            _ if event.attempts + 1 >= MAX_ATTEMPTS => Self::Dead { reason },
            _ => Self::Retry {
                after: retry_pause(event.attempts),
                reason,
            },
        }
    }

    /// Returns the disposition after a 404 for a record that WHOOP announced. WHOOP's lists and
    /// records can be behind its webhooks, so the record is requested again after a minute, ten
    /// minutes and an hour; the last 404 is independent of the first, and ends the event.
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

/// Whether the error does not concern this event: it would stop every other event of the member
/// too.
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

/// Returns the pause after this number of failed attempts, with jitter, because many events may
/// fail together.
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
