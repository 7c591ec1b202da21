use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// How patient a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long the call may wait for WHOOP's limit to turn.
    pub max_wait: Duration,
    /// How often it is sent again after a broken connection or a 5xx.
    pub retries: usize,
    /// How long it may take, retries included and the wait for the limit not.
    pub call_timeout: Duration,
}

impl RetryPolicy {
    /// A member is waiting in the app. While a run uses the quota a permit is free every 0.6 s, so
    /// that three members who open the app at the same moment get their calls within this time.
    pub const fn interactive() -> Self {
        Self {
            max_wait: Duration::from_secs(8),
            retries: 1,
            call_timeout: Duration::from_secs(10),
        }
    }

    /// Nobody waits: a minute's limit may turn several times while others are
    /// more urgent, a hiccup may pass. A day's limit is not waited for.
    pub const fn scheduled() -> Self {
        Self {
            max_wait: Duration::from_secs(10 * 60),
            retries: 4,
            call_timeout: Duration::from_secs(30),
        }
    }

    /// A token refresh: one request, whose answer is waited for far longer than any caller waits.
    /// WHOOP replaces the pair when it reads the request, so an answer that is given up is a pair
    /// that is lost.
    pub const fn refresh() -> Self {
        Self {
            max_wait: Duration::ZERO,
            retries: 0,
            call_timeout: Duration::from_secs(2 * 60),
        }
    }

    /// The pauses between attempts; jittered, or a fleet would knock in step.
    pub(crate) fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}
