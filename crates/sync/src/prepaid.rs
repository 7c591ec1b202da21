//! Leave for calls that a member's turn is about to make.
//!
//! It is taken before the member's lease: a run may have to wait for the quota for
//! minutes, and whoever opens the app meanwhile must not wait for the run.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use whoop_core::UserId;

use crate::{Engine, Job, SyncError, lease::Lease};

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

/// One member's turn: the lease, and leave for its first calls.
pub(crate) struct Turn {
    pub(crate) job: Job,
    lease: Lease,
}

impl Engine {
    /// Takes the lease once there is leave for so many calls. A member who waits in
    /// the app is served at once, and asks for leave call by call.
    pub(crate) async fn take_turn(
        &self,
        user_id: &UserId,
        job: &Job,
        calls: usize,
    ) -> Result<Turn, SyncError> {
        if job.is_urgent() {
            return Ok(Turn {
                lease: self.take_lease(user_id, job).await?,
                job: job.clone(),
            });
        }
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        loop {
            job.check_calls_left()?;
            let mut patience = job.pace.longest_wait;
            let prepaid = tokio::select! {
                prepaid = self.budget.prepay(job.class, calls, &mut patience) => prepaid?,
                () = job.stop.cancelled() => return Err(SyncError::Stopped),
            };
            if let Some(lease) = self.claim(user_id).await? {
                return Ok(Turn {
                    lease,
                    job: job.with_prepaid(prepaid),
                });
            }
            self.budget.give_back(job.class, &prepaid).await;
            self.wait_for_others(user_id, job).await?;
        }
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
