//! Selects the members of a run, by the rules of [`whoop_core::plan::selection`].

use whoop_core::{
    UserId,
    coverage::LastReads,
    plan::{
        ReadReason,
        run::{self, ExpectedCalls, QuotaSnapshot, RunParameters, RunPlan},
    },
    quota::PriorityClass,
};
use whoop_storage::member_states::{self, ConnectedMember};

use crate::{
    ScheduledRuns, SyncError,
    member_sync::SyncRequest,
    run::{RunRequest, RunTask},
};

/// The selected members of a run, in the order in which they are synced.
#[derive(Debug, Default)]
pub(crate) struct RunSelection {
    pub(crate) members: Vec<SelectedMember>,
    pub(crate) up_to_date: usize,
    pub(crate) skipped_for_quota: usize,
    /// Expected number of calls per day, for the quota ledger; `None` if not all members were
    /// considered.
    pub(crate) expected_calls: Option<ExpectedCalls>,
    /// Members whose older history is read after all members were synced.
    pub(crate) backfills: Vec<UserId>,
}

/// A member that a run syncs, with the sync request and the priority class.
#[derive(Debug)]
pub(crate) struct SelectedMember {
    pub(crate) user_id: UserId,
    pub(crate) request: SyncRequest,
    pub(crate) class: PriorityClass,
    pub(crate) reason: ReadReason,
    /// The last read of each data type at the time of the selection. `None` if the operator asked
    /// for the sync; then the last reads at the start of the member's sync are used.
    pub(crate) decided_on: Option<LastReads>,
}

impl ScheduledRuns {
    pub(crate) async fn select_members(
        &self,
        plan: &RunRequest,
    ) -> Result<RunSelection, SyncError> {
        let members = if plan.users.is_empty() {
            let mut conn = self.database.get().await?;
            member_states::list(&mut conn, self.clock.now()).await?
        } else {
            Vec::new()
        };
        let user_ids = || {
            let ids = members.iter().filter_map(|one| one.user_id.parse().ok());
            plan.users.iter().cloned().chain(ids)
        };
        let select_all = |class, request: &SyncRequest| RunSelection {
            members: user_ids()
                .map(|user_id| SelectedMember {
                    user_id,
                    request: request.clone(),
                    class,
                    reason: ReadReason::Asked,
                    decided_on: None,
                })
                .collect(),
            ..RunSelection::default()
        };
        match &plan.task {
            RunTask::Sync(request) if plan.users.is_empty() && request.since.is_none() => {
                self.select_by_plan(request, &members).await
            }
            RunTask::Sync(request) => Ok(select_all(PriorityClass::Scheduled, request)),
            // A reconciliation of all members uses only the quota that the other priority classes
            // do not need.
            RunTask::Reconcile(_) if plan.users.is_empty() => Ok(select_all(
                PriorityClass::Backfill,
                &SyncRequest::of_all_types(),
            )),
            RunTask::Reconcile(_) => Ok(select_all(
                PriorityClass::Scheduled,
                &SyncRequest::of_all_types(),
            )),
            RunTask::Backfill { .. } => Ok(RunSelection {
                backfills: if plan.users.is_empty() {
                    unfinished_backfills(&members)
                } else {
                    plan.users.clone()
                },
                ..RunSelection::default()
            }),
        }
    }

    async fn select_by_plan(
        &self,
        task: &SyncRequest,
        members: &[ConnectedMember],
    ) -> Result<RunSelection, SyncError> {
        let states: Vec<_> = members.iter().map(|one| one.sync_state.clone()).collect();
        let snapshot = self.quota.pool.read_ledger().await?;
        let quota = QuotaSnapshot {
            ledger: &snapshot.ledger,
            now: snapshot.now,
            limits: self.settings.limits,
        };
        let parameters = RunParameters {
            slot: task.slot,
            data_types: &task.data_types,
            now: self.clock.now(),
            freshness: self.settings.freshness,
        };
        let RunPlan {
            selection,
            expected_calls,
        } = run::plan_run(&states, quota, &parameters);
        let selected = selection.entries.into_iter().filter_map(|entry| {
            let class = entry.class();
            let member = members.get(entry.member_index)?;
            Some(SelectedMember {
                user_id: member.user_id.parse().ok()?,
                request: SyncRequest {
                    reason: entry.reason,
                    data_types: entry.data_types,
                    backfill: false,
                    ..task.clone()
                },
                class,
                reason: entry.reason,
                decided_on: Some(member.sync_state.last_sync_at),
            })
        });
        Ok(RunSelection {
            members: selected.collect(),
            up_to_date: selection.up_to_date,
            skipped_for_quota: selection.skipped_for_quota,
            expected_calls: Some(expected_calls),
            backfills: if task.backfill {
                unfinished_backfills(members)
            } else {
                Vec::new()
            },
        })
    }
}

fn unfinished_backfills(members: &[ConnectedMember]) -> Vec<UserId> {
    let unfinished = members
        .iter()
        .filter(|one| !one.history_complete && one.sync_state.backing_off.is_empty());
    unfinished
        .filter_map(|one| one.user_id.parse().ok())
        .collect()
}
