//! WHOOP's quota as one process sees it: leave taken from the shared ledger, in
//! batches as large as the number of calls that wait at the moment.

use std::{
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{BoxFuture, FutureExt};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use whoop_client::{Allowance, RateLimit, WhoopError};
use whoop_core::{
    budget::{Class, Leave, Ledger, Limits, Period, Spent},
    plan::run::ExpectedDay,
};
use whoop_storage::{
    Database, StorageError,
    table::call_budget::{self, Current},
};

use crate::prepaid::{LEAVE_LASTS, Prepaid, Wish};

/// The most that one process takes at once, however many wait.
pub(crate) const LARGEST_BATCH: u32 = 16;

/// Whoever watches a run that waits for longer wants to know what for.
const WORTH_A_LINE: Duration = Duration::from_secs(10);

/// Two of the steps in which a run is fed the minute.
const SOON: Duration = Duration::from_millis(6_200);

/// The budget of the WHOOP app.
#[derive(Debug)]
pub(crate) struct Budget {
    database: Database,
    limits: Limits,
    queues: [Queue; Class::ALL.len()],
    /// As of the last look at the ledger.
    spent: StdMutex<Option<Spent>>,
    was_scarce: AtomicBool,
}

/// Callers of one class.
#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Leave taken on behalf of those who stand in the queue.
    spare: u32,
    spare_since: Option<Instant>,
    later: Option<Later>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Later {
    at: Instant,
    period: Period,
}

impl Later {
    pub(crate) async fn wait(
        self,
        class: Class,
        patience: &mut Duration,
    ) -> Result<(), WhoopError> {
        let wait = self.at.saturating_duration_since(Instant::now());
        if wait > *patience {
            return Err(WhoopError::RateLimited {
                retry_after: wait,
                day: self.period == Period::Day,
            });
        }
        *patience -= wait;
        let (millis, class) = (wait.as_millis(), class.as_str());
        if wait < WORTH_A_LINE {
            tracing::debug!(millis, class, "waiting for leave to call WHOOP");
        } else {
            tracing::info!(millis, class, "waiting for leave to call WHOOP");
        }
        sleep(wait).await;
        Ok(())
    }
}

impl Budget {
    pub(crate) fn new(database: Database, limits: Limits) -> Self {
        Self {
            database,
            limits,
            queues: Default::default(),
            spent: StdMutex::default(),
            was_scarce: AtomicBool::new(false),
        }
    }

    /// The ledger as it stands.
    pub(crate) async fn current(&self) -> Result<Current, StorageError> {
        let mut conn = self.database.get().await?;
        call_budget::read(&mut conn).await
    }

    pub(crate) async fn expect(&self, day: ExpectedDay) -> Result<(), StorageError> {
        self.change(|ledger, now| {
            day.tell(ledger, now);
            (true, ())
        })
        .await
    }

    /// Whether calls that can be spared are to be spared.
    pub(crate) async fn is_scarce(&self) -> Result<bool, StorageError> {
        let current = self.current().await?;
        Ok(self.note(&current.ledger, current.now))
    }

    /// The same as of the last look, without one.
    pub(crate) fn was_scarce(&self) -> bool {
        self.was_scarce.load(Ordering::Relaxed)
    }

    async fn take(&self, class: Class, patience: &mut Duration) -> Result<(), WhoopError> {
        let queue = &self.queues[class as usize];
        let _standing = Standing::in_line(&queue.waiting);
        loop {
            let later = {
                let mut state = queue.state.lock().await;
                if state.take_spare() {
                    return Ok(());
                }
                match state.later.filter(|later| later.at > Instant::now()) {
                    Some(later) => later,
                    None => match self.lease(class, &mut state, &queue.waiting).await? {
                        Some(later) => later,
                        None => return Ok(()),
                    },
                }
            };
            later.wait(class, patience).await?;
        }
    }

    /// Takes leave for several calls beforehand, or says when to ask again.
    pub(crate) async fn prepay(
        &self,
        class: Class,
        wish: &mut Wish,
    ) -> Result<Result<Prepaid, Later>, WhoopError> {
        let queue = &self.queues[class as usize];
        if let Some(prepaid) = queue.state.lock().await.take_out(wish.calls) {
            return Ok(Ok(prepaid));
        }
        loop {
            let asked_at = Instant::now();
            match self.ask(class, wish.least, wish.calls).await? {
                Ok(granted) => return Ok(Ok(Prepaid::new(granted, asked_at))),
                // So many together are a long way off; fewer may be here soon.
                Err(later) if wish.least > 1 && later.at > Instant::now() + SOON => wish.least -= 1,
                Err(later) => return Ok(Err(later)),
            }
        }
    }

    /// What was prepaid and not used is for the next of the class.
    pub(crate) async fn give_back(&self, class: Class, prepaid: &Prepaid) {
        let Some((calls, since)) = prepaid.rest() else {
            return;
        };
        let mut state = self.queues[class as usize].state.lock().await;
        let is_good = |since: &Instant| since.elapsed() < LEAVE_LASTS;
        let known = state
            .spare_since
            .filter(|_| state.spare > 0)
            .filter(is_good);
        if known.is_none() {
            state.spare = 0;
        }
        state.spare += calls;
        state.spare_since = Some(known.map_or(since, |known| known.min(since)));
    }

    /// One call for the caller, and one for each who stands behind.
    async fn lease(
        &self,
        class: Class,
        state: &mut State,
        waiting: &AtomicU32,
    ) -> Result<Option<Later>, WhoopError> {
        let want = waiting.load(Ordering::Relaxed).clamp(1, LARGEST_BATCH);
        let asked_at = Instant::now();
        match self.ask(class, 1, want).await? {
            Ok(granted) => {
                state.spare = granted.saturating_sub(1);
                state.spare_since = Some(asked_at);
                Ok(None)
            }
            Err(later) => {
                state.later = Some(later);
                Ok(Some(later))
            }
        }
    }

    /// Asks the ledger for leave: so many calls, or when to ask again.
    async fn ask(
        &self,
        class: Class,
        least: u32,
        want: u32,
    ) -> Result<Result<u32, Later>, WhoopError> {
        self.change(|ledger, now| {
            let leave = ledger.take_at_least(now, self.limits, class, least, want);
            let is_noted = matches!(leave, Leave::Granted(_)) || class == Class::Waiting;
            let answer = match leave {
                Leave::Granted(calls) => Ok(calls),
                Leave::Later { at, period } => Err(Later {
                    at: Instant::now() + (at - now).to_std().unwrap_or_default(),
                    period,
                }),
            };
            (is_noted, answer)
        })
        .await
        .map_err(|error| WhoopError::NoLeave(error.into()))
    }

    /// Changes the ledger; again from the start where another process was
    /// faster. `change` says whether there is anything to write.
    async fn change<T>(
        &self,
        mut change: impl FnMut(&mut Ledger, DateTime<Utc>) -> (bool, T) + Send,
    ) -> Result<T, StorageError> {
        // One of those who meet is always through; jitter keeps them apart.
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(1))
            .with_max_delay(Duration::from_millis(50))
            .with_jitter()
            .without_max_times()
            .build();
        let mut conn = self.database.get().await?;
        loop {
            let mut current = call_budget::read(&mut conn).await?;
            let (is_changed, answer) = change(&mut current.ledger, current.now);
            self.note(&current.ledger, current.now);
            if !is_changed || call_budget::replace(&mut conn, &current).await? {
                return Ok(answer);
            }
            sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    fn note(&self, ledger: &Ledger, now: DateTime<Utc>) -> bool {
        let is_scarce = ledger.is_scarce(now, self.limits);
        self.was_scarce.store(is_scarce, Ordering::Relaxed);
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger.spent(now));
        is_scarce
    }

    async fn said(&self, said: &RateLimit) {
        let period = if said.is_the_days() {
            Period::Day
        } else {
            Period::Minute
        };
        let counted = said.limit.saturating_sub(said.remaining);
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        let known = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.is_some_and(|spent| {
            counted
                <= match period {
                    Period::Minute => spent.minute,
                    Period::Day => spent.day,
                }
        });
        if is_known {
            return;
        }
        let reset = TimeDelta::from_std(said.reset).unwrap_or_default();
        let corrected = self
            .change(|ledger, now| {
                let is_foreign = ledger.whoop_counted(now, period, counted, reset);
                (is_foreign, is_foreign)
            })
            .await;
        match corrected {
            Ok(true) => tracing::info!(
                ?period,
                counted,
                "WHOOP has counted more calls than were made here: somebody else uses this WHOOP app"
            ),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "WHOOP's count could not be noted"),
        }
    }

    async fn refused(&self, wait: Duration, day: bool) {
        let period = if day { Period::Day } else { Period::Minute };
        let wait = TimeDelta::from_std(wait).unwrap_or_default();
        let noted = self
            .change(|ledger, now| {
                ledger.close(now + wait, period);
                (true, ())
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "WHOOP's refusal could not be told to the other processes");
        }
    }
}

impl State {
    /// What others have left, if it is enough.
    fn take_out(&mut self, calls: u32) -> Option<Prepaid> {
        let since = self.spare_since.filter(|_| self.spare >= calls)?;
        if since.elapsed() >= LEAVE_LASTS {
            return None;
        }
        self.spare -= calls;
        Some(Prepaid::new(calls, since))
    }

    fn take_spare(&mut self) -> bool {
        let is_fresh = self
            .spare_since
            .is_some_and(|since| since.elapsed() < LEAVE_LASTS);
        if self.spare == 0 || !is_fresh {
            return false;
        }
        self.spare -= 1;
        true
    }
}

/// A place in the line, left also by a caller that goes away.
struct Standing<'a>(&'a AtomicU32);

impl<'a> Standing<'a> {
    fn in_line(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The budget, spent on behalf of one class.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) budget: Arc<Budget>,
    pub(crate) class: Class,
    pub(crate) prepaid: Arc<Prepaid>,
}

impl Allowance for Share {
    fn take<'a>(&'a self, patience: &'a mut Duration) -> BoxFuture<'a, Result<(), WhoopError>> {
        async {
            if self.prepaid.take() {
                return Ok(());
            }
            self.budget.take(self.class, patience).await
        }
        .boxed()
    }

    fn said<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()> {
        self.budget.said(rate_limit).boxed()
    }

    fn refused(&self, wait: Duration, day: bool) -> BoxFuture<'_, ()> {
        self.budget.refused(wait, day).boxed()
    }
}
