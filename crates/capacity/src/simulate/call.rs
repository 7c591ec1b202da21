//! Calls to WHOOP: takes permits from the ledger, and handles answers, failures and retries.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::quota::{PermitDecision, PriorityClass, WaitReason, is_known_to_fail};

use super::{
    Simulation,
    call_queue::{MAX_PERMITS_PER_REQUEST, QueuedCall},
    event_queue::SimulationEvent,
    task::{QueueRefusal, RequestTarget, TaskId, WhoopRequest, longest_wait},
};

/// Time between sending a call and WHOOP's answer: 300 ms.
const LATENCY: TimeDelta = TimeDelta::milliseconds(300);

/// Queues the requests of a task. They are sent in parallel, as soon as the ledger grants permits.
pub(super) fn send_requests(simulation: &mut Simulation<'_>, now: DateTime<Utc>, id: TaskId) {
    let Some(task) = simulation.tasks.get_mut(id) else {
        return;
    };
    let (class, requests) = (task.class, std::mem::take(&mut task.requests));
    task.open_requests = requests.len();
    if requests.is_empty() {
        return simulation.end_task(now, id);
    }
    for request in requests {
        enqueue(simulation, now, class, id, request);
    }
    request_permits(simulation, now, class);
}

/// Queues a call again after it failed.
pub(super) fn repeat_request(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    id: TaskId,
    request: WhoopRequest,
) {
    let Some(class) = simulation.tasks.get_mut(id).map(|task| task.class) else {
        return;
    };
    enqueue(simulation, now, class, id, request);
    request_permits(simulation, now, class);
}

fn enqueue(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    class: PriorityClass,
    task: TaskId,
    request: WhoopRequest,
) {
    if let Some(queue) = simulation.queues.get_mut(class.index()) {
        queue.push(QueuedCall {
            task,
            request,
            queued_at: now,
        });
    }
}

pub(super) fn retry_queue(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    class: PriorityClass,
) {
    if let Some(queue) = simulation.queues.get_mut(class.index()) {
        queue.retry_at = queue.retry_at.filter(|at| *at > now);
    }
    request_permits(simulation, now, class);
}

/// Requests permits from the ledger for the queued calls of a priority class, and sends the calls
/// that get a permit.
fn request_permits(simulation: &mut Simulation<'_>, now: DateTime<Utc>, class: PriorityClass) {
    let limits = simulation.parameters.limits;
    let mut granted = Vec::new();
    let mut timed_out = Vec::new();
    let mut refusal = None;
    if let Some(queue) = simulation.queues.get_mut(class.index()) {
        // Only refusals because of the quota have a known end. The end of an outage is not known,
        // so the ledger is asked again each time.
        queue.refusal = queue.refusal.filter(|refusal| {
            refusal.until > now && matches!(refusal.reason, WaitReason::Quota(_))
        });
        while !queue.is_empty() && queue.refusal.is_none() {
            let wanted = queue.len().min(MAX_PERMITS_PER_REQUEST);
            let wanted = u32::try_from(wanted).unwrap_or(1);
            match simulation.ledger.take(now, limits, class, wanted) {
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
                simulation
                    .events
                    .add(until, SimulationEvent::QueueRetries(class));
            }
        }
    }
    for call in granted {
        send_call(simulation, now, class, call);
    }
    for call in timed_out {
        end_request(simulation, now, call.task, |task| task.refusal = refusal);
    }
}

fn send_call(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    class: PriorityClass,
    call: QueuedCall,
) {
    let QueuedCall {
        task,
        mut request,
        queued_at,
    } = call;
    request.remaining_wait -= now - queued_at;
    let is_outage = simulation.outage_at(now).is_some();
    let member = simulation.tasks.get_mut(task).map(|task| task.member);
    let member = member.and_then(|member| simulation.members.get(member));
    let always_fails = member.is_some_and(|member| member.always_fails);
    simulation.counters.add_calls(now, class, 1);
    simulation.counters.calls_during_outages += u64::from(is_outage);
    simulation.counters.calls_of_failing_members += u64::from(always_fails);
    simulation.counters.calls_by_id += u64::from(matches!(request.target, RequestTarget::ById));
    let answers = SimulationEvent::CallAnswered {
        task,
        request,
        is_failure: is_outage || always_fails,
    };
    simulation.events.add(now + LATENCY, answers);
}

pub(super) fn handle_answer(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    id: TaskId,
    request: WhoopRequest,
    is_failure: bool,
) {
    let Some(task) = simulation.tasks.get_mut(id) else {
        return;
    };
    let (member_index, retry_policy) = (task.member, task.retry_policy());
    let Some(member) = simulation.members.get_mut(member_index) else {
        return;
    };
    if is_failure {
        let failing_since = match request.target {
            RequestTarget::List { read: call, .. } | RequestTarget::Backfill(call) => {
                member.failing_since(call.data_type)
            }
            RequestTarget::ById | RequestTarget::Profile | RequestTarget::BodyMeasurement => None,
        };
        let is_known_to_fail = is_known_to_fail(failing_since, now);
        if !is_known_to_fail {
            simulation.has_failures = true;
            simulation
                .ledger
                .record_call_failure(now, member_index as u64);
        }
        let pause = request.retry_pause(&retry_policy);
        if let Some(pause) = pause.filter(|_| !is_known_to_fail) {
            let failures = request.failures + 1;
            let request = WhoopRequest {
                failures,
                ..request
            };
            return simulation
                .events
                .add(now + pause, SimulationEvent::CallRepeated(id, request));
        }
        if let RequestTarget::List { read: call, .. } = request.target {
            member.read_failed(call.data_type, now);
        }
        return end_request(simulation, now, id, |task| task.has_failed = true);
    }
    if simulation.has_failures {
        simulation.has_failures = false;
        simulation.ledger.record_call_success();
    }
    match request.target {
        RequestTarget::List {
            read: call,
            remaining_pages: 0,
        } => {
            let unannounced = member.unannounced_change(call.data_type, now);
            let unlisted = member.store_window(&call, now);
            simulation.latest_read = now;
            for _ in 0..unlisted {
                let by_id = WhoopRequest::new(RequestTarget::ById, longest_wait(retry_policy));
                task.open_requests += 1;
                simulation
                    .events
                    .add(now, SimulationEvent::CallRepeated(id, by_id));
            }
            if let Some(change) = unannounced {
                super::webhook::reopen_doubted_signals(simulation, now, change);
            }
        }
        RequestTarget::List {
            read: call,
            remaining_pages,
        } => {
            simulation.counters.second_pages += 1;
            let target = RequestTarget::List {
                read: call,
                remaining_pages: remaining_pages - 1,
            };
            let next = WhoopRequest::new(target, longest_wait(retry_policy));
            return repeat_request(simulation, now, id, next);
        }
        RequestTarget::Backfill(call) => member.extend_coverage(&call, now),
        RequestTarget::ById | RequestTarget::Profile | RequestTarget::BodyMeasurement => {}
    }
    end_request(simulation, now, id, |_| {});
}

/// Records the result of a request, and ends the task after its last request.
fn end_request(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    id: TaskId,
    record_result: impl FnOnce(&mut super::task::SyncTask),
) {
    let Some(task) = simulation.tasks.get_mut(id) else {
        return;
    };
    record_result(task);
    task.open_requests = task.open_requests.saturating_sub(1);
    if task.open_requests == 0 {
        simulation.end_task(now, id);
    }
}
