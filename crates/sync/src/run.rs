//! A run over many members, for cron and for people.
//!
//! Nothing here loops until tomorrow: cron does that. A member that fails
//! stops nobody else; a quota that is spent ends the run and says so.

use std::{sync::OnceLock, time::Duration};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde::Serialize;
use whoop_core::{
    DataType, UserId,
    day::Connection,
    plan::{self, LOOK_BACK, Slot, Window},
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
///
/// Members that are neither synced nor failed nor put off were left by a stop.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub slot: Option<&'static str>,
    pub members: usize,
    pub synced: usize,
    pub failed: usize,
    /// Put off because of the quota, or of the calls that were allowed.
    pub deferred: usize,
    /// When the quota allows what was put off; `None` if it did not stand in
    /// the way.
    pub goes_on_at: Option<DateTime<Utc>>,
    /// Told to stop, by a signal.
    pub stopped: bool,
    pub calls: u64,
    /// Rows that `RETENTION_DAYS` removed; only the night does.
    pub removed_by_retention: u64,
    #[serde(flatten)]
    pub stored: Stored,
    pub reports: Vec<MemberReport>,
}

/// One member of a dry run: what would be read.
#[derive(Debug, Serialize)]
pub struct Planned {
    pub user_id: String,
    /// Why nothing can be read of this member.
    pub error: Option<String>,
    pub windows: Vec<PlannedWindow>,
}

#[derive(Debug, Serialize)]
pub struct PlannedWindow {
    pub data_type: DataType,
    pub start: Option<DateTime<Utc>>,
    pub end: DateTime<Utc>,
    /// Calls this takes, for a member with a record a day.
    pub calls: u32,
    /// Older pages follow, until the member's first record; how many is not
    /// known before.
    pub history: bool,
}

impl Planned {
    /// Calls that are sure to be made.
    pub fn calls(&self) -> u32 {
        self.windows.iter().map(|window| window.calls).sum()
    }
}

/// What keeps a run from beginning another member.
#[derive(Debug)]
struct Spent {
    error: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl RunReport {
    /// Members that a stop left before their end.
    pub const fn unfinished(&self) -> usize {
        self.members - self.synced - self.failed - self.deferred
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
            planned.push(self.planned(&user_id, &plan.errand).await?);
        }
        Ok(planned)
    }

    async fn planned(&self, user_id: &UserId, errand: &Errand) -> Result<Planned, SyncError> {
        let status = self.status(user_id).await?;
        let error = match status.connection {
            Connection::Connected => None,
            Connection::ReauthRequired => Some(SyncError::ReauthRequired),
            Connection::Disconnected | Connection::NeverConnected => Some(SyncError::NotConnected),
        };
        let mut windows = Vec::new();
        if error.is_none() {
            for (data_type, window) in self.windows(user_id, errand, self.clock.now()).await? {
                windows.push(
                    self.planned_window(user_id, errand, status.kept_from, data_type, window)
                        .await?,
                );
            }
        }
        Ok(Planned {
            user_id: user_id.to_string(),
            error: error.map(|error| error.to_string()),
            windows,
        })
    }

    async fn planned_window(
        &self,
        user_id: &UserId,
        errand: &Errand,
        kept_from: Option<DateTime<Utc>>,
        data_type: DataType,
        window: Window,
    ) -> Result<PlannedWindow, SyncError> {
        let by_id = self
            .count_by_id(user_id, data_type, window.end - LOOK_BACK)
            .await?;
        let coverage = self.coverage(user_id).await?;
        let known = coverage.iter().find(|one| one.data_type == data_type);
        let is_whole = known.is_some_and(|one| {
            one.covered_from.is_some() && plan::history(one, kept_from).is_none()
        });
        Ok(PlannedWindow {
            data_type,
            start: window.start,
            end: window.end,
            calls: window.calls() + u32::try_from(by_id).unwrap_or(0),
            history: errand.history && !is_whole,
        })
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
        if plan.users.is_empty() {
            self.revoke_due(job).await?;
        }

        let mut reports = Vec::with_capacity(members.len());
        let spent = OnceLock::new();
        {
            let mut under_way = stream::iter(&members)
                .map(|user_id| self.run_member(user_id, job, &plan.errand, &spent))
                .buffer_unordered(plan.parallel.max(1));
            while let Some(report) = under_way.next().await {
                watch.member(&report);
                // Whatever is under way finds the same gate closed by itself.
                if report.ends_the_run() {
                    spent.get_or_init(|| Spent {
                        error: report.error.clone(),
                        retry_after_seconds: report.retry_after_seconds,
                    });
                }
                reports.push(report);
            }
        }

        let is_whole_night = plan.users.is_empty() && plan.errand.slot == Some(Slot::Night);
        let removed_by_retention = if is_whole_night && !job.stop.is_cancelled() {
            self.tidy().await?
        } else {
            0
        };
        let count = |outcome| reports.iter().filter(|one| one.outcome == outcome).count();
        let report = RunReport {
            slot,
            members: members.len(),
            synced: count(Outcome::Done) + count(Outcome::Shared),
            failed: count(Outcome::Failed),
            deferred: count(Outcome::Deferred),
            goes_on_at: reports
                .iter()
                .filter_map(|one| one.retry_after_seconds)
                .max()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| self.clock.now() + Duration::from_secs(seconds)),
            stopped: job.stop.is_cancelled(),
            calls: job.calls(),
            removed_by_retention,
            stored: reports.iter().fold(Stored::default(), |mut sum, one| {
                sum += one.stored();
                sum
            }),
            reports,
        };
        let finished = Finished {
            status: if report.failed > 0 {
                "failed"
            } else if report.unfinished() > 0 {
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

    async fn run_member(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
        spent: &OnceLock<Spent>,
    ) -> MemberReport {
        if job.stop.is_cancelled() {
            return MemberReport::without_types(user_id, Outcome::Stopped, None);
        }
        if let Some(spent) = spent.get() {
            return MemberReport {
                error: spent.error.clone(),
                retry_after_seconds: spent.retry_after_seconds,
                ..MemberReport::without_types(user_id, Outcome::Deferred, None)
            };
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
