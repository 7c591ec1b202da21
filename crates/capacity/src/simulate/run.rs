//! Scheduled runs: sync the members that the planner selects, a limited number at the same time,
//! and read history at night (backfill).

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::RetryPolicy;
use whoop_core::{
    coverage::Coverage,
    plan::{
        self, PAGE_SIZE, ReadReason, ReadRequest, Slot,
        run::{self, QuotaSnapshot, RunParameters},
        selection::SelectionEntry,
    },
    quota::PriorityClass,
};

use super::{
    Simulation,
    task::{RequestTarget, SyncTask, TaskPurpose, WhoopRequest, longest_wait},
};

/// Maximum number of members that a run syncs at the same time.
const PARALLEL_MEMBERS: usize = 4;

pub(super) struct ActiveRun {
    slot: Slot,
    planned_at: DateTime<Utc>,
    entries: VecDeque<SelectionEntry>,
    /// Members for whom the run reads history after all selected members are synced.
    backfills: VecDeque<usize>,
    /// Number of members that are being synced now.
    running: usize,
    /// Priority classes for which the ledger refused permits. The run begins no further syncs of
    /// these classes.
    refused_classes: [bool; PriorityClass::ALL.len()],
}

impl ActiveRun {
    fn has_refused(&self, class: PriorityClass) -> bool {
        self.refused_classes
            .get(class.index())
            .is_some_and(|one| *one)
    }

    fn record_task_end(&mut self, task: &SyncTask) {
        self.running = self.running.saturating_sub(1);
        if let Some(is_refused) = self.refused_classes.get_mut(task.class.index()) {
            *is_refused |= task.refusal.is_some();
        }
    }
}

pub(super) fn begin_run(simulation: &mut Simulation<'_>, now: DateTime<Utc>, slot: Slot) {
    let latest_read = simulation.latest_read;
    let states: Vec<_> = simulation
        .members
        .iter()
        .map(|one| one.sync_state(now, latest_read))
        .collect();
    let quota = QuotaSnapshot {
        ledger: &simulation.ledger,
        now,
        limits: simulation.parameters.limits,
    };
    let parameters = RunParameters {
        slot: Some(slot),
        data_types: slot.data_types(),
        now,
        freshness: simulation.parameters.freshness,
    };
    let plan = run::plan_run(&states, quota, &parameters);
    plan.expected_calls.set_needs(&mut simulation.ledger);
    let selection = plan.selection;
    simulation.counters.selected_members += selection.entries.len() as u64;
    simulation.counters.skipped_for_quota += selection.skipped_for_quota as u64;
    let backfills = match slot {
        Slot::Night => (0..simulation.members.len())
            .filter(|member| {
                let state = states.get(*member);
                state.is_some_and(|one| one.backing_off.is_empty())
                    && !backfill_reads(simulation, now, *member).is_empty()
            })
            .collect(),
        _ => VecDeque::new(),
    };
    simulation.runs.push(ActiveRun {
        slot,
        planned_at: now,
        entries: selection.entries.into(),
        backfills,
        running: 0,
        refused_classes: Default::default(),
    });
    begin_next_members(simulation, now, simulation.runs.len() - 1);
    super::webhook::release_held_webhooks(simulation, now);
}

/// Begins the syncs of the next members of a run. `number` is the index of the run.
fn begin_next_members(simulation: &mut Simulation<'_>, now: DateTime<Utc>, number: usize) {
    while let Some(run) = simulation.runs.get_mut(number)
        && run.running < PARALLEL_MEMBERS
    {
        let (slot, planned_at) = (run.slot, run.planned_at);
        if let Some(entry) = run.entries.pop_front() {
            if run.has_refused(entry.class()) {
                simulation.counters.deferred_members += 1;
                continue;
            }
            let read_requests = reads_of_entry(simulation, slot, planned_at, &entry, now);
            if read_requests.is_empty() {
                continue;
            }
            begin_selected(simulation, now, number, &entry, read_requests);
        } else if run.running == 0
            && let Some(member) = run.backfills.pop_front()
        {
            begin_backfill(simulation, now, number, member);
        } else {
            return;
        }
    }
}

fn begin_selected(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    number: usize,
    entry: &SelectionEntry,
    read_requests: Vec<ReadRequest>,
) {
    let class = entry.class();
    if let Some(run) = simulation.runs.get_mut(number) {
        run.running += 1;
    }
    if class == PriorityClass::Inactive
        && let Some(member) = simulation.members.get(entry.member_index)
        && !member.always_fails
    {
        simulation
            .counters
            .add_inactive_age(member.oldest_read_age(now));
    }
    let requests = list_requests(
        simulation,
        entry.member_index,
        read_requests,
        longest_wait(RetryPolicy::scheduled()),
    );
    let task = SyncTask::new(
        entry.member_index,
        class,
        TaskPurpose::SelectedMember(number),
        now,
    );
    simulation.begin_task(now, task.with(requests));
}

/// Returns the reads for a selected member, without data types that were read since the run was
/// planned.
fn reads_of_entry(
    simulation: &Simulation<'_>,
    slot: Slot,
    planned_at: DateTime<Utc>,
    entry: &SelectionEntry,
    now: DateTime<Utc>,
) -> Vec<ReadRequest> {
    let Some(member) = simulation.members.get(entry.member_index) else {
        return Vec::new();
    };
    if !member.was_ever_read() && member.backfill_from.is_some() {
        // The member's first sync is still running and reads the same data.
        return Vec::new();
    }
    let wanted = member.coverage.iter().filter(|one| {
        entry.data_types.contains(&one.data_type)
            && one.last_sync_at.is_none_or(|at| at <= planned_at)
    });
    wanted
        .map(|one| ReadRequest {
            data_type: one.data_type,
            window: plan::sync_window(Some(slot), one, None, now),
            reason: entry.reason,
        })
        .collect()
}

pub(super) fn end_selected(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: &SyncTask,
    number: usize,
) {
    simulation.counters.deferred_members += u64::from(task.refusal.is_some());
    if let Some(run) = simulation.runs.get_mut(number) {
        run.record_task_end(task);
    }
    begin_next_members(simulation, now, number);
}

fn begin_backfill(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    number: usize,
    member: usize,
) {
    let read_requests = backfill_reads(simulation, now, member);
    let run = simulation.runs.get_mut(number);
    let Some(run) = run.filter(|run| !run.has_refused(PriorityClass::Backfill)) else {
        return;
    };
    if read_requests.is_empty() {
        return;
    }
    run.running += 1;
    let purpose = TaskPurpose::Backfill(number);
    let task = SyncTask::new(member, PriorityClass::Backfill, purpose, now);
    simulation.begin_task(now, task.with(backfill_requests(read_requests)));
}

pub(super) fn end_backfill(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: &SyncTask,
    number: usize,
) {
    let is_done = task.refusal.is_none() && !task.has_failed;
    if let Some(run) = simulation.runs.get_mut(number) {
        run.record_task_end(task);
    }
    if is_done {
        begin_backfill(simulation, now, number, task.member);
    }
    begin_next_members(simulation, now, number);
}

/// Returns the reads of the next page of history, one for each data type with missing history.
pub(super) fn backfill_reads(
    simulation: &Simulation<'_>,
    now: DateTime<Utc>,
    member: usize,
) -> Vec<ReadRequest> {
    let Some(member) = simulation.members.get(member) else {
        return Vec::new();
    };
    let Some(from) = member.backfill_from else {
        return Vec::new();
    };
    let read_request = |one: &Coverage| {
        Some(ReadRequest {
            data_type: one.data_type,
            window: plan::backfill_window(one, Some(from), now)?,
            reason: ReadReason::NeverRead,
        })
    };
    member.coverage.iter().filter_map(read_request).collect()
}

/// Returns the requests to read windows up to the present.
///
/// The number of pages is computed from the length of the window and the average number of records
/// that the member has per day.
pub(super) fn list_requests(
    simulation: &Simulation<'_>,
    member: usize,
    read_requests: Vec<ReadRequest>,
    max_wait: TimeDelta,
) -> Vec<WhoopRequest> {
    let list = |read_request: ReadRequest| {
        let days = as_days(read_request.window.end - read_request.window.must_reach);
        let records = days
            * simulation
                .member_generator
                .records_per_day(member, read_request.data_type);
        let remaining_pages = full_pages(records);
        WhoopRequest::new(
            RequestTarget::List {
                read: read_request,
                remaining_pages,
            },
            max_wait,
        )
    };
    read_requests.into_iter().map(list).collect()
}

pub(super) fn backfill_requests(
    read_requests: Vec<ReadRequest>,
) -> impl Iterator<Item = WhoopRequest> {
    let max_wait = longest_wait(RetryPolicy::scheduled());
    read_requests
        .into_iter()
        .map(move |read_request| WhoopRequest::new(RequestTarget::Backfill(read_request), max_wait))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of some years are far below 2^52"
)]
fn as_days(time: TimeDelta) -> f64 {
    time.num_seconds() as f64 / TimeDelta::days(1).num_seconds() as f64
}

/// Returns the number of full pages of a window with this number of records. Each full page is
/// followed by another page.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a window has some hundreds of records"
)]
fn full_pages(records: f64) -> u32 {
    (records / PAGE_SIZE as f64) as u32
}
