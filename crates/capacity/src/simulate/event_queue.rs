//! Future events of a simulation, ordered by time.

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
    /// A webhook arrives at the service.
    WebhookArrives(SimulatedWebhook),
    /// A webhook event is processed again after a failed read.
    WebhookRetried(SimulatedWebhook),
    /// The webhook inbox continues after a pause. The pause began because the quota refused a call.
    InboxResumes,
    /// The next new member of the launch connects.
    MemberConnects,
    /// A stage of a new member's first sync begins again after it failed.
    StageRepeated(usize, ConnectStage),
    /// The access token of a task's member is valid, so that the requests of the task can be sent.
    TokenReady(TaskId),
    /// WHOOP answers a call, possibly with a failure.
    CallAnswered {
        task: TaskId,
        request: WhoopRequest,
        is_failure: bool,
    },
    /// A failed call is queued again after its pause.
    CallRepeated(TaskId, WhoopRequest),
    /// The process requests permits again for the queued calls of a priority class.
    QueueRetries(PriorityClass),
}

struct QueuedEvent {
    at: DateTime<Utc>,
    /// Sequence number of the event. Events at the same time are handled in the order in which they
    /// were added.
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
