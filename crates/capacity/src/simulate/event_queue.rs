//! Future events of a simulation, in the order of their times.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use chrono::{DateTime, Utc};
use whoop_core::{plan::Slot, quota::PriorityClass};

use super::{
    task::{ConnectStage, TaskId, WhoopRequest},
    webhook::SimulatedWebhook,
};
use crate::ScheduledEvent;

#[derive(Debug, Clone, Copy)]
pub(super) enum SimulationEvent {
    Midnight,
    RunBegins(Slot),
    MemberEvent(ScheduledEvent),
    /// A webhook arrives.
    WebhookArrives(SimulatedWebhook),
    /// A webhook event is due again after its read failed.
    WebhookRetried(SimulatedWebhook),
    /// The inbox resumes after a pause that followed a refusal by the quota.
    InboxResumes,
    /// The next member of the launch connects.
    MemberConnects,
    /// A stage of a new member's first sync begins again after a failure.
    StageRepeated(usize, ConnectStage),
    /// A task's member has a valid access token.
    TokenReady(TaskId),
    /// WHOOP answers a call.
    CallAnswered {
        task: TaskId,
        request: WhoopRequest,
        is_failure: bool,
    },
    /// A failed call is sent again.
    CallRepeated(TaskId, WhoopRequest),
    /// Permits are requested again for the queued calls of a priority class.
    QueueRetries(PriorityClass),
}

struct QueuedEvent {
    at: DateTime<Utc>,
    /// Sequence number: events of the same moment keep the order in which they were added.
    number: u64,
    event: SimulationEvent,
}

impl Ord for QueuedEvent {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for QueuedEvent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for QueuedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for QueuedEvent {}

#[derive(Default)]
pub(super) struct EventQueue {
    entries: BinaryHeap<Reverse<QueuedEvent>>,
    added: u64,
}

impl EventQueue {
    pub(super) fn add(&mut self, at: DateTime<Utc>, event: SimulationEvent) {
        self.added += 1;
        let number = self.added;
        self.entries
            .push(Reverse(QueuedEvent { at, number, event }));
    }

    pub(super) fn next(&mut self) -> Option<(DateTime<Utc>, SimulationEvent)> {
        let Reverse(entry) = self.entries.pop()?;
        Some((entry.at, entry.event))
    }
}
