//! App requests: a member opens the app, and the request is answered with the day.

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

impl Simulation<'_> {
    pub(super) fn open_app(&mut self, now: DateTime<Utc>, index: usize) {
        let Some(member) = self.members.get_mut(index) else {
            return;
        };
        let app_opens = member.app_opens.with_open(now);
        if !member.was_ever_read() && member.backfill_from.is_some() {
            // The request waits for the member's first sync.
            member.app_opens = app_opens;
            self.counters.launch.shared_first_sync += 1;
            return;
        }
        let conserves_quota = self.ledger.is_scarce(now, self.parameters.limits);
        let due = self.reads_of_app_request(now, index, false);
        let calls = self.reads_of_app_request(now, index, conserves_quota);
        let types = |calls: &[ReadRequest]| calls.iter().map(|call| call.data_type).collect();
        let request = AppRequest {
            due: types(&due),
            requested: types(&calls),
            conserves_quota,
            is_second_round: false,
        };
        if let Some(member) = self.members.get_mut(index) {
            member.app_opens = app_opens;
        }
        let purpose = TaskPurpose::AppRequest(request.clone());
        let task = SyncTask::new(index, PriorityClass::Interactive, purpose, now);
        if calls.is_empty() {
            return self.count_app_request(now, &task, &request);
        }
        let requests = self.list_requests(index, calls, longest_wait(RetryPolicy::interactive()));
        self.begin_task(now, task.with(requests));
    }

    pub(super) fn end_app_request(
        &mut self,
        now: DateTime<Utc>,
        task: SyncTask,
        request: AppRequest,
    ) {
        let is_done = task.refusal.is_none() && !task.has_failed;
        if !is_done || !request.conserves_quota || request.is_second_round {
            return self.count_app_request(now, &task, &request);
        }
        // The result of the first reads may require one more read.
        let calls = self.reads_of_app_request(now, task.member, true);
        let mut request = AppRequest {
            is_second_round: true,
            ..request
        };
        request
            .requested
            .extend(calls.iter().map(|call| call.data_type));
        let requests =
            self.list_requests(task.member, calls, longest_wait(RetryPolicy::interactive()));
        if requests.is_empty() {
            return self.count_app_request(now, &task, &request);
        }
        let purpose = TaskPurpose::AppRequest(request);
        self.begin_task(now, SyncTask { purpose, ..task }.with(requests));
    }

    /// Counts an app request that is answered at `now`.
    fn count_app_request(&mut self, now: DateTime<Utc>, task: &SyncTask, request: &AppRequest) {
        let requested_at = task.began_at;
        let is_of_outage =
            self.is_affected_by_outage(requested_at) || self.outage_at(now).is_some();
        let Some(member) = self.members.get(task.member) else {
            return;
        };
        self.counters.app_requests += 1;
        self.counters.app_requests_without_call += u64::from(request.requested.is_empty());
        if is_of_outage {
            self.counters.app_requests_during_outages += 1;
            return;
        }
        if member.always_fails {
            self.counters.app_requests_of_failing_members += 1;
            return;
        }
        let is_deferred = task.refusal.is_some();
        if is_deferred {
            self.counters.deferred_app_requests.push(requested_at);
        }
        if self.has_launched() {
            self.counters.launch.app_requests_afterwards += 1;
            self.counters.launch.deferred_app_requests_afterwards += u64::from(is_deferred);
            return;
        }
        if task.member >= self.parameters.users {
            return;
        }
        if self.is_launching(requested_at) {
            self.counters
                .launch
                .record_answer(now - requested_at, is_deferred);
        }
        for data_type in DataType::ALL {
            let behind = member.data_lag(data_type, requested_at);
            // The read was due and was skipped only to conserve the quota.
            if request.due.contains(&data_type) && !request.requested.contains(&data_type) {
                self.counters.skipped_read_lags.push(behind.num_seconds());
            } else {
                self.counters.add_lag(data_type, behind);
            }
        }
    }

    fn reads_of_app_request(
        &self,
        now: DateTime<Utc>,
        index: usize,
        conserves_quota: bool,
    ) -> Vec<ReadRequest> {
        let Some(member) = self.members.get(index) else {
            return Vec::new();
        };
        let query = DayQuery {
            date: now.date_naive(),
            today: now.date_naive(),
            offset_seconds: 0,
            now,
            freshness: self.parameters.freshness,
            refresh: RefreshMode::Auto,
            forced_read_interval: TimeDelta::zero(),
            night_state: member.night_state(now.date_naive()),
            dangling_references: DanglingReferences::default(),
            conserve_quota: conserves_quota,
            signals: member.signals,
        };
        query.read_requests(&member.coverage)
    }

    /// Whether the launch has begun.
    fn is_launching(&self, now: DateTime<Utc>) -> bool {
        let launch = self.parameters.launch;
        launch.is_some_and(|launch| now >= self.parameters.begins + launch.begins_after)
    }

    /// Whether all new members of the launch have completed their first sync.
    fn has_launched(&self) -> bool {
        let launch = self.parameters.launch;
        launch.is_some_and(|launch| self.counters.launch.first_syncs == launch.members)
    }
}
