use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Limits for the waits and the retries of a call to WHOOP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum time for which a call waits for permits and for the reset of WHOOP's limit.
    pub max_wait: Duration,
    /// Maximum number of retries after a failed connection, a 5xx or an incomplete reply.
    pub retries: usize,
    /// Maximum duration of a call, including retries and without the wait for permits.
    pub call_timeout: Duration,
}

impl RetryPolicy {
    /// Policy of app requests, for which a member waits.
    ///
    /// While a run uses the quota, a permit becomes available every 0.6 seconds. If three members
    /// open the app at the same time, their twelve calls get permits within the maximum wait of 8
    /// seconds.
    pub const fn interactive() -> Self {
        Self {
            max_wait: Duration::from_secs(8),
            retries: 1,
            call_timeout: Duration::from_secs(10),
        }
    }

    /// Policy of background work, for which no member waits.
    ///
    /// A call waits for up to ten minutes. In this time, the minute limit resets several times
    /// although calls of higher priority are sent, and a short outage may end. A call does not wait
    /// for the reset of the day limit.
    pub const fn scheduled() -> Self {
        Self {
            max_wait: Duration::from_secs(10 * 60),
            retries: 4,
            call_timeout: Duration::from_secs(30),
        }
    }

    /// Policy of token refreshes: one request, with a timeout that is far longer than any caller
    /// waits.
    ///
    /// WHOOP replaces the token pair when it receives the request. If the client stopped waiting
    /// for the answer, it would lose the new pair, and the old pair would no longer be valid.
    pub const fn refresh() -> Self {
        Self {
            max_wait: Duration::ZERO,
            retries: 0,
            call_timeout: Duration::from_secs(2 * 60),
        }
    }

    /// Returns the pauses between the attempts of a call. They contain a random part (jitter), so
    /// that several processes do not retry at the same time.
    pub(crate) fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}
