//! Rate limit for log lines that callers can cause in any number.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Maximum number of log lines of one kind per second, on average.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("one is not zero");
/// Maximum number of log lines of one kind in one burst.
const LINES_AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("sixty is not zero");

/// Rate limit for the log lines of one kind, with a count of the lines that it suppresses.
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

    /// Decides whether the next log line may be written.
    ///
    /// Returns `None` if the line has to be suppressed. Otherwise returns the number of lines that
    /// were suppressed since the last line that was written.
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
