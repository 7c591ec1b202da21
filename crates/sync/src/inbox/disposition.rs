//! The disposition of an event: done, waiting, tried again, or given up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;
use whoop_storage::table::{record_denial::INDEPENDENT_AFTER, webhook_event::WebhookEventRow};

use crate::SyncError;

/// An event that failed this many times is given up, after about half a day.
const MAX_ATTEMPTS: i32 = 16;

/// Pause before the second attempt; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The outcome of processing an event. Of two members with one WHOOP account, the greater counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disposition {
    Done,
    /// A dead letter.
    Dead {
        reason: String,
    },
    /// Its data type was not read yet; nothing of the event changes.
    Waiting,
    /// It failed, and is due again later.
    Retry {
        after: TimeDelta,
        reason: String,
    },
}

impl Disposition {
    /// After an error of the read that should have answered the event.
    pub(super) fn after_error(event: &WebhookEventRow, error: &SyncError) -> Self {
        let reason = error.error_chain();
        match error {
            // Nothing of it can be read, and nothing is missing.
            SyncError::NotGranted { .. } => Self::Done,
            _ if blocks_all_events(error) => Self::Waiting,
            _ if event.attempts + 1 >= MAX_ATTEMPTS => Self::Dead { reason },
            _ => Self::Retry {
                after: retry_pause(event.attempts),
                reason,
            },
        }
    }

    /// After a 404 for a record that WHOOP announced. WHOOP's lists and records can be behind its
    /// webhooks, so it is asked for again after a minute, ten minutes and an hour; the last 404 is
    /// independent of the first, and ends the event.
    pub(super) fn after_denial(event: &WebhookEventRow) -> Self {
        Self::Retry {
            after: match event.attempts {
                0 => TimeDelta::minutes(1),
                1 => TimeDelta::minutes(10),
                _ => INDEPENDENT_AFTER,
            },
            reason: "WHOOP answered 404 for a record that it announced".to_owned(),
        }
    }
}

/// Whether the error is not the event's: it would stop every other event of the member too.
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

/// The pause after this many failed attempts, with jitter, because many events may fail together.
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
