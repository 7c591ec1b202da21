use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Limits for the waits and retries of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum time for which the call waits for permits and for the reset of WHOOP's limit.
    pub max_wait: Duration,
    /// Maximum number of retries after a failed connection or a 5xx.
    pub retries: usize,
    /// Maximum duration of the call including retries, without the wait for permits.
    pub call_timeout: Duration,
}

impl RetryPolicy {
    /// Policy of app requests, for which a member waits. While a run uses the quota, a permit
    /// becomes free every 0.6 s, so that three members who open the app at the same time get their
    /// calls within this wait.
    pub const fn interactive() -> Self {
        Self {
            max_wait: Duration::from_secs(8),
            retries: 1,
            call_timeout: Duration::from_secs(10),
        }
    }

    /// Policy of background work, for which no member waits. The minute limit may reset several
    /// times while calls of higher priority are sent, and a short outage may end. The reset of the
    /// day limit is not awaited.
    pub const fn scheduled() -> Self {
        Self {
            max_wait: Duration::from_secs(10 * 60),
            retries: 4,
            call_timeout: Duration::from_secs(30),
        }
    }

    /// Policy of token refreshes: one request with a timeout far longer than any caller waits.
    /// WHOOP replaces the pair when it receives the request, so the pair is lost if the client
    /// stops waiting for the answer.
    pub const fn refresh() -> Self {
        Self {
            max_wait: Duration::ZERO,
            retries: 0,
            call_timeout: Duration::from_secs(2 * 60),
        }
    }

    /// Returns the pauses between attempts. They have random jitter, so that processes do not retry
    /// at the same time.
    pub(crate) fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}
