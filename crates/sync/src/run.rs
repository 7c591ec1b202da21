//! A run over many members, started by cron or by an operator.
//!
//! A run ends when its members are done; cron starts the next one. A member's failure does not stop
//! the other members. If the quota is used up, the run ends and reports it.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use tokio::task::JoinHandle;
use uuid::Uuid;
use whoop_core::{UserId, plan::Slot, quota::PriorityClass};
use whoop_storage::table::{sync_log, sync_run};

pub use crate::run_report::{ComparisonSummary, RunReport};
use crate::{
    Engine, MemberOutcome, MemberReport, SyncContext, SyncError, member_sync::SyncRequest,
    reconcile::ReconcileRequest, run_selection::SelectedMember,
};

/// Request for a run: the task and its members.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// `scheduled` or `manual`.
    pub trigger: &'static str,
    pub task: RunTask,
    /// Members of the run; all connected members if empty.
    pub users: Vec<UserId>,
    /// Maximum number of members that are synced concurrently.
    pub parallel: usize,
}

/// The task of a run for each member.
#[derive(Debug, Clone)]
pub enum RunTask {
    /// Reads what is due; a night run also backfills histories.
    Sync(SyncRequest),
    /// Backfills the history, and reads nothing else.
    Backfill {
        /// Earliest time to read back to; each member's first record if not given.
        from: Option<DateTime<Utc>>,
    },
    /// Compares the stored records with WHOOP's.
    Reconcile(ReconcileRequest),
}

impl RunTask {
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Sync(errand) => errand.slot,
            Self::Backfill { .. } | Self::Reconcile(_) => None,
        }
    }

    /// Whether the task changes nothing.
    const fn is_dry_run(&self) -> bool {
        matches!(
            self,
            Self::Reconcile(ReconcileRequest { dry_run: true, .. })
        )
    }
}

/// The first quota refusal of each priority class. It ends that class in this run.
#[derive(Debug, Default)]
struct ClassRefusals([OnceLock<QuotaRefusal>; PriorityClass::ALL.len()]);

#[derive(Debug)]
struct QuotaRefusal {
    error: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl ClassRefusals {
    fn note(&self, class: PriorityClass, report: &MemberReport) {
        if report.ends_the_run
            && let Some(refusal) = self.0.get(class.index())
        {
            refusal.get_or_init(|| QuotaRefusal {
                error: report.error.clone(),
                retry_after_seconds: report.retry_after_seconds,
            });
        }
    }

    fn get(&self, class: PriorityClass) -> Option<&QuotaRefusal> {
        self.0.get(class.index())?.get()
    }
}

/// Time after which a run that did not extend its lifetime counts as killed.
const RUN_ALIVE_TIMEOUT: Duration = Duration::from_secs(120);

/// Extends the run's lifetime in the database until it is dropped.
struct RunKeepAlive(JoinHandle<()>);

impl RunKeepAlive {
    fn spawn(engine: &Engine, id: Uuid) -> Self {
        let engine = engine.clone();
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RUN_ALIVE_TIMEOUT / 4).await;
                let extended = async {
                    let mut conn = engine.database.get().await?;
                    sync_run::alive(&mut conn, id, RUN_ALIVE_TIMEOUT).await
                };
                if let Err(error) = extended.await {
                    tracing::warn!(%error, "the run's sign of life could not be stored");
                }
            }
        }))
    }
}

impl Drop for RunKeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Engine {
    /// Runs the task for all selected members, and notifies `watch` of each member that is done.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. Errors of single members are in the report.
    pub async fn run(
        &self,
        plan: &RunRequest,
        job: &SyncContext,
        watch: &(dyn RunObserver + Sync),
    ) -> Result<RunReport, SyncError> {
        let visits = self.select_members(plan).await?;
        if let Some(day) = visits.expected_calls {
            self.quota.store_expected_calls(day).await?;
        }
        let slot = plan.task.slot().map(Slot::as_str);
        let id = if plan.task.is_dry_run() {
            None
        } else {
            let mut conn = self.database.get().await?;
            sync_log::reset_interrupted(&mut conn).await?;
            let now = self.clock.now();
            let id = sync_run::begin(&mut conn, slot, plan.trigger, now, RUN_ALIVE_TIMEOUT).await?;
            Some((id, RunKeepAlive::spawn(self, id)))
        };
        match plan.task {
            RunTask::Backfill { .. } => watch.on_start(visits.backfills.len(), 0),
            RunTask::Sync(_) | RunTask::Reconcile(_) => {
                watch.on_start(visits.members.len(), visits.backfills.len());
            }
        }
        if plan.users.is_empty() && !plan.task.is_dry_run() {
            self.revoke_due(job).await?;
        }

        let mut reports = Vec::with_capacity(visits.members.len());
        let refusals = ClassRefusals::default();
        let mut turns: Vec<&SelectedMember> = visits.members.iter().collect();
        // Members are repeated last if another process syncs them, if they are waiting in the app,
        // or if WHOOP did not refresh their tokens.
        let mut attempt = job.without_lease_wait();
        while !turns.is_empty() {
            turns = self
                .run_members(plan, turns, &attempt, &refusals, watch, &mut reports)
                .await;
            attempt = job.clone();
        }
        self.run_backfills(plan, &visits.backfills, job, &refusals, watch, &mut reports)
            .await;

        let is_whole_night = plan.users.is_empty() && plan.task.slot() == Some(Slot::Night);
        if is_whole_night && let Err(error) = Box::pin(self.resume_first_syncs(job)).await {
            tracing::warn!(%error, "first syncs that have not ended could not be looked up");
        }
        // The members were read already: an error of the clean-up must not lose the run's report.
        let tidied = if is_whole_night && !job.stop.is_cancelled() {
            self.purge_expired().await
        } else {
            Ok(0)
        };
        let clean_up_error = tidied.as_ref().err().map(|error| {
            tracing::error!(%error, "the clean-up of the night failed; the next night repeats it");
            error.user_message()
        });
        let report = RunReport {
            slot,
            fresh: visits.up_to_date,
            left: visits.skipped_for_quota,
            stopped: job.stop.is_cancelled(),
            calls: job.calls(),
            removed_by_retention: tidied.unwrap_or(0),
            clean_up_error,
            comparison: match &plan.task {
                RunTask::Reconcile(reconcile) => {
                    Some(ComparisonSummary::from_reports(reconcile, &reports))
                }
                RunTask::Sync(_) | RunTask::Backfill { .. } => None,
            },
            ..RunReport::from_reports(reports, self.clock.now())
        };
        if let Some((id, keep_alive)) = id {
            drop(keep_alive);
            let finished = report.finished_row(self.clock.now());
            let noted = async {
                let mut conn = self.database.get().await?;
                sync_run::finish(&mut conn, id, &finished).await
            };
            if let Err(error) = noted.await {
                tracing::error!(%error, "the end of the run could not be stored");
            }
        }
        Ok(report)
    }

    /// Syncs these members. Returns the members to sync later, because another process syncs them,
    /// they are waiting in the app, or their tokens could not be refreshed.
    async fn run_members<'v>(
        &self,
        plan: &RunRequest,
        turns: Vec<&'v SelectedMember>,
        job: &SyncContext,
        refusals: &ClassRefusals,
        watch: &(dyn RunObserver + Sync),
        reports: &mut Vec<MemberReport>,
    ) -> Vec<&'v SelectedMember> {
        let mut busy = Vec::new();
        let mut under_way = stream::iter(turns)
            .map(|visit| async move { (visit, self.run_member(plan, visit, job, refusals).await) })
            .buffer_unordered(plan.parallel.max(1));
        while let Some((visit, synced)) = under_way.next().await {
            let comes_last = match &synced {
                Ok(report) => report.lacks_token() && job.lease_timeout.is_zero(),
                Err(SyncError::Yielded) => true,
                Err(error) => {
                    (matches!(error, SyncError::Busy) || error.is_refresh_failure())
                        && job.lease_timeout.is_zero()
                }
            };
            if comes_last && !job.stop.is_cancelled() {
                busy.push(visit);
                continue;
            }
            let report =
                synced.unwrap_or_else(|error| MemberReport::from_error(&visit.user_id, &error));
            watch.on_member_done(&report);
            refusals.note(visit.class, &report);
            reports.push(report);
        }
        busy
    }

    /// Backfills histories, with the quota that the syncs of the members have not used.
    async fn run_backfills(
        &self,
        plan: &RunRequest,
        members: &[UserId],
        job: &SyncContext,
        refusals: &ClassRefusals,
        watch: &(dyn RunObserver + Sync),
        reports: &mut Vec<MemberReport>,
    ) {
        // Nothing of these members could be read; more attempts would not help.
        let is_out_of_order = |one: &MemberReport| {
            one.outcome == MemberOutcome::Failed && one.types.iter().all(|one| one.error.is_some())
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
            .map(|user_id| self.run_backfill(plan, user_id, job, refusals))
            .buffer_unordered(plan.parallel.max(1));
        while let Some(more) = under_way.next().await {
            if matches!(plan.task, RunTask::Backfill { .. }) {
                watch.on_member_done(&more);
            }
            refusals.note(PriorityClass::Backfill, &more);
            let place = places.get(&more.user_id);
            let known = place.and_then(|place| reports.get_mut(*place));
            match known {
                Some(report) => report.merge(more),
                None => reports.push(more),
            }
        }
    }

    async fn run_backfill(
        &self,
        plan: &RunRequest,
        user_id: &UserId,
        job: &SyncContext,
        refusals: &ClassRefusals,
    ) -> MemberReport {
        let from = match plan.task {
            RunTask::Backfill { from } => from,
            RunTask::Sync(_) | RunTask::Reconcile(_) => None,
        };
        match skipped_report(user_id, job, PriorityClass::Backfill, refusals) {
            Some(report) => report,
            None => {
                let read = self.backfill_member(user_id, job, from).await;
                read.unwrap_or_else(|error| MemberReport::from_error(user_id, &error))
            }
        }
    }

    async fn run_member(
        &self,
        plan: &RunRequest,
        visit: &SelectedMember,
        job: &SyncContext,
        refusals: &ClassRefusals,
    ) -> Result<MemberReport, SyncError> {
        let SelectedMember {
            user_id,
            request: errand,
            ..
        } = visit;
        if let Some(report) = skipped_report(user_id, job, visit.class, refusals) {
            return Ok(report);
        }
        let job = job.with_class(visit.class);
        if let RunTask::Reconcile(reconcile) = &plan.task {
            return self.reconcile_member(user_id, &job, reconcile).await;
        }
        match &visit.decided_on {
            Some(reads) => self.sync_unless_read(user_id, &job, errand, reads).await,
            None => self.sync_member(user_id, &job, errand).await,
        }
    }
}

/// Returns the report of a member who is not synced in this run; `None` if the member is to be
/// synced.
fn skipped_report(
    user_id: &UserId,
    job: &SyncContext,
    class: PriorityClass,
    refusals: &ClassRefusals,
) -> Option<MemberReport> {
    if job.stop.is_cancelled() {
        return Some(MemberReport::without_types(
            user_id,
            MemberOutcome::Stopped,
            None,
        ));
    }
    let refusal = refusals.get(class)?;
    Some(MemberReport {
        error: refusal.error.clone(),
        retry_after_seconds: refusal.retry_after_seconds,
        ..MemberReport::without_types(user_id, MemberOutcome::Deferred, None)
    })
}

/// Observer of a run: a progress bar, or the log.
pub trait RunObserver {
    /// Called once at the start: `members` will be synced; `histories` members get a history
    /// backfill afterwards.
    fn on_start(&self, members: usize, histories: usize);
    fn on_member_done(&self, report: &MemberReport);
}
