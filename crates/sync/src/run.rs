//! Runs over many members, started by cron or by an operator.
//!
//! A run ends when its members are done; cron starts the next run. The failure of one member does
//! not stop the other members. If the quota is used up, the remaining members are deferred, and the
//! report contains the reason.

use std::sync::Arc;
use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
    time::Duration,
};
use whoop_core::Clock;
use whoop_storage::Database;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use tokio::task::JoinHandle;
use uuid::Uuid;
use whoop_core::{UserId, plan::Slot, quota::PriorityClass};
use whoop_storage::table::{sync_log, sync_run};

pub use crate::run_report::{ComparisonSummary, RunReport};
use crate::{
    EngineSettings, FirstSyncs, MemberOutcome, MemberReport, MemberSync, Quota, Reconciliation,
    RecordRetention, Revocations, SyncContext, SyncError, member_sync::SyncRequest,
    reconcile::ReconcileRequest, run_selection::SelectedMember,
};

/// Request for a run: the task, and the members to whom it applies.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Origin of the run: `scheduled` or `manual`.
    pub trigger: &'static str,
    pub task: RunTask,
    /// Members of the run; if empty, all connected members.
    pub users: Vec<UserId>,
    /// Maximum number of members that are synced concurrently.
    pub parallel: usize,
}

/// Task that a run performs for each of its members.
#[derive(Debug, Clone)]
pub enum RunTask {
    /// Reads the data types that are due. A run of the night slot also continues to read older
    /// history (backfill).
    Sync(SyncRequest),
    /// Reads older history (backfill).
    Backfill {
        /// Earliest time to read back to; `None` for each member's first record.
        from: Option<DateTime<Utc>>,
    },
    /// Compares the stored records with WHOOP's records, and repairs the differences unless the
    /// request is a dry run.
    Reconcile(ReconcileRequest),
}

impl RunTask {
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Sync(request) => request.slot,
            Self::Backfill { .. } | Self::Reconcile(_) => None,
        }
    }

    /// Whether the task is a dry run, which changes no stored record.
    const fn is_dry_run(&self) -> bool {
        matches!(
            self,
            Self::Reconcile(ReconcileRequest { dry_run: true, .. })
        )
    }
}

/// The first refusal by the quota in each priority class. After it, the run syncs no more members
/// of that class.
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

/// Time after which a run counts as killed if its process has not extended the run's lifetime in
/// the database.
const RUN_ALIVE_TIMEOUT: Duration = Duration::from_secs(120);

/// Task that extends the lifetime of a run in the database, until this value is dropped.
struct RunKeepAlive(JoinHandle<()>);

impl RunKeepAlive {
    fn spawn(database: &Database, id: Uuid) -> Self {
        let database = database.clone();
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RUN_ALIVE_TIMEOUT / 4).await;
                let extended = async {
                    let mut conn = database.get().await?;
                    sync_run::alive(&mut conn, id, RUN_ALIVE_TIMEOUT).await
                };
                if let Err(error) = extended.await {
                    tracing::warn!(
                        %error,
                        "could not extend the lifetime of the run in the database"
                    );
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

/// Runs that sync, reconcile or backfill many members, each in a priority class.
#[derive(Debug, Clone)]
pub struct ScheduledRuns {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: EngineSettings,
    pub(crate) quota: Arc<Quota>,
    pub(crate) retention: Arc<RecordRetention>,
    pub(crate) members: Arc<MemberSync>,
    pub(crate) reconciliation: Arc<Reconciliation>,
    pub(crate) first_syncs: Arc<FirstSyncs>,
    pub(crate) revocations: Arc<Revocations>,
}

impl ScheduledRuns {
    /// Performs the task of a run for all selected members, and reports each finished member to
    /// `observer`.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. Errors of single members are in the report.
    pub async fn run(
        &self,
        plan: &RunRequest,
        context: &SyncContext,
        observer: &(dyn RunObserver + Sync),
    ) -> Result<RunReport, SyncError> {
        let selection = self.select_members(plan).await?;
        if let Some(expected_calls) = selection.expected_calls {
            self.quota.pool.store_expected_calls(expected_calls).await?;
        }
        let slot = plan.task.slot().map(Slot::as_str);
        let id = if plan.task.is_dry_run() {
            None
        } else {
            let mut conn = self.database.get().await?;
            sync_log::reset_interrupted(&mut conn).await?;
            let now = self.clock.now();
            let id = sync_run::begin(&mut conn, slot, plan.trigger, now, RUN_ALIVE_TIMEOUT).await?;
            Some((id, RunKeepAlive::spawn(&self.database, id)))
        };
        match plan.task {
            RunTask::Backfill { .. } => observer.on_start(selection.backfills.len(), 0),
            RunTask::Sync(_) | RunTask::Reconcile(_) => {
                observer.on_start(selection.members.len(), selection.backfills.len());
            }
        }
        if plan.users.is_empty() && !plan.task.is_dry_run() {
            self.revocations.revoke_due(context).await?;
        }

        let mut reports = Vec::with_capacity(selection.members.len());
        let refusals = ClassRefusals::default();
        let mut waiting: Vec<&SelectedMember> = selection.members.iter().collect();
        // The first pass postpones a member if another process is syncing the member, if the
        // member's app is waiting for data, or if WHOOP did not refresh the member's tokens. These
        // members are synced after all others.
        let mut attempt = context.without_lease_wait();
        while !waiting.is_empty() {
            waiting = self
                .run_members(plan, waiting, &attempt, &refusals, observer, &mut reports)
                .await;
            attempt = context.clone();
        }
        self.run_backfills(
            plan,
            &selection.backfills,
            context,
            &refusals,
            observer,
            &mut reports,
        )
        .await;

        let is_full_night_run = plan.users.is_empty() && plan.task.slot() == Some(Slot::Night);
        if is_full_night_run
            && let Err(error) = Box::pin(self.first_syncs.resume_first_syncs(context)).await
        {
            tracing::warn!(%error, "could not look up unfinished first syncs");
        }
        // The members were already read. An error of the clean-up must therefore not prevent the
        // report of the run.
        let purged = if is_full_night_run && !context.stop.is_cancelled() {
            self.retention.purge_expired().await
        } else {
            Ok(0)
        };
        let clean_up_error = purged.as_ref().err().map(|error| {
            tracing::error!(%error, "nightly clean-up failed; the next night run repeats it");
            error.user_message()
        });
        let report = RunReport {
            slot,
            fresh: selection.up_to_date,
            left: selection.skipped_for_quota,
            stopped: context.stop.is_cancelled(),
            calls: context.calls(),
            removed_by_retention: purged.unwrap_or(0),
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
            let stored = async {
                let mut conn = self.database.get().await?;
                sync_run::finish(&mut conn, id, &finished).await
            };
            if let Err(error) = stored.await {
                tracing::error!(%error, "could not store the end of the run");
            }
        }
        Ok(report)
    }

    /// Syncs these members, and adds their reports to `reports`.
    ///
    /// Returns the members that have to be synced later, because another process is syncing them,
    /// their app is waiting for data, or their tokens could not be refreshed.
    async fn run_members<'s>(
        &self,
        plan: &RunRequest,
        waiting: Vec<&'s SelectedMember>,
        context: &SyncContext,
        refusals: &ClassRefusals,
        observer: &(dyn RunObserver + Sync),
        reports: &mut Vec<MemberReport>,
    ) -> Vec<&'s SelectedMember> {
        let mut postponed = Vec::new();
        let mut syncs = stream::iter(waiting)
            .map(|selected| async move {
                (
                    selected,
                    self.run_member(plan, selected, context, refusals).await,
                )
            })
            .buffer_unordered(plan.parallel.max(1));
        while let Some((selected, synced)) = syncs.next().await {
            let is_postponed = match &synced {
                Ok(report) => report.lacks_token() && context.lease_timeout.is_zero(),
                Err(SyncError::Yielded) => true,
                Err(error) => {
                    (matches!(error, SyncError::Busy) || error.is_refresh_failure())
                        && context.lease_timeout.is_zero()
                }
            };
            if is_postponed && !context.stop.is_cancelled() {
                postponed.push(selected);
                continue;
            }
            let report = match synced {
                Ok(report) => report,
                // The run was stopped, so the postponed member is not tried again.
                Err(_) if is_postponed => {
                    MemberReport::from_error(&selected.user_id, &SyncError::Stopped)
                }
                Err(error) => MemberReport::from_error(&selected.user_id, &error),
            };
            observer.on_member_done(&report);
            refusals.note(selected.class, &report);
            reports.push(report);
        }
        postponed
    }

    /// Backfills the history of members, with the quota that the syncs before it have not used.
    async fn run_backfills(
        &self,
        plan: &RunRequest,
        members: &[UserId],
        context: &SyncContext,
        refusals: &ClassRefusals,
        observer: &(dyn RunObserver + Sync),
        reports: &mut Vec<MemberReport>,
    ) {
        // If all data types of a member failed, further attempts would fail as well.
        let has_failed = |one: &MemberReport| {
            one.outcome == MemberOutcome::Failed && one.types.iter().all(|one| one.error.is_some())
        };
        let failed_members: HashSet<String> = reports
            .iter()
            .filter(|one| has_failed(one))
            .map(|one| one.user_id.clone())
            .collect();
        let indexes: HashMap<String, usize> = reports
            .iter()
            .enumerate()
            .map(|(index, one)| (one.user_id.clone(), index))
            .collect();
        let members = members
            .iter()
            .filter(|user_id| !failed_members.contains(user_id.as_str()));
        let mut backfills = stream::iter(members)
            .map(|user_id| self.run_backfill(plan, user_id, context, refusals))
            .buffer_unordered(plan.parallel.max(1));
        while let Some(more) = backfills.next().await {
            if matches!(plan.task, RunTask::Backfill { .. }) {
                observer.on_member_done(&more);
            }
            refusals.note(PriorityClass::Backfill, &more);
            let index = indexes.get(&more.user_id);
            let known = index.and_then(|index| reports.get_mut(*index));
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
        context: &SyncContext,
        refusals: &ClassRefusals,
    ) -> MemberReport {
        let from = match plan.task {
            RunTask::Backfill { from } => from,
            RunTask::Sync(_) | RunTask::Reconcile(_) => None,
        };
        match skipped_report(user_id, context, PriorityClass::Backfill, refusals) {
            Some(report) => report,
            None => {
                let read = self.members.backfill_member(user_id, context, from).await;
                read.unwrap_or_else(|error| MemberReport::from_error(user_id, &error))
            }
        }
    }

    async fn run_member(
        &self,
        plan: &RunRequest,
        selected: &SelectedMember,
        context: &SyncContext,
        refusals: &ClassRefusals,
    ) -> Result<MemberReport, SyncError> {
        let SelectedMember {
            user_id, request, ..
        } = selected;
        if let Some(report) = skipped_report(user_id, context, selected.class, refusals) {
            return Ok(report);
        }
        let context = context.with_class(selected.class);
        if let RunTask::Reconcile(reconcile) = &plan.task {
            return self
                .reconciliation
                .reconcile_member(user_id, &context, reconcile)
                .await;
        }
        match &selected.decided_on {
            Some(reads) => {
                self.members
                    .sync_unless_read(user_id, &context, request, reads)
                    .await
            }
            None => self.members.sync_member(user_id, &context, request).await,
        }
    }
}

/// Returns the report of a member whom the run skips, because the run was stopped or the quota has
/// refused the priority class; `None` if the member is to be synced.
fn skipped_report(
    user_id: &UserId,
    context: &SyncContext,
    class: PriorityClass,
    refusals: &ClassRefusals,
) -> Option<MemberReport> {
    if context.stop.is_cancelled() {
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

/// Observer of a run, which shows its progress with a progress bar or in the log.
pub trait RunObserver {
    /// Called once at the start. `members` is the number of members for whom the task is performed.
    /// `histories` is the number of members whose older history is read afterwards.
    fn on_start(&self, members: usize, histories: usize);
    fn on_member_done(&self, report: &MemberReport);
}
