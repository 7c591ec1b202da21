//! Webhooks: reads the list of the data type that each webhook announces, for a limited number of
//! webhooks at the same time.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::RetryPolicy;
use whoop_core::{
    DataType,
    plan::{
        self, ReadReason, ReadRequest,
        webhook_signals::{WHOOP_CLOCK_SKEW, doubted_before, waits_for_app_request},
    },
    quota::PriorityClass,
};

use super::{
    Simulation,
    event_queue::SimulationEvent,
    task::{SyncTask, TaskPurpose, longest_wait},
};

/// Maximum number of webhook events that are processed at the same time.
const PARALLEL_MEMBERS: usize = 4;

/// Maximum pause of the inbox after the quota refused a call: 15 minutes.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(15);

/// Maximum number of attempts to process one event.
const MAX_ATTEMPTS: u32 = 16;

/// Pause between the first and the second attempt to process an event. Each further pause is twice
/// as long, up to [`LAST_RETRY_AFTER`].
const FIRST_RETRY_AFTER: TimeDelta = TimeDelta::seconds(5);

const LAST_RETRY_AFTER: TimeDelta = TimeDelta::hours(1);

/// Webhook event: a data type of a member changed at WHOOP.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimulatedWebhook {
    member: usize,
    data_type: DataType,
    failures: u32,
}

impl SimulatedWebhook {
    pub(super) fn new(member: usize, data_type: DataType) -> Self {
        Self {
            member,
            data_type,
            failures: 0,
        }
    }
}

/// Webhook inbox: events for which no read has succeeded yet.
#[derive(Debug, Default)]
pub(super) struct SimulatedInbox {
    waiting: VecDeque<SimulatedWebhook>,
    /// Events that are not processed before the next scheduled run, because the quota is scarce or
    /// because their member was never read. An app request of the member may read the change
    /// earlier.
    held: Vec<SimulatedWebhook>,
    running: usize,
    /// Arrival times of all webhooks of all members, in ascending order.
    arrivals: Vec<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
}

pub(super) fn receive_webhook(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    webhook: SimulatedWebhook,
) {
    simulation.inbox.arrivals.push(now);
    if let Some(member) = simulation.members.get_mut(webhook.member) {
        member.receive_webhook(webhook.data_type, now);
    }
    queue_webhook(simulation, now, webhook);
}

/// Opens signals again after a read has shown `change`, a change without a webhook.
///
/// If no webhook of any member arrived soon after the change, webhooks were missed, and all data
/// types that were last read before that time have to be read again.
pub(super) fn reopen_doubted_signals(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    change: DateTime<Utc>,
) {
    let arrivals = &simulation.inbox.arrivals;
    let next = arrivals.partition_point(|at| *at < change - WHOOP_CLOCK_SKEW);
    if let Some(read_before) = doubted_before(change, arrivals.get(next).copied(), now) {
        for member in &mut simulation.members {
            member.reopen_signals(read_before, now);
        }
    }
}

pub(super) fn queue_webhook(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    webhook: SimulatedWebhook,
) {
    simulation.inbox.waiting.push_back(webhook);
    drain_inbox(simulation, now);
}

/// Queues all held events again. This happens when a scheduled run begins.
pub(super) fn release_held_webhooks(simulation: &mut Simulation<'_>, now: DateTime<Utc>) {
    let held = std::mem::take(&mut simulation.inbox.held);
    simulation.inbox.waiting.extend(held);
    drain_inbox(simulation, now);
}

pub(super) fn drain_inbox(simulation: &mut Simulation<'_>, now: DateTime<Utc>) {
    if simulation.inbox.waiting.is_empty() {
        return;
    }
    let is_scarce = simulation
        .ledger
        .is_scarce(now, simulation.parameters.limits);
    while simulation.inbox.running < PARALLEL_MEMBERS
        && simulation
            .inbox
            .paused_until
            .is_none_or(|until| until <= now)
        && let Some(webhook) = simulation.inbox.waiting.pop_front()
    {
        let SimulatedWebhook {
            member: member_index,
            data_type,
            ..
        } = webhook;
        let Some(member) = simulation.members.get(member_index) else {
            continue;
        };
        if !member.has_signal(data_type, now) {
            continue;
        }
        let waits = waits_for_app_request(is_scarce, member.app_opens.last, now);
        let Some(coverage) = member.coverage_of(data_type) else {
            continue;
        };
        if waits || coverage.last_sync_at.is_none() {
            simulation.inbox.held.push(webhook);
            continue;
        }
        let read_request = ReadRequest {
            data_type,
            window: plan::sync_window(None, coverage, None, now),
            reason: ReadReason::Webhook,
        };
        let requests = super::run::list_requests(
            simulation,
            member_index,
            vec![read_request],
            longest_wait(RetryPolicy::interactive()),
        );
        let purpose = TaskPurpose::Webhook(webhook);
        let task = SyncTask::new(member_index, PriorityClass::Webhook, purpose, now);
        simulation.inbox.running += 1;
        simulation.begin_task(now, task.with(requests));
    }
}

pub(super) fn end_webhook(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: &SyncTask,
    webhook: SimulatedWebhook,
) {
    simulation.inbox.running = simulation.inbox.running.saturating_sub(1);
    if let Some(refusal) = task.refusal {
        let until = refusal.until.min(now + LONGEST_PAUSE);
        simulation.inbox.waiting.push_front(webhook);
        simulation.inbox.paused_until = Some(until);
        simulation.events.add(until, SimulationEvent::InboxResumes);
    } else if task.has_failed && webhook.failures + 1 < MAX_ATTEMPTS {
        let pause = FIRST_RETRY_AFTER * (1 << webhook.failures);
        let failures = webhook.failures + 1;
        let again = SimulatedWebhook {
            failures,
            ..webhook
        };
        let retries = SimulationEvent::WebhookRetried(again);
        simulation
            .events
            .add(now + pause.min(LAST_RETRY_AFTER), retries);
    }
    drain_inbox(simulation, now);
}
