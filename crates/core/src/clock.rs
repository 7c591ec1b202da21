use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Source of the current time.
///
/// Every component gets its clock from its caller, so that a test can set any time, for example one
/// minute before a change to daylight saving time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the current time, truncated to microseconds.
    ///
    /// PostgreSQL stores times with a precision of microseconds. The truncation ensures that a time
    /// is unchanged after it was stored and read back.
    fn now(&self) -> DateTime<Utc>;
}

/// Clock that returns the time of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this function reads the system clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        now.duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(now)
    }
}

/// Clock for tests and simulations. Its time changes only when the caller sets or advances it.
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<Mutex<DateTime<Utc>>>);

impl FixedClock {
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Sets the time of this clock and of all its clones, because clones share one time.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    pub fn advance(&self, by: TimeDelta) {
        self.set(self.now() + by);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
