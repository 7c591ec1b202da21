//! Syncs that no caller waits for: an app request that comes between only interrupts them, and a span
//! that reaches far back is read page by page.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{
    DataType, UserId,
    plan::{LOOK_BACK, Window},
    quota::PriorityClass,
};

use crate::{Engine, Job, MemberReport, Outcome, SyncError, member::Errand, window::Read};

impl Errand {
    /// Whether it reads farther back than any window, so that it must not delay other members.
    pub fn reads_history(&self, now: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| since < now - LOOK_BACK)
    }
}

impl Engine {
    /// Syncs one member in the background. If [`Errand::reads_history`], it runs in the backfill class and
    /// gives up the member lease after each page.
    ///
    /// # Errors
    ///
    /// Only what concerns no single type, such as a database that is away.
    pub async fn sync_in_background(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
    ) -> Result<MemberReport, SyncError> {
        match errand.since {
            Some(since) if errand.reads_history(self.clock.now()) => {
                let job = job.of(PriorityClass::Backfill);
                let newest = Errand {
                    since: None,
                    ..errand.clone()
                };
                let mut report = self.sync_to_the_end(user_id, &job, &newest).await?;
                if matches!(report.outcome, Outcome::Done | Outcome::Shared) {
                    self.read_back(user_id, &job, &errand.data_types, since, &mut report)
                        .await?;
                }
                Ok(report)
            }
            _ => self.sync_to_the_end(user_id, job, errand).await,
        }
    }

    /// Syncs a member, again after each app request of the member that came between.
    async fn sync_to_the_end(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
    ) -> Result<MemberReport, SyncError> {
        let mut job = job.clone();
        loop {
            match self.sync_on_request(user_id, &job, errand).await {
                Err(SyncError::Yielded) => job = job.waiting_for_others(),
                ended => return ended,
            }
        }
    }

    /// Reads these types back to `since`, whatever is covered, after their newest days were read.
    async fn read_back(
        &self,
        user_id: &UserId,
        job: &Job,
        data_types: &[DataType],
        since: DateTime<Utc>,
        report: &mut MemberReport,
    ) -> Result<(), SyncError> {
        let job = job.waiting_for_others();
        let since = self
            .not_before(user_id, Some(since))
            .await?
            .unwrap_or(since);
        let coverage = self.coverage(user_id).await?;
        let granted = coverage.iter().map(|one| one.data_type);
        for data_type in granted.filter(|one| data_types.contains(one)) {
            let mut types = report.types.iter();
            let newest = types.find(|one| one.data_type == data_type);
            let end = newest.and_then(|one| one.proven).map(|(from, _)| from);
            let mut read = Read::default();
            let ended = self
                .read_pages_back(user_id, &job, data_type, end, since, &mut read)
                .await;
            let more = self.report(user_id, data_type, read, ended).await;
            report.and(MemberReport::of(user_id, vec![more]));
            if report.outcome != Outcome::Done {
                break;
            }
        }
        Ok(())
    }

    /// Reads one page after the other, each with the member lease, from `end` or the present to `since`
    /// or the member's first record.
    async fn read_pages_back(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        end: Option<DateTime<Utc>>,
        since: DateTime<Utc>,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let mut oldest = end.unwrap_or_else(|| self.clock.now());
        while oldest > since {
            // The record at `oldest` is older than this, so that one page is enough.
            let end = oldest + TimeDelta::milliseconds(1);
            let window = Window {
                must_reach: end,
                end,
            };
            let turn = self.take_turn(user_id, job).await?;
            let ended = self
                .read_type(user_id, &turn.job, data_type, window, false, read)
                .await;
            self.end_turn(turn).await?;
            match ended {
                // The page is read again after the app request.
                Err(SyncError::Yielded) => continue,
                ended => ended?,
            }
            let from = read.proven.map_or(oldest, |(from, _)| from);
            if read.list_ended || from >= oldest {
                break;
            }
            oldest = from;
        }
        Ok(())
    }
}
