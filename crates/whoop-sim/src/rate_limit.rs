//! WHOOP's quota: the limits of calls per minute and per day, for all members together.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// The quota with two rolling windows: a minute and a day. This is the strictest interpretation of
/// WHOOP's documentation.
#[derive(Debug)]
pub(crate) struct RollingRateLimiter {
    minute: RollingWindow,
    day: RollingWindow,
}

/// Decision on one call, with the values of the three `X-RateLimit-*` headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateLimitDecision {
    pub(crate) allowed: bool,
    pub(crate) limit: String,
    pub(crate) remaining: u32,
    pub(crate) reset_seconds: i64,
}

/// The limit of one window (minute or day), and the number of calls in this window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowUsage {
    pub(crate) limit: u32,
    pub(crate) used: usize,
}

#[derive(Debug)]
struct RollingWindow {
    limit: u32,
    length: TimeDelta,
    calls: VecDeque<DateTime<Utc>>,
}

impl RollingRateLimiter {
    pub(crate) fn new(calls_per_minute: u32, calls_per_day: u32) -> Self {
        Self {
            minute: RollingWindow::new(calls_per_minute, TimeDelta::minutes(1)),
            day: RollingWindow::new(calls_per_day, TimeDelta::days(1)),
        }
    }

    /// Counts a call if the quota allows it, and returns the decision.
    ///
    /// A refused call is not counted. Otherwise a client that retries all the time would be refused
    /// forever.
    pub(crate) fn take(&mut self, now: DateTime<Utc>) -> RateLimitDecision {
        self.minute.drop_expired(now);
        self.day.drop_expired(now);
        let allowed = self.minute.remaining() > 0 && self.day.remaining() > 0;
        if allowed {
            self.minute.calls.push_back(now);
            self.day.calls.push_back(now);
        }
        // The headers describe only one window. If both windows are used up, this is the one with
        // the longer wait.
        let nearest = if self.day.remaining() < self.minute.remaining()
            || (self.day.remaining() == 0
                && self.day.reset_seconds(now) > self.minute.reset_seconds(now))
        {
            &self.day
        } else {
            &self.minute
        };
        RateLimitDecision {
            allowed,
            limit: format!(
                "{}, {};window=60, {};window=86400",
                nearest.limit, self.minute.limit, self.day.limit
            ),
            remaining: nearest.remaining(),
            reset_seconds: nearest.reset_seconds(now),
        }
    }

    /// Returns the usage of the minute window and the day window without counting a call.
    pub(crate) fn usage(&self, now: DateTime<Utc>) -> (WindowUsage, WindowUsage) {
        (self.minute.usage(now), self.day.usage(now))
    }

    /// Removes the calls after `now` from both windows. This is needed if the clock is set back.
    pub(crate) fn drop_after(&mut self, now: DateTime<Utc>) {
        self.minute.calls.retain(|at| *at <= now);
        self.day.calls.retain(|at| *at <= now);
    }
}

impl RollingWindow {
    fn new(limit: u32, length: TimeDelta) -> Self {
        Self {
            limit,
            length,
            calls: VecDeque::new(),
        }
    }

    fn drop_expired(&mut self, now: DateTime<Utc>) {
        while self
            .calls
            .front()
            .is_some_and(|first| now - *first >= self.length)
        {
            self.calls.pop_front();
        }
    }

    fn usage(&self, now: DateTime<Utc>) -> WindowUsage {
        let is_counted = |at: &&DateTime<Utc>| now - **at < self.length;
        WindowUsage {
            limit: self.limit,
            used: self.calls.iter().filter(is_counted).count(),
        }
    }

    fn remaining(&self) -> u32 {
        let used = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(used)
    }

    /// Returns the seconds until the oldest call is no longer in the window, at least one second.
    fn reset_seconds(&self, now: DateTime<Utc>) -> i64 {
        let remaining_time = match self.calls.front() {
            Some(first) => self.length - (now - *first),
            None => self.length,
        };
        // The seconds are rounded up, because a client that waits exactly this time must not be
        // refused.
        let seconds = (remaining_time.num_milliseconds() + 999) / 1_000;
        seconds.clamp(1, self.length.num_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_headers_of_the_first_call_are_as_documented() {
        let quota = RollingRateLimiter::new(100, 10_000).take(at(0));

        assert!(quota.allowed);
        assert_eq!(quota.limit, "100, 100;window=60, 10000;window=86400");
        assert_eq!(quota.remaining, 99);
        assert_eq!(quota.reset_seconds, 60);
    }

    #[test]
    fn a_call_over_the_limit_is_refused_until_the_oldest_call_is_a_minute_old() {
        let mut limiter = RollingRateLimiter::new(3, 100);
        for second in 0..3 {
            assert!(limiter.take(at(second)).allowed);
        }

        let refused = limiter.take(at(30));
        assert!(!refused.allowed);
        assert_eq!((refused.remaining, refused.reset_seconds), (0, 30));

        assert!(!limiter.take(at(59)).allowed);
        assert!(limiter.take(at(60)).allowed);
        assert!(!limiter.take(at(60)).allowed);
    }

    #[test]
    fn the_headers_describe_the_day_window_if_it_has_fewer_remaining_calls() {
        let mut limiter = RollingRateLimiter::new(3, 4);
        for minute in 0..4 {
            assert!(limiter.take(at(minute * 60)).allowed);
        }

        let refused = limiter.take(at(4 * 60));
        assert_eq!(refused.limit, "4, 3;window=60, 4;window=86400");
        assert_eq!(refused.reset_seconds, 86_400 - 240);
        assert!(!refused.allowed);
    }

    #[test]
    fn refused_calls_do_not_prolong_the_wait() {
        let mut limiter = RollingRateLimiter::new(1, 100);
        limiter.take(at(0));
        for second in 1..60 {
            assert!(!limiter.take(at(second)).allowed);
        }
        assert!(limiter.take(at(60)).allowed);
    }
}
