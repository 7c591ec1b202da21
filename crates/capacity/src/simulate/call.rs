//! Calls to WHOOP: permits from the ledger, answers, failures and retries.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::quota::{Decision, PriorityClass, WaitReason, is_known_to_fail};

use super::{
    Simulation,
    agenda::Due,
    queue::{Caller, LARGEST_REQUEST},
    task::{Refusal, Request, TaskId, What, patience},
};

/// Time that WHOOP takes to answer a call.
const LATENCY: TimeDelta = TimeDelta::milliseconds(300);

impl Simulation<'_> {
    /// Sends a task's requests side by side, as permits allow.
    pub(super) fn send_requests(&mut self, now: DateTime<Utc>, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (class, requests) = (task.class, std::mem::take(&mut task.requests));
        task.open = requests.len();
        if requests.is_empty() {
            return self.end(now, id);
        }
        for request in requests {
            self.join(now, class, id, request);
        }
        self.ask(now, class);
    }

    /// Sends a failed call again.
    pub(super) fn repeat(&mut self, now: DateTime<Utc>, id: TaskId, request: Request) {
        let Some(class) = self.tasks.get_mut(id).map(|task| task.class) else {
            return;
        };
        self.join(now, class, id, request);
        self.ask(now, class);
    }

    fn join(&mut self, now: DateTime<Utc>, class: PriorityClass, task: TaskId, request: Request) {
        if let Some(queue) = self.queues.get_mut(class.index()) {
            queue.join(Caller {
                task,
                request,
                joined_at: now,
            });
        }
    }

    pub(super) fn ask_again(&mut self, now: DateTime<Utc>, class: PriorityClass) {
        if let Some(queue) = self.queues.get_mut(class.index()) {
            queue.asks_at = queue.asks_at.filter(|at| *at > now);
        }
        self.ask(now, class);
    }

    /// Asks the ledger for a permit for each caller of a class.
    fn ask(&mut self, now: DateTime<Utc>, class: PriorityClass) {
        let limits = self.setting.limits;
        let mut granted = Vec::new();
        let mut impatient = Vec::new();
        let mut refusal = None;
        if let Some(queue) = self.queues.get_mut(class.index()) {
            // The end of an outage cannot be foreseen: every caller asks.
            queue.refusal = queue.refusal.filter(|refusal| {
                refusal.until > now && matches!(refusal.reason, WaitReason::Quota(_))
            });
            while !queue.is_empty() && queue.refusal.is_none() {
                let want = queue.len().min(LARGEST_REQUEST);
                let want = u32::try_from(want).unwrap_or(1);
                match self.ledger.take(now, limits, class, want) {
                    Decision::Granted(permits) => {
                        let permits = usize::try_from(permits).unwrap_or(0);
                        granted.extend(queue.take_first(permits));
                    }
                    Decision::Wait { until, reason } => {
                        queue.refusal = Some(Refusal { until, reason });
                    }
                }
            }
            refusal = queue.refusal;
            if let Some(Refusal { until, .. }) = refusal {
                impatient = queue.take_impatient(until);
                let is_earlier = queue.asks_at.is_none_or(|at| at <= now || until < at);
                if !queue.is_empty() && is_earlier {
                    queue.asks_at = Some(until);
                    self.agenda.add(until, Due::QueueAsks(class));
                }
            }
        }
        for caller in granted {
            self.send(now, class, caller);
        }
        for caller in impatient {
            self.end_request(now, caller.task, |task| task.refusal = refusal);
        }
    }

    fn send(&mut self, now: DateTime<Utc>, class: PriorityClass, caller: Caller) {
        let Caller {
            task,
            mut request,
            joined_at,
        } = caller;
        request.patience -= now - joined_at;
        let is_outage = self.outage_at(now).is_some();
        let member = self.tasks.get_mut(task).map(|task| task.member);
        let member = member.and_then(|member| self.members.get(member));
        let always_fails = member.is_some_and(|member| member.always_fails);
        self.tally.call(now, class, 1);
        self.tally.calls_during_outages += u64::from(is_outage);
        self.tally.calls_of_failing_members += u64::from(always_fails);
        self.tally.calls_by_id += u64::from(matches!(request.what, What::ById));
        let answers = Due::Answers {
            task,
            request,
            is_failure: is_outage || always_fails,
        };
        self.agenda.add(now + LATENCY, answers);
    }

    pub(super) fn answer(
        &mut self,
        now: DateTime<Utc>,
        id: TaskId,
        request: Request,
        is_failure: bool,
    ) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (place, pace) = (task.member, task.pace());
        let Some(member) = self.members.get_mut(place) else {
            return;
        };
        if is_failure {
            let failing_since = match request.what {
                What::List { call, .. } | What::History(call) => {
                    member.failing_since(call.data_type)
                }
                What::ById | What::Profile | What::BodyMeasurement => None,
            };
            let is_known_to_fail = is_known_to_fail(failing_since, now);
            if !is_known_to_fail {
                self.has_failures = true;
                self.ledger.call_failed(now, place as u64);
            }
            let pause = request.retry_pause(&pace);
            if let Some(pause) = pause.filter(|_| !is_known_to_fail) {
                let failures = request.failures + 1;
                let request = Request {
                    failures,
                    ..request
                };
                return self.agenda.add(now + pause, Due::Repeats(id, request));
            }
            if let What::List { call, .. } = request.what {
                member.read_failed(call.data_type, now);
            }
            return self.end_request(now, id, |task| task.has_failed = true);
        }
        if self.has_failures {
            self.has_failures = false;
            self.ledger.call_succeeded();
        }
        match request.what {
            What::List { call, more: 0 } => {
                let unannounced = member.unannounced_change(call.data_type, now);
                let unlisted = member.read(&call, now);
                self.latest_read = now;
                for _ in 0..unlisted {
                    let by_id = Request::new(What::ById, patience(pace));
                    task.open += 1;
                    self.agenda.add(now, Due::Repeats(id, by_id));
                }
                if let Some(change) = unannounced {
                    self.check_announced(now, change);
                }
            }
            What::List { call, more } => {
                self.tally.second_pages += 1;
                let what = What::List {
                    call,
                    more: more - 1,
                };
                let next = Request::new(what, patience(pace));
                return self.repeat(now, id, next);
            }
            What::History(call) => member.cover(&call, now),
            What::ById | What::Profile | What::BodyMeasurement => {}
        }
        self.end_request(now, id, |_| {});
    }

    /// Notes the result of a request, and ends its task after the last one.
    fn end_request(
        &mut self,
        now: DateTime<Utc>,
        id: TaskId,
        note: impl FnOnce(&mut super::task::Task),
    ) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        note(task);
        task.open = task.open.saturating_sub(1);
        if task.open == 0 {
            self.end(now, id);
        }
    }
}
