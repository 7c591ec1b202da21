//! Future events of a simulation, in the order of their times.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use chrono::{DateTime, Utc};
use whoop_core::{plan::Slot, quota::PriorityClass};

use super::{
    task::{ConnectStage, Request, TaskId},
    webhook::Announcement,
};
use crate::Happening;

#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    Midnight,
    RunBegins(Slot),
    Happens(Happening),
    /// A webhook arrives.
    Hears(Announcement),
    /// A webhook event whose read failed is due again.
    Retries(Announcement),
    /// The quota refused a read for a webhook; the inbox goes on.
    InboxGoesOn,
    /// The next member of the launch connects.
    Connects,
    /// A stage of a new member's first sync that failed begins again.
    RepeatsStage(usize, ConnectStage),
    /// The access token of a task's member is valid.
    TokenReady(TaskId),
    /// WHOOP answers a call.
    Answers {
        task: TaskId,
        request: Request,
        is_failure: bool,
    },
    /// A failed call is sent again.
    Repeats(TaskId, Request),
    /// The callers of a class ask the ledger again.
    QueueAsks(PriorityClass),
}

struct Entry {
    at: DateTime<Utc>,
    /// Keeps events of one moment in the order in which they were added.
    number: u64,
    due: Due,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[derive(Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: DateTime<Utc>, due: Due) {
        self.added += 1;
        let number = self.added;
        self.entries.push(Reverse(Entry { at, number, due }));
    }

    pub(super) fn next(&mut self) -> Option<(DateTime<Utc>, Due)> {
        let Reverse(entry) = self.entries.pop()?;
        Some((entry.at, entry.due))
    }
}
