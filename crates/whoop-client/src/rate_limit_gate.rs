use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::WhoopError;

/// Rate-limit gate: all calls of the process wait here while WHOOP answers none because a limit is
/// used up.
#[derive(Debug, Default)]
pub(crate) struct RateLimitGate {
    closure: Mutex<Option<GateClosure>>,
}

#[derive(Debug, Clone, Copy)]
struct GateClosure {
    until: Instant,
    day: bool,
}

impl RateLimitGate {
    /// Closes the gate for at least `wait`. If the gate is already closed for longer, nothing
    /// changes.
    ///
    /// Replies may arrive in another order than WHOOP counted their requests. A later reply with
    /// remaining calls is therefore no reason to open the gate.
    pub(crate) fn close(&self, wait: Duration, day: bool) {
        let until = Instant::now() + wait;
        let mut closed = self.closure.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none_or(|closure| closure.until < until) {
            *closed = Some(GateClosure { until, day });
        }
    }

    /// Waits until the gate is open, and subtracts the time that it waited from `remaining_wait`.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::RateLimited`] immediately if the wait would be longer than
    /// `remaining_wait`.
    pub(crate) async fn wait_until_open(
        &self,
        remaining_wait: &mut Duration,
    ) -> Result<(), WhoopError> {
        // The gate is checked again after each wait, because another call may have closed it in the
        // meantime.
        while let Some(GateClosure { until, day }) = self.current_closure() {
            let wait = until.saturating_duration_since(Instant::now());
            if wait > *remaining_wait {
                return Err(WhoopError::RateLimited {
                    retry_after: wait,
                    day,
                });
            }
            tracing::debug!(
                seconds = wait.as_secs(),
                "waiting for the reset of WHOOP's limit"
            );
            *remaining_wait -= wait;
            sleep_until(until).await;
        }
        Ok(())
    }

    fn current_closure(&self) -> Option<GateClosure> {
        let closed = *self.closure.lock().unwrap_or_else(PoisonError::into_inner);
        closed.filter(|closure| closure.until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_if_its_limit_allows_it_and_fails_at_once_otherwise() {
        let gate = RateLimitGate::default();
        gate.close(Duration::from_secs(37), false);
        let start = Instant::now();

        let refused = gate.wait_until_open(&mut { Duration::ZERO }).await;
        assert!(matches!(
            refused,
            Err(WhoopError::RateLimited { retry_after, day: false }) if retry_after.as_secs() == 37
        ));
        assert_eq!(start.elapsed(), Duration::ZERO);

        let mut remaining_wait = MINUTE;
        gate.wait_until_open(&mut remaining_wait).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(37));
        assert_eq!(remaining_wait, Duration::from_secs(23));
    }

    #[tokio::test(start_paused = true)]
    async fn all_waiting_calls_continue_when_the_gate_opens() {
        let gate = Arc::new(RateLimitGate::default());
        gate.close(Duration::from_secs(5), false);
        let start = Instant::now();

        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.wait_until_open(&mut { MINUTE }).await })
            })
            .collect();
        for one in waiting {
            one.await.unwrap().unwrap();
        }

        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_again_if_the_gate_closes_again() {
        let gate = Arc::new(RateLimitGate::default());
        gate.close(Duration::from_secs(5), false);
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.wait_until_open(&mut { MINUTE }).await }
        });
        tokio::task::yield_now().await;

        gate.close(Duration::from_secs(90), true);

        let refused = waiting.await.unwrap();
        assert!(matches!(
            refused,
            Err(WhoopError::RateLimited { retry_after, day: true }) if retry_after.as_secs() == 85
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_closure_does_not_open_the_gate_earlier() {
        let gate = RateLimitGate::default();
        gate.close(Duration::from_secs(40), false);
        gate.close(Duration::from_secs(2), false);
        let start = Instant::now();

        gate.wait_until_open(&mut { MINUTE }).await.unwrap();

        assert_eq!(start.elapsed(), Duration::from_secs(40));
    }
}
