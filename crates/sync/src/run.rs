//! A run over many members, for cron and for people.
//!
//! Nothing here loops until tomorrow: cron does that. A member that fails
//! stops nobody else; a quota that is spent ends the run and says so.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde::Serialize;
use whoop_core::{UserId, plan::Slot};
use whoop_storage::{
    page::Stored,
    table::sync_run::{self, Finished},
};

use crate::{Engine, Job, MemberReport, Outcome, SyncError, member::Errand, visits::Visit};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `scheduled` or `manual`.
    pub trigger: &'static str,
    pub errand: Errand,
    /// Goes on with history, and reads nothing else.
    pub back_fill: Option<BackFill>,
    /// Only these; everybody who is connected if empty.
    pub users: Vec<UserId>,
    /// Members at the same time.
    pub parallel: usize,
}

/// How far a back-fill goes.
#[derive(Debug, Clone, Copy)]
pub struct BackFill {
    /// Back to here; to each member's first record if not given.
    pub from: Option<DateTime<Utc>>,
}

/// What a run came to.
///
/// Members that are neither synced nor failed nor put off were left by a stop.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub slot: Option<&'static str>,
    /// Members who had a turn.
    pub members: usize,
    /// Members of whom everything was read a moment ago; they had none.
    pub fresh: usize,
    /// Members who are read when they come, because the quota is scarce.
    pub left: usize,
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
        let visits = self.visits(plan).await?;
        if let Some(day) = visits.day {
            self.budget.expect(day).await?;
        }
        let slot = plan.errand.slot.map(Slot::as_str);
        let id = {
            let mut conn = self.database.get().await?;
            sync_run::begin(&mut conn, slot, plan.trigger, self.clock.now()).await?
        };
        watch.begins(match plan.back_fill {
            Some(_) => visits.histories.len(),
            None => visits.turns.len(),
        });
        if plan.users.is_empty() {
            self.revoke_due(job).await?;
        }

        let mut reports = Vec::with_capacity(visits.turns.len());
        let spent = OnceLock::new();
        let parallel = plan.parallel.max(1);
        {
            let mut under_way = stream::iter(&visits.turns)
                .map(|visit| self.run_member(visit, job, &spent))
                .buffer_unordered(parallel);
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
        self.run_histories(plan, &visits.histories, job, &spent, watch, &mut reports)
            .await;

        let is_whole_night = plan.users.is_empty() && plan.errand.slot == Some(Slot::Night);
        let removed_by_retention = if is_whole_night && !job.stop.is_cancelled() {
            self.tidy().await?
        } else {
            0
        };
        let count = |outcome| reports.iter().filter(|one| one.outcome == outcome).count();
        let report = RunReport {
            slot,
            members: reports.len(),
            fresh: visits.fresh,
            left: visits.left,
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

    /// Goes on with histories, with what everybody's turn has left of the day.
    async fn run_histories(
        &self,
        plan: &Plan,
        members: &[UserId],
        job: &Job,
        spent: &OnceLock<Spent>,
        watch: &(dyn Watch + Sync),
        reports: &mut Vec<MemberReport>,
    ) {
        // Nothing of them could be read; as many attempts more would not help.
        let is_out_of_order = |one: &MemberReport| {
            one.outcome == Outcome::Failed && one.types.iter().all(|one| one.error.is_some())
        };
        let out_of_order: HashSet<String> = reports
            .iter()
            .filter(|one| is_out_of_order(one))
            .map(|one| one.user_id.clone())
            .collect();
        let places: HashMap<String, usize> = reports
            .iter()
            .enumerate()
            .map(|(place, one)| (one.user_id.clone(), place))
            .collect();
        let members = members
            .iter()
            .filter(|user_id| !out_of_order.contains(user_id.as_str()));
        let mut under_way = stream::iter(members)
            .map(|user_id| self.run_history(plan, user_id, job, spent))
            .buffer_unordered(plan.parallel.max(1));
        while let Some(more) = under_way.next().await {
            if plan.back_fill.is_some() {
                watch.member(&more);
            }
            if more.ends_the_run() {
                spent.get_or_init(|| Spent {
                    error: more.error.clone(),
                    retry_after_seconds: more.retry_after_seconds,
                });
            }
            let place = places.get(&more.user_id);
            let known = place.and_then(|place| reports.get_mut(*place));
            match known {
                Some(report) => report.and(more),
                None => reports.push(more),
            }
        }
    }

    async fn run_history(
        &self,
        plan: &Plan,
        user_id: &UserId,
        job: &Job,
        spent: &OnceLock<Spent>,
    ) -> MemberReport {
        let from = plan.back_fill.and_then(|back_fill| back_fill.from);
        match self.not_begun(user_id, job, spent) {
            Some(report) => report,
            None => outcome_of(user_id, self.back_fill(user_id, job, from).await),
        }
    }

    async fn run_member(&self, visit: &Visit, job: &Job, spent: &OnceLock<Spent>) -> MemberReport {
        match self.not_begun(&visit.user_id, job, spent) {
            Some(report) => report,
            None => {
                let job = job.of(visit.class);
                let synced = self.sync_member(&visit.user_id, &job, &visit.errand).await;
                outcome_of(&visit.user_id, synced)
            }
        }
    }

    /// Why a member's turn does not begin, if it does not.
    fn not_begun(
        &self,
        user_id: &UserId,
        job: &Job,
        spent: &OnceLock<Spent>,
    ) -> Option<MemberReport> {
        if job.stop.is_cancelled() {
            return Some(MemberReport::without_types(user_id, Outcome::Stopped, None));
        }
        let spent = spent.get()?;
        Some(MemberReport {
            error: spent.error.clone(),
            retry_after_seconds: spent.retry_after_seconds,
            ..MemberReport::without_types(user_id, Outcome::Deferred, None)
        })
    }
}

fn outcome_of(user_id: &UserId, synced: Result<MemberReport, SyncError>) -> MemberReport {
    synced.unwrap_or_else(|error| {
        let outcome = match &error {
            SyncError::Stopped => Outcome::Stopped,
            error if error.quota_wait().is_some() => Outcome::Deferred,
            _ => Outcome::Failed,
        };
        MemberReport::without_types(user_id, outcome, Some(&error))
    })
}

/// Somebody who looks on: a progress bar, or the log.
pub trait Watch {
    fn begins(&self, members: usize);
    fn member(&self, report: &MemberReport);
}

fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
