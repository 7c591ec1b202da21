//! App requests: a member opens the app and waits for the day.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::Pace;
use whoop_core::{
    DataType,
    day::Named,
    plan::{Call, DayQuery, Refresh},
    quota::PriorityClass,
};

use super::{
    Simulation,
    task::{AppRequest, Purpose, Task, patience},
};

impl Simulation<'_> {
    pub(super) fn open_app(&mut self, now: DateTime<Utc>, place: usize) {
        let Some(member) = self.members.get_mut(place) else {
            return;
        };
        let visits = member.visits.with(now);
        if !member.was_ever_read() && member.history_from.is_some() {
            // The request waits for the member's first sync.
            member.visits = visits;
            self.tally.launch.shared_first_sync += 1;
            return;
        }
        let conserves_quota = self.ledger.is_scarce(now, self.setting.limits);
        let due = self.calls_of_app_request(now, place, false);
        let calls = self.calls_of_app_request(now, place, conserves_quota);
        let types = |calls: &[Call]| calls.iter().map(|call| call.data_type).collect();
        let request = AppRequest {
            due: types(&due),
            asked: types(&calls),
            conserves_quota,
            is_second_round: false,
        };
        if let Some(member) = self.members.get_mut(place) {
            member.visits = visits;
        }
        let purpose = Purpose::AppRequest(request.clone());
        let task = Task::new(place, PriorityClass::Interactive, purpose, now);
        if calls.is_empty() {
            return self.count_app_request(now, &task, &request);
        }
        let requests = self.lists(place, calls, patience(Pace::interactive()));
        self.begin(now, task.with(requests));
    }

    pub(super) fn end_app_request(&mut self, now: DateTime<Utc>, task: Task, request: AppRequest) {
        let is_done = task.refusal.is_none() && !task.has_failed;
        if !is_done || !request.conserves_quota || request.is_second_round {
            return self.count_app_request(now, &task, &request);
        }
        // The first reads may show that one more is needed.
        let calls = self.calls_of_app_request(now, task.member, true);
        let mut request = AppRequest {
            is_second_round: true,
            ..request
        };
        request
            .asked
            .extend(calls.iter().map(|call| call.data_type));
        let requests = self.lists(task.member, calls, patience(Pace::interactive()));
        if requests.is_empty() {
            return self.count_app_request(now, &task, &request);
        }
        let purpose = Purpose::AppRequest(request);
        self.begin(now, Task { purpose, ..task }.with(requests));
    }

    /// Counts an app request that is answered at `now`.
    fn count_app_request(&mut self, now: DateTime<Utc>, task: &Task, request: &AppRequest) {
        let came = task.began_at;
        let is_of_outage = self.is_affected_by_outage(came) || self.outage_at(now).is_some();
        let Some(member) = self.members.get(task.member) else {
            return;
        };
        self.tally.visits += 1;
        self.tally.visits_without_a_call += u64::from(request.asked.is_empty());
        if is_of_outage {
            self.tally.visits_during_outages += 1;
            return;
        }
        if member.always_fails {
            self.tally.visits_of_failing_members += 1;
            return;
        }
        let is_deferred = task.refusal.is_some();
        if is_deferred {
            self.tally.visits_put_off.push(came);
        }
        if self.has_launched() {
            self.tally.launch.visits_afterwards += 1;
            self.tally.launch.visits_afterwards_put_off += u64::from(is_deferred);
            return;
        }
        if task.member >= self.setting.users {
            return;
        }
        if self.is_launching(came) {
            self.tally.launch.answer_took(now - came, is_deferred);
        }
        for data_type in DataType::ALL {
            let behind = member.behind(data_type, came);
            // Spared only because calls are scarce.
            if request.due.contains(&data_type) && !request.asked.contains(&data_type) {
                self.tally.settled.push(behind.num_seconds());
            } else {
                self.tally.behind(data_type, behind);
            }
        }
    }

    fn calls_of_app_request(
        &self,
        now: DateTime<Utc>,
        place: usize,
        conserves_quota: bool,
    ) -> Vec<Call> {
        let Some(member) = self.members.get(place) else {
            return Vec::new();
        };
        let query = DayQuery {
            date: now.date_naive(),
            today: now.date_naive(),
            offset_seconds: 0,
            now,
            freshness: self.setting.freshness,
            refresh: Refresh::Auto,
            forced_reads_every: TimeDelta::zero(),
            night: member.night(now.date_naive()),
            named: Named::default(),
            thrifty: conserves_quota,
            signals: member.heard,
        };
        query.calls(&member.coverage)
    }

    /// Whether the launch has begun.
    fn is_launching(&self, now: DateTime<Utc>) -> bool {
        let launch = self.setting.launch;
        launch.is_some_and(|launch| now >= self.setting.begins + launch.begins)
    }

    /// Whether all new members of the launch had their first sync.
    fn has_launched(&self) -> bool {
        let launch = self.setting.launch;
        launch.is_some_and(|launch| self.tally.launch.first_syncs == launch.members)
    }
}
