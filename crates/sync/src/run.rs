//! A run over many members, for cron and for people.
//!
//! Nothing here loops until tomorrow: cron does that. A member that fails
//! stops nobody else; a quota that is spent ends the run and says so.

use futures::{StreamExt, stream};
use serde::Serialize;
use whoop_core::{
    DataType, UserId,
    plan::{Slot, Window},
};
use whoop_storage::{
    page::Stored,
    table::{
        sync_run::{self, Finished},
        users,
    },
};

use crate::{Engine, Job, MemberReport, Outcome, SyncError, member::Errand};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `scheduled` or `manual`.
    pub trigger: &'static str,
    pub errand: Errand,
    /// Only these; everybody who is connected if empty.
    pub users: Vec<UserId>,
    /// Members at the same time.
    pub parallel: usize,
}

/// What a run came to.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub slot: Option<&'static str>,
    pub members: usize,
    pub synced: usize,
    pub failed: usize,
    pub deferred: usize,
    pub stopped: bool,
    pub calls: u64,
    #[serde(flatten)]
    pub stored: Stored,
    pub reports: Vec<MemberReport>,
}

/// One member of a dry run: what would be read.
#[derive(Debug, Serialize)]
pub struct Planned {
    pub user_id: String,
    pub windows: Vec<PlannedWindow>,
}

#[derive(Debug, Serialize)]
pub struct PlannedWindow {
    pub data_type: DataType,
    pub start: Option<chrono::DateTime<chrono::Utc>>,
    pub end: chrono::DateTime<chrono::Utc>,
    /// Calls this takes at the least; each page after the first is one more.
    pub calls: u32,
}

impl PlannedWindow {
    const fn of((data_type, window): (DataType, Window)) -> Self {
        Self {
            data_type,
            start: window.start,
            end: window.end,
            calls: 1,
        }
    }
}

impl Engine {
    /// The members of a run: those named, else everybody who is connected.
    async fn members(&self, plan: &Plan) -> Result<Vec<UserId>, SyncError> {
        if !plan.users.is_empty() {
            return Ok(plan.users.clone());
        }
        let mut conn = self.database.get().await?;
        let ids = users::list_connected(&mut conn).await?;
        Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// What a run would read, without a call to WHOOP.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn dry_run(&self, plan: &Plan) -> Result<Vec<Planned>, SyncError> {
        let mut planned = Vec::new();
        for user_id in self.members(plan).await? {
            let windows = self.windows(&user_id, &plan.errand).await?;
            planned.push(Planned {
                user_id: user_id.to_string(),
                windows: windows.into_iter().map(PlannedWindow::of).collect(),
            });
        }
        Ok(planned)
    }

    /// Runs, telling `watch` of each member that is done.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away. What goes wrong with a member is in the report.
    pub async fn run(
        &self,
        plan: &Plan,
        job: &Job,
        watch: &(dyn Watch + Sync),
    ) -> Result<RunReport, SyncError> {
        let members = self.members(plan).await?;
        let slot = plan.errand.slot.map(Slot::as_str);
        let id = {
            let mut conn = self.database.get().await?;
            sync_run::begin(&mut conn, slot, plan.trigger, self.clock.now()).await?
        };
        watch.begins(members.len());

        let mut reports = Vec::with_capacity(members.len());
        let mut ended = false;
        {
            let mut under_way = stream::iter(&members)
                .map(|user_id| self.run_member(user_id, job, &plan.errand))
                .buffer_unordered(plan.parallel.max(1));
            while let Some(report) = under_way.next().await {
                watch.member(&report);
                // Whatever is under way finds the same gate closed by itself.
                ended |= report.ends_the_run();
                if ended {
                    job.stop.cancel();
                }
                reports.push(report);
            }
        }

        let stopped_from_outside = job.stop.is_cancelled() && !ended;
        let count = |outcome| reports.iter().filter(|one| one.outcome == outcome).count();
        let put_off = count(Outcome::Deferred) + if ended { count(Outcome::Stopped) } else { 0 };
        let report = RunReport {
            slot,
            members: members.len(),
            synced: count(Outcome::Done) + count(Outcome::Shared),
            failed: count(Outcome::Failed),
            deferred: put_off,
            stopped: stopped_from_outside,
            calls: job.calls(),
            stored: reports.iter().fold(Stored::default(), |mut sum, one| {
                sum += one.stored();
                sum
            }),
            reports,
        };
        let finished = Finished {
            status: if report.failed > 0 {
                "failed"
            } else if report.stopped {
                "stopped"
            } else if report.deferred > 0 {
                "deferred"
            } else {
                "success"
            },
            finished_at: self.clock.now(),
            members: as_i64(report.members as u64),
            calls: as_i64(report.calls),
            records: as_i64(report.stored.written()),
            failures: as_i64(report.failed as u64),
            detail: report.reports.iter().find_map(|one| one.error.clone()),
        };
        let mut conn = self.database.get().await?;
        sync_run::finish(&mut conn, id, &finished).await?;
        Ok(report)
    }

    async fn run_member(&self, user_id: &UserId, job: &Job, errand: &Errand) -> MemberReport {
        if job.stop.is_cancelled() {
            return MemberReport::without_types(user_id, Outcome::Stopped, None);
        }
        match self.sync_member(user_id, job, errand).await {
            Ok(report) => report,
            Err(error) => {
                let outcome = match &error {
                    SyncError::Stopped => Outcome::Stopped,
                    error if error.quota_wait().is_some() => Outcome::Deferred,
                    _ => Outcome::Failed,
                };
                MemberReport::without_types(user_id, outcome, Some(&error))
            }
        }
    }
}

/// Somebody who looks on: a progress bar, or the log.
pub trait Watch {
    fn begins(&self, members: usize);
    fn member(&self, report: &MemberReport);
}

fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
