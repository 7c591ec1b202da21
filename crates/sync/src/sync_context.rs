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

/// How long the call in hand may still take once an end is asked for.
const CALL_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// The same once an interactive caller waits for the member. It waits for ten seconds, and the holder
/// of the lease sees it after one.
const YIELD_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// The same for a refresh, which is worth more: if its answer is lost, so may
/// be the connection.
pub(crate) const REFRESH_GRACE_PERIOD: Duration = Duration::from_secs(7);

/// Maximum wait of a caller for a token refresh. A refresh that takes longer is not lost: a member
/// asks again, and a run comes back to the member at its end.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// On whose behalf calls are made: how patient, how many, until when.
#[derive(Debug, Clone)]
pub struct SyncContext {
    pub class: PriorityClass,
    pub retry_policy: RetryPolicy,
    /// Maximum wait for a token refresh, which goes on without the caller after that.
    pub refresh_timeout: Duration,
    /// How long to wait for somebody else's sync of the same member.
    pub lease_timeout: Duration,
    /// Asks for an end after the page in hand.
    pub stop: CancellationToken,
    max_calls: Option<u64>,
    calls: Arc<AtomicU64>,
    /// Hash of the member's id.
    pub(crate) member_hash: u64,
    /// Cancelled when an interactive caller waits for the member whose lease is held.
    pub(crate) lease_wanted: CancellationToken,
    /// The data type has been failing for long: another failure is no evidence of an outage.
    pub(crate) is_known_to_fail: bool,
}

impl SyncContext {
    /// A member waits in the app.
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

    /// A member who was never read waits in the app: as patient, behind the app requests of others. Hundreds
    /// of members may connect within minutes.
    pub(crate) fn new_member() -> Self {
        Self::interactive().with_class(PriorityClass::Scheduled)
    }

    /// Background work: no caller waits for it.
    pub fn scheduled(max_calls: Option<u64>, stop: CancellationToken) -> Self {
        Self {
            class: PriorityClass::Scheduled,
            retry_policy: RetryPolicy::scheduled(),
            refresh_timeout: REFRESH_TIMEOUT,
            // The holder may itself be waiting for a limit to turn.
            lease_timeout: RetryPolicy::scheduled().max_wait,
            stop,
            max_calls,
            calls: Arc::default(),
            member_hash: 0,
            lease_wanted: CancellationToken::new(),
            is_known_to_fail: false,
        }
    }

    /// WHOOP said that something changed. Whoever is in the way is left alone, and
    /// what does not work at once is tried again later.
    pub fn webhook(stop: CancellationToken) -> Self {
        Self {
            class: PriorityClass::Webhook,
            lease_timeout: Duration::ZERO,
            stop,
            ..Self::interactive()
        }
    }

    /// The same job with the rights of another class; calls count together.
    #[must_use]
    pub fn with_class(&self, class: PriorityClass) -> Self {
        Self {
            class,
            ..self.clone()
        }
    }

    /// The same job, which leaves alone whom somebody else is at; calls count
    /// together.
    #[must_use]
    pub(crate) fn without_lease_wait(&self) -> Self {
        Self {
            lease_timeout: Duration::ZERO,
            ..self.clone()
        }
    }

    /// The same job, which has begun with a member and waits for whoever comes
    /// between two of its turns; calls count together.
    #[must_use]
    pub(crate) fn with_lease_wait(&self) -> Self {
        Self {
            lease_timeout: self.lease_timeout.max(RetryPolicy::scheduled().max_wait),
            ..self.clone()
        }
    }

    /// Maximum wait until the token endpoint takes requests again after a 429.
    pub(crate) fn token_endpoint_timeout(&self) -> Duration {
        self.retry_policy.max_wait.min(self.lease_timeout)
    }

    /// Whether a member waits for it in the app.
    pub(crate) fn is_interactive(&self) -> bool {
        self.class == PriorityClass::Interactive
    }

    /// The same job for one member, whose failed calls count as theirs.
    pub(crate) fn for_member(&self, user_id: &UserId) -> Self {
        let mut hasher = DefaultHasher::new();
        user_id.hash(&mut hasher);
        Self {
            member_hash: hasher.finish(),
            ..self.clone()
        }
    }

    /// The same job for a data type that has been failing for long, or not; calls count together. A call
    /// that is known to fail is not repeated at once.
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

    /// The same job, which ends before its next call when `wanted` is cancelled; calls count together.
    pub(crate) fn yielding_to(&self, wanted: &CancellationToken) -> Self {
        Self {
            lease_wanted: wanted.clone(),
            ..self.clone()
        }
    }

    /// Whether it may make another call at all.
    pub(crate) fn check_calls_left(&self) -> Result<(), SyncError> {
        match self.max_calls {
            Some(max) if self.calls() >= max => Err(SyncError::CallLimitReached),
            _ => Ok(()),
        }
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits for a call, but not much longer than until the end is asked for, or until an interactive
    /// caller waits for the member: WHOOP may be slow, or a limit may be used up.
    pub(crate) async fn finish_call<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<T, SyncError> {
        let yielded = async {
            self.lease_wanted.cancelled().await;
            tokio::time::sleep(YIELD_GRACE_PERIOD).await;
        };
        tokio::select! {
            biased;
            done = self.finish_within(call, CALL_GRACE_PERIOD) => done,
            () = yielded => Err(SyncError::Yielded),
        }
    }

    /// As [`Job::finish_call`], with the patience that a refresh deserves.
    pub(crate) async fn finish_refresh<T>(
        &self,
        refresh: impl Future<Output = T>,
    ) -> Result<T, SyncError> {
        self.finish_within(refresh, REFRESH_GRACE_PERIOD).await
    }

    async fn finish_within<T>(
        &self,
        work: impl Future<Output = T>,
        patience: Duration,
    ) -> Result<T, SyncError> {
        let overdue = async {
            self.stop.cancelled().await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = overdue => Err(SyncError::Stopped),
        }
    }

    /// Takes leave for one call to WHOOP.
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

    /// Replaces the one call that was taken leave for by those really sent:
    /// none where a gate was closed, several where WHOOP had to be asked again.
    pub(crate) fn correct_call_count(&self, sent: u64) {
        match sent.checked_sub(1) {
            Some(more) => self.calls.fetch_add(more, Ordering::Relaxed),
            None => self.calls.fetch_sub(1, Ordering::Relaxed),
        };
    }
}
