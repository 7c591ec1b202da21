//! App requests: a member opens the app, and the service answers with the day.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::RetryPolicy;
use whoop_core::{
    DataType,
    day::DanglingReferences,
    plan::{DayQuery, ReadRequest, RefreshMode},
    quota::PriorityClass,
};

use super::{
    Simulation,
    task::{AppRequest, SyncTask, TaskPurpose, longest_wait},
};

pub(super) fn open_app(simulation: &mut Simulation<'_>, now: DateTime<Utc>, index: usize) {
    let Some(member) = simulation.members.get_mut(index) else {
        return;
    };
    let app_opens = member.app_opens.with_open(now);
    if !member.was_ever_read() && member.backfill_from.is_some() {
        // The app request waits for the member's first sync and causes no calls of its own.
        member.app_opens = app_opens;
        simulation.counters.launch.shared_first_sync += 1;
        return;
    }
    let conserves_quota = simulation
        .ledger
        .is_scarce(now, simulation.parameters.limits);
    let due = reads_of_app_request(simulation, now, index, false);
    let calls = reads_of_app_request(simulation, now, index, conserves_quota);
    let types = |calls: &[ReadRequest]| calls.iter().map(|call| call.data_type).collect();
    let request = AppRequest {
        due: types(&due),
        requested: types(&calls),
        conserves_quota,
        is_second_round: false,
    };
    if let Some(member) = simulation.members.get_mut(index) {
        member.app_opens = app_opens;
    }
    let purpose = TaskPurpose::AppRequest(request.clone());
    let task = SyncTask::new(index, PriorityClass::Interactive, purpose, now);
    if calls.is_empty() {
        return count_app_request(simulation, now, &task, &request);
    }
    let requests = super::run::list_requests(
        simulation,
        index,
        calls,
        longest_wait(RetryPolicy::interactive()),
    );
    simulation.begin_task(now, task.with(requests));
}

pub(super) fn end_app_request(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: SyncTask,
    request: AppRequest,
) {
    let is_done = task.refusal.is_none() && !task.has_failed;
    if !is_done || !request.conserves_quota || request.is_second_round {
        return count_app_request(simulation, now, &task, &request);
    }
    // The result of the first reads may make one more read necessary.
    let calls = reads_of_app_request(simulation, now, task.member, true);
    let mut request = AppRequest {
        is_second_round: true,
        ..request
    };
    request
        .requested
        .extend(calls.iter().map(|call| call.data_type));
    let requests = super::run::list_requests(
        simulation,
        task.member,
        calls,
        longest_wait(RetryPolicy::interactive()),
    );
    if requests.is_empty() {
        return count_app_request(simulation, now, &task, &request);
    }
    let purpose = TaskPurpose::AppRequest(request);
    simulation.begin_task(now, SyncTask { purpose, ..task }.with(requests));
}

/// Counts an app request that the service answers at the time `now`.
fn count_app_request(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: &SyncTask,
    request: &AppRequest,
) {
    let requested_at = task.began_at;
    let is_of_outage =
        simulation.is_affected_by_outage(requested_at) || simulation.outage_at(now).is_some();
    let Some(member) = simulation.members.get(task.member) else {
        return;
    };
    simulation.counters.app_requests += 1;
    simulation.counters.app_requests_without_call += u64::from(request.requested.is_empty());
    if is_of_outage {
        simulation.counters.app_requests_during_outages += 1;
        return;
    }
    if member.always_fails {
        simulation.counters.app_requests_of_failing_members += 1;
        return;
    }
    let is_deferred = task.refusal.is_some();
    if is_deferred {
        simulation.counters.deferred_app_requests.push(requested_at);
    }
    if has_launched(simulation) {
        simulation.counters.launch.app_requests_afterwards += 1;
        simulation.counters.launch.deferred_app_requests_afterwards += u64::from(is_deferred);
        return;
    }
    if task.member >= simulation.parameters.users {
        return;
    }
    if is_launching(simulation, requested_at) {
        simulation
            .counters
            .launch
            .record_answer(now - requested_at, is_deferred);
    }
    for data_type in DataType::ALL {
        let behind = member.data_lag(data_type, requested_at);
        // The read was due, and was skipped only to conserve the quota.
        if request.due.contains(&data_type) && !request.requested.contains(&data_type) {
            simulation
                .counters
                .skipped_read_lags
                .push(behind.num_seconds());
        } else {
            simulation.counters.add_lag(data_type, behind);
        }
    }
}

fn reads_of_app_request(
    simulation: &Simulation<'_>,
    now: DateTime<Utc>,
    index: usize,
    conserves_quota: bool,
) -> Vec<ReadRequest> {
    let Some(member) = simulation.members.get(index) else {
        return Vec::new();
    };
    let query = DayQuery {
        date: now.date_naive(),
        today: now.date_naive(),
        offset_seconds: 0,
        now,
        freshness: simulation.parameters.freshness,
        refresh: RefreshMode::Auto,
        forced_read_interval: TimeDelta::zero(),
        night_state: member.night_state(now.date_naive()),
        dangling_references: DanglingReferences::default(),
        conserve_quota: conserves_quota,
        signals: member.signals,
    };
    query.read_requests(&member.coverage)
}

/// Returns whether the launch has begun at the time `now`.
fn is_launching(simulation: &Simulation<'_>, now: DateTime<Utc>) -> bool {
    let launch = simulation.parameters.launch;
    launch.is_some_and(|launch| now >= simulation.parameters.begins + launch.begins_after)
}

/// Returns whether all new members of the launch have completed their first sync.
fn has_launched(simulation: &Simulation<'_>) -> bool {
    let launch = simulation.parameters.launch;
    launch.is_some_and(|launch| simulation.counters.launch.first_syncs == launch.members)
}
