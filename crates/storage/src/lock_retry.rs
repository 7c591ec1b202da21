//! Waits for table locks without blocking the readers of the table.
//!
//! A statement that changes a table or creates a policy waits until every open transaction that has
//! read the table ends, such as a backup or an export. Meanwhile, every later statement on that
//! table waits behind it. Therefore each attempt waits only for a short time, and is repeated after
//! a pause.

use std::time::Duration;

/// Limits the wait for a lock to 2 seconds, for the rest of the transaction. No statement of the
/// API waits longer than this behind a migration.
pub(crate) const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Maximum number of attempts. Together they take about five minutes, of which at most one minute
/// is spent waiting for a lock.
const MAX_ATTEMPTS: u32 = 30;

/// Number of attempts of one step that needs table locks.
#[derive(Debug, Default)]
pub(crate) struct LockRetry {
    attempts: u32,
}

impl LockRetry {
    /// Returns the pause before the next attempt, or `None` after the last one.
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
