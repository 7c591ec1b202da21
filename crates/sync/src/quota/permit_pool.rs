//! Permits for calls to WHOOP in one process, taken from the quota ledger that all processes share.
//!
//! A permit is taken when a request is about to be sent. The callers of one priority class wait in
//! one queue. The first caller in a queue asks the ledger for as many permits as there are callers
//! in the queue, so that the ledger's row is changed only once for all of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{BoxFuture, FutureExt};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use whoop_client::{QuotaGate, RateLimit, WhoopError};
use whoop_core::{
    plan::run::ExpectedCalls,
    quota::{
        LimitWindow, PermitDecision, PriorityClass, QuotaLedger, QuotaLimits, QuotaUsage,
        WaitReason,
    },
};
use whoop_storage::{
    Database, StorageError,
    table::call_budget::{self, LedgerSnapshot},
};

/// Maximum number of permits that a process takes from the quota ledger at once.
const MAX_PERMITS_PER_REQUEST: u32 = 16;

/// Extra time for which a caller waits after its deadline, because the first caller in the queue
/// may be asking the quota ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Minimum duration of a wait for a permit that is logged at level `info`. Shorter waits are logged
/// at level `debug`.
const INFO_LOG_THRESHOLD: Duration = Duration::from_secs(10);

/// Permits for calls to WHOOP, with one queue of callers per priority class.
#[derive(Debug)]
pub(crate) struct PermitPool {
    database: Database,
    limits: QuotaLimits,
    queues: [ClassQueue; PriorityClass::ALL.len()],
    /// Use of the quota when this process last read the ledger; `None` before the first read.
    usage: Mutex<Option<QuotaUsage>>,
    was_scarce: AtomicBool,
}

/// Queue of the callers of one priority class that wait for a permit.
#[derive(Debug)]
struct ClassQueue {
    waiting: AtomicU32,
    /// Permits that the first caller in the queue took for all callers in it.
    permits: Semaphore,
    /// Time at which the quota ledger granted the latest of the permits in `permits`.
    taken_at: Mutex<DateTime<Utc>>,
    /// Lock that is held by the caller that asks the quota ledger.
    request_lock: AsyncMutex<()>,
    /// The last wait that the quota ledger announced; `None` if the ledger last granted permits, or
    /// if its wait must not be kept.
    wait: Mutex<Option<PermitWait>>,
}

impl Default for ClassQueue {
    fn default() -> Self {
        Self {
            waiting: AtomicU32::default(),
            permits: Semaphore::new(0),
            taken_at: Mutex::new(DateTime::UNIX_EPOCH),
            request_lock: AsyncMutex::default(),
            wait: Mutex::default(),
        }
    }
}

/// Answer of the quota ledger that no permit is available before `until`.
#[derive(Debug, Clone, Copy)]
struct PermitWait {
    until: Instant,
    reason: WaitReason,
}

impl PermitWait {
    /// Returns a wait of one second, for a caller to whom the ledger does not answer in time.
    fn one_second() -> Self {
        Self {
            until: Instant::now() + Duration::from_secs(1),
            reason: WaitReason::Quota(LimitWindow::Minute),
        }
    }

    fn into_error(self) -> WhoopError {
        let retry_after = self.until.saturating_duration_since(Instant::now());
        match self.reason {
            WaitReason::Quota(window) => WhoopError::RateLimited {
                retry_after,
                day: window == LimitWindow::Day,
            },
            WaitReason::UpstreamOutage { since } => WhoopError::Outage { since, retry_after },
        }
    }
}

impl PermitPool {
    pub(crate) fn new(database: Database, limits: QuotaLimits) -> Self {
        Self {
            database,
            limits,
            queues: Default::default(),
            usage: Mutex::default(),
            was_scarce: AtomicBool::new(false),
        }
    }

    /// Reads the quota ledger from PostgreSQL.
    pub(crate) async fn read_ledger(&self) -> Result<LedgerSnapshot, StorageError> {
        let mut conn = self.database.get().await?;
        call_budget::read(&mut conn).await
    }

    /// Stores in the quota ledger how many calls per day the priority classes interactive and
    /// inactive are expected to need.
    pub(crate) async fn store_expected_calls(
        &self,
        expected_calls: ExpectedCalls,
    ) -> Result<(), StorageError> {
        self.update_ledger(|ledger, _| {
            expected_calls.set_needs(ledger);
            (true, ())
        })
        .await
    }

    /// Reads the quota ledger. Returns whether calls are scarce, so that reads that are not
    /// necessary should be skipped.
    pub(crate) async fn is_scarce(&self) -> Result<bool, StorageError> {
        let current = self.read_ledger().await?;
        Ok(self.note_usage(&current.ledger, current.now))
    }

    /// Whether calls were scarce when this process last read the quota ledger; see
    /// [`PermitPool::is_scarce`].
    pub(crate) fn was_scarce(&self) -> bool {
        self.was_scarce.load(Ordering::Relaxed)
    }

    /// Waits for a permit, for at most `patience`. Subtracts the duration of the wait from
    /// `patience`.
    async fn take_permit(
        self: &Arc<Self>,
        class: PriorityClass,
        patience: &mut Duration,
    ) -> Result<(), WhoopError> {
        let started = Instant::now();
        let waited = self.wait_for_permit(class, started + *patience).await;
        *patience = patience.saturating_sub(started.elapsed());
        waited
    }

    async fn wait_for_permit(
        self: &Arc<Self>,
        class: PriorityClass,
        deadline: Instant,
    ) -> Result<(), WhoopError> {
        let queue = &self.queues[class.index()];
        let _queue_place = QueuePlace::join(self, class);
        loop {
            if let Some(wait) = queue.wait_after(deadline) {
                return Err(wait.into_error());
            }
            let permit_or_guard = async {
                tokio::select! {
                    biased;
                    // `acquire` cannot fail, because the semaphore is never closed.
                    Ok(permit) = queue.permits.acquire() => {
                        permit.forget();
                        None
                    }
                    request_guard = queue.request_lock.lock() => Some(request_guard),
                }
            };
            // The first caller in the queue may have more patience than this caller, and hold the
            // lock longer than this caller can wait.
            let request_guard = match timeout_at(deadline + LEDGER_TIMEOUT, permit_or_guard).await {
                Ok(Some(request_guard)) => request_guard,
                Ok(None) => return Ok(()),
                Err(_) => {
                    return Err(queue
                        .current_wait()
                        .unwrap_or_else(PermitWait::one_second)
                        .into_error());
                }
            };
            let wait = match queue.current_wait() {
                Some(wait) => wait,
                // The quota ledger is asked in a separate task, so that no permits are lost if this
                // caller is cancelled in the meantime.
                None => match tokio::spawn(Arc::clone(self).request_permits(class)).await {
                    Ok(wait) => match wait? {
                        Some(wait) => wait,
                        None => continue,
                    },
                    Err(error) => return Err(WhoopError::QuotaUnavailable(error.into())),
                },
            };
            if wait.until > deadline {
                return Err(wait.into_error());
            }
            log_wait(class, wait);
            sleep_until(wait.until).await;
            drop(request_guard);
        }
    }

    /// Asks the quota ledger for one permit per caller in the queue. Returns the announced wait if
    /// no permit is available; `None` if permits were granted.
    async fn request_permits(
        self: Arc<Self>,
        class: PriorityClass,
    ) -> Result<Option<PermitWait>, WhoopError> {
        let queue = &self.queues[class.index()];
        let wanted = queue.waiting.load(Ordering::Relaxed);
        let wanted = wanted.clamp(1, MAX_PERMITS_PER_REQUEST);
        let (decision, now) = self
            .update_ledger(|ledger, now| {
                let before = ledger.clone();
                let decision = ledger.take(now, self.limits, class, wanted);
                (before != *ledger, (decision, now))
            })
            .await
            .map_err(|error| WhoopError::QuotaUnavailable(error.into()))?;
        let wait = match decision {
            PermitDecision::Granted(permits) => {
                *lock(&queue.taken_at) = now;
                let permits = usize::try_from(permits).unwrap_or(0);
                queue.permits.add_permits(permits);
                self.return_unused_permits(class);
                None
            }
            PermitDecision::Wait { until, reason } => Some(PermitWait {
                until: Instant::now() + (until - now).to_std().unwrap_or_default(),
                reason,
            }),
        };
        // The end of an outage cannot be predicted. A wait because of an outage is therefore not
        // kept, and every caller asks the ledger.
        let is_predictable = |wait: &PermitWait| matches!(wait.reason, WaitReason::Quota(_));
        *lock(&queue.wait) = wait.filter(is_predictable);
        Ok(wait)
    }

    /// Gives permits back to the quota ledger that were taken for callers that no longer wait.
    fn return_unused_permits(self: &Arc<Self>, class: PriorityClass) {
        let queue = &self.queues[class.index()];
        let waiting = queue.waiting.load(Ordering::Relaxed);
        let mut unused = 0;
        while queue.permits.available_permits() > usize::try_from(waiting).unwrap_or(0)
            && let Ok(permit) = queue.permits.try_acquire()
        {
            permit.forget();
            unused += 1;
        }
        if unused == 0 {
            return;
        }
        let (quota, taken_at) = (Arc::clone(self), *lock(&queue.taken_at));
        tokio::spawn(async move {
            let given_back = quota.update_ledger(|ledger, _| {
                ledger.return_unused(taken_at, quota.limits, class, unused);
                (true, ())
            });
            if let Err(error) = given_back.await {
                tracing::warn!(%error, unused, "could not give back unused WHOOP quota permits");
            }
        });
    }

    /// Changes the quota ledger with `change`, and repeats this if another process changed the
    /// ledger first.
    ///
    /// `change` returns whether the ledger has to be written, and the result of the change.
    async fn update_ledger<T>(
        &self,
        mut change: impl FnMut(&mut QuotaLedger, DateTime<Utc>) -> (bool, T) + Send,
    ) -> Result<T, StorageError> {
        // One of the competing processes always succeeds. Random jitter separates the attempts of
        // the others.
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(1))
            .with_max_delay(Duration::from_millis(50))
            .with_jitter()
            .without_max_times()
            .build();
        let mut conn = self.database.get().await?;
        loop {
            let mut current = call_budget::read(&mut conn).await?;
            let (is_changed, result) = change(&mut current.ledger, current.now);
            self.note_usage(&current.ledger, current.now);
            if !is_changed || call_budget::replace(&mut conn, &current).await? {
                return Ok(result);
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    fn note_usage(&self, ledger: &QuotaLedger, now: DateTime<Utc>) -> bool {
        let is_scarce = ledger.is_scarce(now, self.limits);
        self.was_scarce.store(is_scarce, Ordering::Relaxed);
        *lock(&self.usage) = Some(ledger.usage(now));
        is_scarce
    }

    /// Corrects the quota ledger if WHOOP counts more calls than the ledger, because another
    /// program uses the same WHOOP app.
    async fn correct_count(&self, reported: &RateLimit) {
        let window = if reported.is_day_limit() {
            LimitWindow::Day
        } else {
            LimitWindow::Minute
        };
        let counted = reported.limit.saturating_sub(reported.remaining);
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        let known_calls = lock(&self.usage).map_or(0, |usage| match window {
            LimitWindow::Minute => usage.minute,
            LimitWindow::Day => usage.day,
        });
        if counted <= known_calls {
            return;
        }
        let reset = TimeDelta::from_std(reported.reset).unwrap_or_default();
        let corrected = self
            .update_ledger(|ledger, now| {
                let is_foreign = ledger.record_whoop_count(now, window, counted, reset);
                (is_foreign, is_foreign)
            })
            .await;
        match corrected {
            Ok(true) => tracing::info!(
                ?window,
                counted,
                "WHOOP counts more calls than this service made: another program uses the same \
                 WHOOP app"
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "could not store WHOOP's count of calls");
            }
        }
    }

    async fn close_window(&self, wait: Duration, day: bool) {
        let window = if day {
            LimitWindow::Day
        } else {
            LimitWindow::Minute
        };
        let wait = TimeDelta::from_std(wait).unwrap_or_default();
        let stored = self
            .update_ledger(|ledger, now| {
                ledger.record_rate_limit(now + wait, window);
                (true, ())
            })
            .await;
        if let Err(error) = stored {
            tracing::warn!(%error, "could not store WHOOP's rate limit for the other processes");
        }
    }

    /// Records the outcome of a call for the circuit breaker. `member` is a hash of the member's
    /// id.
    async fn note_call_outcome(&self, member: u64, is_answered: bool) {
        let had_failures = lock(&self.usage).is_none_or(|usage| usage.has_failures);
        if is_answered && !had_failures {
            return;
        }
        let stored = self
            .update_ledger(|ledger, now| {
                if is_answered {
                    let had_failures = ledger.usage(now).has_failures;
                    (had_failures, (false, ledger.record_call_success()))
                } else {
                    (true, (ledger.record_call_failure(now, member), None))
                }
            })
            .await;
        match stored {
            Ok((true, _)) => tracing::error!(
                "WHOOP is unavailable; calls are paused, and one call at a time probes whether it \
                 answers again"
            ),
            Ok((false, Some(since))) => {
                tracing::info!(%since, "WHOOP answers again; calls are resumed");
            }
            Ok((false, None)) => {}
            Err(error) => tracing::warn!(%error, "could not store the outcome of a call"),
        }
    }
}

impl ClassQueue {
    /// Returns the last wait that the quota ledger announced, if it is not over yet.
    fn current_wait(&self) -> Option<PermitWait> {
        lock(&self.wait).filter(|wait| wait.until > Instant::now())
    }

    /// Returns the last wait that the quota ledger announced, if it ends after `deadline`.
    fn wait_after(&self, deadline: Instant) -> Option<PermitWait> {
        self.current_wait().filter(|wait| wait.until > deadline)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_wait(class: PriorityClass, wait: PermitWait) {
    let wait_s = wait
        .until
        .saturating_duration_since(Instant::now())
        .as_secs_f64();
    let class = class.as_str();
    if wait_s < INFO_LOG_THRESHOLD.as_secs_f64() {
        tracing::debug!(wait_s, class, "waiting for a WHOOP quota permit");
    } else {
        tracing::info!(wait_s, class, "waiting for a WHOOP quota permit");
    }
}

/// A caller's place in the queue of a priority class. Dropping this value removes the caller from
/// the queue.
struct QueuePlace<'a> {
    quota: &'a Arc<PermitPool>,
    class: PriorityClass,
}

impl<'a> QueuePlace<'a> {
    fn join(quota: &'a Arc<PermitPool>, class: PriorityClass) -> Self {
        quota.queues[class.index()]
            .waiting
            .fetch_add(1, Ordering::Relaxed);
        Self { quota, class }
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.quota.queues[self.class.index()]
            .waiting
            .fetch_sub(1, Ordering::Relaxed);
        self.quota.return_unused_permits(self.class);
    }
}

/// Access to the quota for the calls of one member in one priority class.
#[derive(Debug)]
pub(crate) struct MemberQuota {
    pub(crate) quota: Arc<PermitPool>,
    pub(crate) class: PriorityClass,
    /// Hash of the member's id, with which the circuit breaker distinguishes members.
    pub(crate) member_hash: u64,
    /// Cancellation token that is cancelled when an interactive caller waits for the member.
    pub(crate) lease_wanted: CancellationToken,
    /// Whether the data type is known to fail for this member, so that another failed call is no
    /// evidence of an outage of WHOOP.
    pub(crate) is_known_to_fail: bool,
}

impl QuotaGate for MemberQuota {
    fn take_permit<'a>(
        &'a self,
        patience: &'a mut Duration,
    ) -> BoxFuture<'a, Result<(), WhoopError>> {
        async {
            tokio::select! {
                biased;
                () = self.lease_wanted.cancelled() => Err(WhoopError::Yielded),
                taken = self.quota.take_permit(self.class, patience) => taken,
            }
        }
        .boxed()
    }

    fn on_response_headers<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()> {
        self.quota.correct_count(rate_limit).boxed()
    }

    fn on_rate_limited(&self, wait: Duration, day: bool) -> BoxFuture<'_, ()> {
        self.quota.close_window(wait, day).boxed()
    }

    fn on_call_outcome(&self, is_answered: bool) -> BoxFuture<'_, ()> {
        async move {
            if is_answered || !self.is_known_to_fail {
                self.quota
                    .note_call_outcome(self.member_hash, is_answered)
                    .await;
            }
        }
        .boxed()
    }
}
