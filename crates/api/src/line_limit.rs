//! Limit on log lines that callers can cause in any number.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Maximum number of lines of one kind per second, and in one burst.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("one is not zero");
const LINES_AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("sixty is not zero");

/// Limit on the log lines of one kind, with a count of the suppressed ones.
pub(crate) struct LineLimit {
    limiter: DefaultDirectRateLimiter,
    suppressed: AtomicU64,
}

impl LineLimit {
    pub(crate) fn new() -> Self {
        let quota = Quota::per_second(LINES_PER_SECOND).allow_burst(LINES_AT_ONCE);
        Self {
            limiter: RateLimiter::direct(quota),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Returns the number of lines that were suppressed before this one, or `None` if this line has
    /// to be suppressed.
    pub(crate) fn admit(&self) -> Option<u64> {
        if self.limiter.check().is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let limit = LineLimit::new();

        let admitted = (0..1000).filter(|_| limit.admit().is_some()).count();

        // The limit allows one more line for each second that the loop takes on a busy machine.
        assert!((60..70).contains(&admitted), "{admitted}");
        let suppressed = limit.suppressed.load(Ordering::Relaxed);
        assert!((930..=940).contains(&suppressed), "{suppressed}");
    }
}
