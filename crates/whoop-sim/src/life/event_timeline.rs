//! Future events of a person's records, in chronological order.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::cycle::OpenCycle;
use crate::{data_type::SimDataType, record::SimRecord};

/// One change of a person's records at WHOOP.
#[derive(Debug)]
pub(crate) enum TimelineEvent {
    /// Adds a record to the person's records, or replaces the record's earlier version.
    Put(SimDataType, SimRecord),
    /// Makes this cycle the person's running cycle.
    Open(Box<OpenCycle>),
    /// Ends the running cycle. The record is the version of the cycle that has an end.
    Close(SimRecord),
}

#[derive(Debug, Default)]
pub(crate) struct EventTimeline {
    /// Events by time and sequence number. The number keeps events with the same time in the order
    /// in which they were added.
    events: BTreeMap<(DateTime<Utc>, u64), TimelineEvent>,
    added: u64,
}

impl EventTimeline {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, change: TimelineEvent) {
        self.events.insert((at, self.added), change);
        self.added += 1;
    }

    /// Removes and returns the next event that is due at `now`; `None` if no event is due.
    pub(crate) fn take_due(
        &mut self,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, TimelineEvent)> {
        let first = self.events.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}
