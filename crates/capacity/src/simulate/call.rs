//! Calls to WHOOP: permits from the ledger, answers, failures and retries.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::quota::{PermitDecision, PriorityClass, WaitReason, is_known_to_fail};

use super::{
    Simulation,
    call_queue::{MAX_PERMITS_PER_REQUEST, QueuedCall},
    event_queue::SimulationEvent,
    task::{QueueRefusal, RequestTarget, TaskId, WhoopRequest, longest_wait},
};

/// Time that WHOOP takes to answer a call.
const LATENCY: TimeDelta = TimeDelta::milliseconds(300);

impl Simulation<'_> {
    /// Queues the requests of a task; they are sent in parallel as permits are granted.
    pub(super) fn send_requests(&mut self, now: DateTime<Utc>, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (class, requests) = (task.class, std::mem::take(&mut task.requests));
        task.open_requests = requests.len();
        if requests.is_empty() {
            return self.end_task(now, id);
        }
        for request in requests {
            self.enqueue(now, class, id, request);
        }
        self.request_permits(now, class);
    }

    /// Queues a failed call again.
    pub(super) fn repeat_request(&mut self, now: DateTime<Utc>, id: TaskId, request: WhoopRequest) {
        let Some(class) = self.tasks.get_mut(id).map(|task| task.class) else {
            return;
        };
        self.enqueue(now, class, id, request);
        self.request_permits(now, class);
    }

    fn enqueue(
        &mut self,
        now: DateTime<Utc>,
        class: PriorityClass,
        task: TaskId,
        request: WhoopRequest,
    ) {
        if let Some(queue) = self.queues.get_mut(class.index()) {
            queue.push(QueuedCall {
                task,
                request,
                queued_at: now,
            });
        }
    }

    pub(super) fn retry_queue(&mut self, now: DateTime<Utc>, class: PriorityClass) {
        if let Some(queue) = self.queues.get_mut(class.index()) {
            queue.retry_at = queue.retry_at.filter(|at| *at > now);
        }
        self.request_permits(now, class);
    }

    /// Requests permits from the ledger for the queued calls of a priority class.
    fn request_permits(&mut self, now: DateTime<Utc>, class: PriorityClass) {
        let limits = self.parameters.limits;
        let mut granted = Vec::new();
        let mut timed_out = Vec::new();
        let mut refusal = None;
        if let Some(queue) = self.queues.get_mut(class.index()) {
            // Only refusals by the quota have a known end. The end of an outage is not known, so
            // the ledger is asked every time.
            queue.refusal = queue.refusal.filter(|refusal| {
                refusal.until > now && matches!(refusal.reason, WaitReason::Quota(_))
            });
            while !queue.is_empty() && queue.refusal.is_none() {
                let wanted = queue.len().min(MAX_PERMITS_PER_REQUEST);
                let wanted = u32::try_from(wanted).unwrap_or(1);
                match self.ledger.take(now, limits, class, wanted) {
                    PermitDecision::Granted(permits) => {
                        let permits = usize::try_from(permits).unwrap_or(0);
                        granted.extend(queue.take_first(permits));
                    }
                    PermitDecision::Wait { until, reason } => {
                        queue.refusal = Some(QueueRefusal { until, reason });
                    }
                }
            }
            refusal = queue.refusal;
            if let Some(QueueRefusal { until, .. }) = refusal {
                timed_out = queue.take_timed_out(until);
                let is_earlier = queue.retry_at.is_none_or(|at| at <= now || until < at);
                if !queue.is_empty() && is_earlier {
                    queue.retry_at = Some(until);
                    self.events.add(until, SimulationEvent::QueueRetries(class));
                }
            }
        }
        for call in granted {
            self.send_call(now, class, call);
        }
        for call in timed_out {
            self.end_request(now, call.task, |task| task.refusal = refusal);
        }
    }

    fn send_call(&mut self, now: DateTime<Utc>, class: PriorityClass, call: QueuedCall) {
        let QueuedCall {
            task,
            mut request,
            queued_at,
        } = call;
        request.remaining_wait -= now - queued_at;
        let is_outage = self.outage_at(now).is_some();
        let member = self.tasks.get_mut(task).map(|task| task.member);
        let member = member.and_then(|member| self.members.get(member));
        let always_fails = member.is_some_and(|member| member.always_fails);
        self.counters.add_calls(now, class, 1);
        self.counters.calls_during_outages += u64::from(is_outage);
        self.counters.calls_of_failing_members += u64::from(always_fails);
        self.counters.calls_by_id += u64::from(matches!(request.target, RequestTarget::ById));
        let answers = SimulationEvent::CallAnswered {
            task,
            request,
            is_failure: is_outage || always_fails,
        };
        self.events.add(now + LATENCY, answers);
    }

    pub(super) fn handle_answer(
        &mut self,
        now: DateTime<Utc>,
        id: TaskId,
        request: WhoopRequest,
        is_failure: bool,
    ) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (member_index, retry_policy) = (task.member, task.retry_policy());
        let Some(member) = self.members.get_mut(member_index) else {
            return;
        };
        if is_failure {
            let failing_since = match request.target {
                RequestTarget::List { read: call, .. } | RequestTarget::Backfill(call) => {
                    member.failing_since(call.data_type)
                }
                RequestTarget::ById | RequestTarget::Profile | RequestTarget::BodyMeasurement => {
                    None
                }
            };
            let is_known_to_fail = is_known_to_fail(failing_since, now);
            if !is_known_to_fail {
                self.has_failures = true;
                self.ledger.record_call_failure(now, member_index as u64);
            }
            let pause = request.retry_pause(&retry_policy);
            if let Some(pause) = pause.filter(|_| !is_known_to_fail) {
                let failures = request.failures + 1;
                let request = WhoopRequest {
                    failures,
                    ..request
                };
                return self
                    .events
                    .add(now + pause, SimulationEvent::CallRepeated(id, request));
            }
            if let RequestTarget::List { read: call, .. } = request.target {
                member.read_failed(call.data_type, now);
            }
            return self.end_request(now, id, |task| task.has_failed = true);
        }
        if self.has_failures {
            self.has_failures = false;
            self.ledger.record_call_success();
        }
        match request.target {
            RequestTarget::List {
                read: call,
                remaining_pages: 0,
            } => {
                let unannounced = member.unannounced_change(call.data_type, now);
                let unlisted = member.store_window(&call, now);
                self.latest_read = now;
                for _ in 0..unlisted {
                    let by_id = WhoopRequest::new(RequestTarget::ById, longest_wait(retry_policy));
                    task.open_requests += 1;
                    self.events
                        .add(now, SimulationEvent::CallRepeated(id, by_id));
                }
                if let Some(change) = unannounced {
                    self.reopen_doubted_signals(now, change);
                }
            }
            RequestTarget::List {
                read: call,
                remaining_pages,
            } => {
                self.counters.second_pages += 1;
                let target = RequestTarget::List {
                    read: call,
                    remaining_pages: remaining_pages - 1,
                };
                let next = WhoopRequest::new(target, longest_wait(retry_policy));
                return self.repeat_request(now, id, next);
            }
            RequestTarget::Backfill(call) => member.extend_coverage(&call, now),
            RequestTarget::ById | RequestTarget::Profile | RequestTarget::BodyMeasurement => {}
        }
        self.end_request(now, id, |_| {});
    }

    /// Records the result of a request. Ends the task after its last request.
    fn end_request(
        &mut self,
        now: DateTime<Utc>,
        id: TaskId,
        record_result: impl FnOnce(&mut super::task::SyncTask),
    ) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        record_result(task);
        task.open_requests = task.open_requests.saturating_sub(1);
        if task.open_requests == 0 {
            self.end_task(now, id);
        }
    }
}
