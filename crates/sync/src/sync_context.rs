use std::{
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use whoop_client::RetryPolicy;
use whoop_core::{UserId, quota::PriorityClass};

use crate::SyncError;

/// Maximum time that the call in progress may still take after a stop was requested.
const CALL_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Maximum time that a call in progress may still take when an interactive caller waits for the
/// member: 3 seconds.
///
/// The interactive caller waits for 10 seconds in total, and the holder of the member lease notices
/// this within one second.
const YIELD_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// Maximum time that a token refresh may still take after a stop was requested. It is longer than
/// for a call, because a lost answer of WHOOP may end the member's connection.
pub(crate) const REFRESH_GRACE_PERIOD: Duration = Duration::from_secs(7);

/// Maximum time that a caller waits for a token refresh. A refresh that takes longer is not lost:
/// an app repeats its request, and a run tries the member again at its end.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// Conditions under which a sync runs: priority class, timeouts, maximum number of calls and stop
/// signal.
#[derive(Debug, Clone)]
pub struct SyncContext {
    pub class: PriorityClass,
    pub retry_policy: RetryPolicy,
    /// Maximum time that a caller waits for a token refresh. After that, the refresh continues
    /// without the caller.
    pub refresh_timeout: Duration,
    /// Maximum time to wait for another sync of the same member.
    pub lease_timeout: Duration,
    /// Cancellation token that stops the work after the current page.
    pub stop: CancellationToken,
    max_calls: Option<u64>,
    calls: Arc<AtomicU64>,
    /// Hash of the member's id, with which the circuit breaker distinguishes members.
    pub(crate) member_hash: u64,
    /// Cancellation token that is cancelled when an interactive caller waits for the member whose
    /// lease is held.
    pub(crate) lease_wanted: CancellationToken,
    /// Whether the data type is known to fail for this member, so that another failure is no
    /// evidence of an outage of WHOOP.
    pub(crate) is_known_to_fail: bool,
}

impl SyncContext {
    /// Creates the context of an app request for whose result a member waits.
    pub fn interactive() -> Self {
        Self {
            class: PriorityClass::Interactive,
            retry_policy: RetryPolicy::interactive(),
            refresh_timeout: REFRESH_TIMEOUT,
            lease_timeout: Duration::from_secs(10),
            stop: CancellationToken::new(),
            max_calls: None,
            calls: Arc::default(),
            member_hash: 0,
            lease_wanted: CancellationToken::new(),
            is_known_to_fail: false,
        }
    }

    /// Creates the context of an app request of a member whose data was never read.
    ///
    /// It has the timeouts of an interactive request but the lower priority of scheduled runs,
    /// because hundreds of members may connect within minutes.
    pub(crate) fn new_member() -> Self {
        Self::interactive().with_class(PriorityClass::Scheduled)
    }

    /// Creates the context of background work, for which no caller waits. The work makes at most
    /// `max_calls` calls; `None` sets no limit.
    pub fn scheduled(max_calls: Option<u64>, stop: CancellationToken) -> Self {
        Self {
            class: PriorityClass::Scheduled,
            retry_policy: RetryPolicy::scheduled(),
            refresh_timeout: REFRESH_TIMEOUT,
            // The sync that holds the lease may itself be waiting for a limit of WHOOP to reset.
            lease_timeout: RetryPolicy::scheduled().max_wait,
            stop,
            max_calls,
            calls: Arc::default(),
            member_hash: 0,
            lease_wanted: CancellationToken::new(),
            is_known_to_fail: false,
        }
    }

    /// Creates the context for processing webhooks. Its work does not wait for another sync of the
    /// member, and is repeated later if it fails.
    pub fn webhook(stop: CancellationToken) -> Self {
        Self {
            class: PriorityClass::Webhook,
            lease_timeout: Duration::ZERO,
            stop,
            ..Self::interactive()
        }
    }

    /// Returns a copy of this context with another priority class. Both contexts share one counter
    /// of calls.
    #[must_use]
    pub fn with_class(&self, class: PriorityClass) -> Self {
        Self {
            class,
            ..self.clone()
        }
    }

    /// Returns a copy of this context that does not wait for another sync of a member. Both
    /// contexts share one counter of calls.
    #[must_use]
    pub(crate) fn without_lease_wait(&self) -> Self {
        Self {
            lease_timeout: Duration::ZERO,
            ..self.clone()
        }
    }

    /// Returns a copy of this context for continuing the work on a member. It waits for the member
    /// lease if another caller took it in the meantime. Both contexts share one counter of calls.
    #[must_use]
    pub(crate) fn with_lease_wait(&self) -> Self {
        Self {
            lease_timeout: self.lease_timeout.max(RetryPolicy::scheduled().max_wait),
            ..self.clone()
        }
    }

    /// Returns the maximum time to wait until the token endpoint accepts requests again after a
    /// 429.
    pub(crate) fn token_endpoint_timeout(&self) -> Duration {
        self.retry_policy.max_wait.min(self.lease_timeout)
    }

    /// Whether a member waits in the app for the result.
    pub(crate) fn is_interactive(&self) -> bool {
        self.class == PriorityClass::Interactive
    }

    /// Returns a copy of this context for one member. The circuit breaker attributes failed calls
    /// to this member.
    pub(crate) fn for_member(&self, user_id: &UserId) -> Self {
        let mut hasher = DefaultHasher::new();
        user_id.hash(&mut hasher);
        Self {
            member_hash: hasher.finish(),
            ..self.clone()
        }
    }

    /// Returns a copy of this context for a data type. If the data type is known to fail, a failed
    /// call is not repeated immediately. Both contexts share one counter of calls.
    pub(crate) fn for_known_failure(&self, is_known_to_fail: bool) -> Self {
        let retries = match is_known_to_fail {
            true => 0,
            false => self.retry_policy.retries,
        };
        Self {
            retry_policy: RetryPolicy {
                retries,
                ..self.retry_policy
            },
            is_known_to_fail,
            ..self.clone()
        }
    }

    /// Returns a copy of this context whose work ends before its next call when `wanted` is
    /// cancelled. Both contexts share one counter of calls.
    pub(crate) fn yielding_to(&self, wanted: &CancellationToken) -> Self {
        Self {
            lease_wanted: wanted.clone(),
            ..self.clone()
        }
    }

    /// Fails if the maximum number of calls was made.
    pub(crate) fn check_calls_left(&self) -> Result<(), SyncError> {
        match self.max_calls {
            Some(max) if self.calls() >= max => Err(SyncError::CallLimitReached),
            _ => Ok(()),
        }
    }

    /// Returns the number of calls that were made with this context and its copies.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits until a call has finished. Gives up a few seconds after a stop was requested, or after
    /// an interactive caller began to wait for the member.
    ///
    /// The limit is necessary because WHOOP may answer slowly, or the call may wait until a limit
    /// of WHOOP resets.
    pub(crate) async fn finish_call<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<T, SyncError> {
        let yield_timeout = async {
            self.lease_wanted.cancelled().await;
            tokio::time::sleep(YIELD_GRACE_PERIOD).await;
        };
        tokio::select! {
            biased;
            done = self.finish_within(call, CALL_GRACE_PERIOD) => done,
            () = yield_timeout => Err(SyncError::Yielded),
        }
    }

    /// Waits until a token refresh has finished. Gives up only after a stop was requested, and
    /// allows more time than [`SyncContext::finish_call`].
    pub(crate) async fn finish_refresh<T>(
        &self,
        refresh: impl Future<Output = T>,
    ) -> Result<T, SyncError> {
        self.finish_within(refresh, REFRESH_GRACE_PERIOD).await
    }

    async fn finish_within<T>(
        &self,
        work: impl Future<Output = T>,
        grace_period: Duration,
    ) -> Result<T, SyncError> {
        let overdue = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace_period).await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = overdue => Err(SyncError::Stopped),
        }
    }

    /// Counts one call to WHOOP before it is sent. Fails if a stop was requested or the maximum
    /// number of calls was made.
    pub(crate) fn count_call(&self) -> Result<(), SyncError> {
        if self.stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        let Some(max) = self.max_calls else {
            self.calls.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                (made < max).then_some(made + 1)
            })
            .map(|_| ())
            .map_err(|_| SyncError::CallLimitReached)
    }

    /// Replaces the one call that was counted in advance by the number of requests that were
    /// actually sent.
    ///
    /// The number is zero if a gate was closed, and greater than one if the client repeated the
    /// call.
    pub(crate) fn correct_call_count(&self, sent: u64) {
        match sent.checked_sub(1) {
            Some(more) => self.calls.fetch_add(more, Ordering::Relaxed),
            None => self.calls.fetch_sub(1, Ordering::Relaxed),
        };
    }
}
