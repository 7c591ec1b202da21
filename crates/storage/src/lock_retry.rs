//! Waits for table locks without blocking the readers of the table for long.
//!
//! A statement that changes a table or creates a policy waits until every open transaction that has
//! read the table ends, such as a backup or an export. Meanwhile, every later statement on that
//! table waits behind the waiting statement. Therefore each attempt to get the lock waits only for
//! a short time, and is repeated after a pause.

use std::time::Duration;

/// SQL statement that limits each wait for a lock to 2 seconds, for the rest of the transaction.
///
/// A migration that waits for a lock therefore delays the statements of the API by at most 2
/// seconds at a time.
pub(crate) const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Maximum number of attempts to get the table locks of one step.
///
/// All attempts together take about five minutes. At most one minute of this time is spent waiting
/// for a lock; the rest is pauses.
const MAX_ATTEMPTS: u32 = 30;

/// Counts the attempts of one step that needs table locks.
#[derive(Debug, Default)]
pub(crate) struct LockRetry {
    attempts: u32,
}

impl LockRetry {
    /// Counts a failed attempt. Returns the pause before the next attempt, or `None` after the last
    /// one.
    pub(crate) fn next_pause(&mut self) -> Option<Duration> {
        self.attempts += 1;
        if self.attempts >= MAX_ATTEMPTS {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.attempts - 1).min(16));
        Some(doubled.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_add_up_to_three_to_five_minutes() {
        let mut retry = LockRetry::default();
        let mut total = Duration::ZERO;
        while let Some(pause) = retry.next_pause() {
            assert!(pause <= LONGEST_PAUSE);
            total += pause;
        }
        let minutes = total.as_secs() / 60;
        assert!((3..=5).contains(&minutes), "{total:?}");
    }
}
