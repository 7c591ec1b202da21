//! Leave for calls that a member's turn is about to make.
//!
//! A run may have to wait for the quota for minutes, and whoever opens the app
//! meanwhile must not wait for the run: it waits without the member's lease. It is
//! asked for under the lease all the same: of two runs that want the same member, one
//! would take leave and find nothing to do, and the calls of the minute be lost.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use whoop_core::{DataType, UserId, budget::Limits, coverage::LastReads};

use crate::{Engine, Job, SyncError, budget::LARGEST_BATCH, lease::Lease};

/// Leave that was not used by then is void: the ledger counts a call where it was
/// allowed, and WHOOP where it arrives.
pub(crate) const LEAVE_LASTS: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(crate) struct Prepaid {
    calls: AtomicU32,
    /// `None` where nothing was prepaid.
    since: Option<Instant>,
}

impl Prepaid {
    pub(crate) fn new(calls: u32, since: Instant) -> Self {
        Self {
            calls: AtomicU32::new(calls),
            since: Some(since),
        }
    }

    /// Uses one, if one is left.
    pub(crate) fn take(&self) -> bool {
        self.is_good()
            && self
                .calls
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }

    /// Takes out what is left, and since when it is.
    pub(crate) fn rest(&self) -> Option<(u32, Instant)> {
        let calls = self.calls.swap(0, Ordering::Relaxed);
        self.since
            .filter(|_| calls > 0 && self.is_good())
            .map(|since| (calls, since))
    }

    fn is_good(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() < LEAVE_LASTS)
    }
}

/// Whether a turn is wanted whatever others have done meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need<'a> {
    Certain,
    /// Only if one of these types was not read since that was decided.
    OfWhatIsLeft {
        data_types: &'a [DataType],
        decided_on: &'a LastReads,
    },
}

/// How many calls a turn wants leave for beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) calls: u32,
    /// Fewer are not worth the turn.
    pub(crate) least: u32,
}

impl Wish {
    /// All of them, if they are ever to be had together: a turn that has to wait for
    /// its second call holds the member meanwhile.
    fn of(calls: usize, limits: Limits) -> Self {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let calls = calls.clamp(1, LARGEST_BATCH);
        Self {
            calls,
            least: calls.min(limits.together()),
        }
    }
}

/// One member's turn: the lease, and leave for its first calls.
pub(crate) struct Turn {
    pub(crate) job: Job,
    lease: Lease,
}

impl Engine {
    /// Takes the lease and leave for so many calls, which it waits for without the
    /// lease. A member who waits in the app is served at once, and asks for leave
    /// call by call.
    pub(crate) async fn take_turn(
        &self,
        user_id: &UserId,
        job: &Job,
        calls: usize,
    ) -> Result<Turn, SyncError> {
        let turn = self
            .take_turn_if(user_id, job, calls, Need::Certain)
            .await?;
        // Without a doubt there is always a turn.
        turn.ok_or(SyncError::Aborted)
    }

    /// The same; `None` if somebody else has done it meanwhile. Looked at each time
    /// before leave is taken, which would be lost on nothing.
    pub(crate) async fn take_turn_if(
        &self,
        user_id: &UserId,
        job: &Job,
        calls: usize,
        need: Need<'_>,
    ) -> Result<Option<Turn>, SyncError> {
        if job.is_urgent() {
            return Ok(Some(Turn {
                lease: self.take_lease(user_id, job).await?,
                job: job.clone(),
            }));
        }
        let mut wish = Wish::of(calls, self.settings.limits);
        let mut patience = job.pace.longest_wait;
        loop {
            job.check_calls_left()?;
            let Some(lease) = self.claim(user_id).await? else {
                self.wait_for_others(user_id, job).await?;
                continue;
            };
            let asked = async {
                if self.is_met(user_id, need).await? {
                    return Ok(None);
                }
                let leave = self.budget.prepay(job.class, &mut wish).await?;
                Ok::<_, SyncError>(Some(leave))
            };
            let later = match asked.await {
                Ok(Some(Ok(prepaid))) => {
                    return Ok(Some(Turn {
                        lease,
                        job: job.with_prepaid(prepaid),
                    }));
                }
                Ok(Some(Err(later))) => later,
                Ok(None) => {
                    lease.release().await?;
                    return Ok(None);
                }
                Err(error) => {
                    lease.release().await?;
                    return Err(error);
                }
            };
            lease.release().await?;
            tokio::select! {
                waited = later.wait(job.class, &mut patience) => waited?,
                () = job.stop.cancelled() => return Err(SyncError::Stopped),
            }
        }
    }

    /// Whether others have done it all.
    pub(crate) async fn is_met(&self, user_id: &UserId, need: Need<'_>) -> Result<bool, SyncError> {
        let Need::OfWhatIsLeft {
            data_types,
            decided_on,
        } = need
        else {
            return Ok(false);
        };
        let coverage = self.coverage(user_id).await?;
        let mut wanted = coverage
            .iter()
            .filter(|one| data_types.contains(&one.data_type));
        Ok(wanted.all(|one| one.was_read_since(decided_on)))
    }

    /// Gives back the lease, and the leave that was not used.
    pub(crate) async fn end_turn(&self, turn: Turn) -> Result<(), SyncError> {
        let Turn { job, lease } = turn;
        self.budget.give_back(job.class, &job.prepaid).await;
        Ok(lease.release().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leave_is_used_once_and_not_for_long() {
        let prepaid = Prepaid::new(3, Instant::now());
        assert!(prepaid.take() && prepaid.take());
        assert_eq!(prepaid.rest().map(|(calls, _)| calls), Some(1));
        assert!(!prepaid.take());

        let late = Prepaid::new(3, Instant::now());
        tokio::time::advance(LEAVE_LASTS).await;
        assert!(!late.take());
        assert!(late.rest().is_none());
        assert!(!Prepaid::default().take());
    }
}
