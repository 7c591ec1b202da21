//! Future events of a person's records, in chronological order.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::cycle::OpenCycle;
use crate::{data_type::SimDataType, record::SimRecord};

/// One change of a person's records.
#[derive(Debug)]
pub(crate) enum TimelineEvent {
    /// Adds a record, or replaces its earlier version.
    Put(SimDataType, SimRecord),
    /// Starts the cycle that is running from now on.
    Open(Box<OpenCycle>),
    /// Ends the running cycle.
    Close(SimRecord),
}

#[derive(Debug, Default)]
pub(crate) struct EventTimeline {
    /// Events by time and number. The number keeps events of one instant in the order in which
    /// they were added.
    events: BTreeMap<(DateTime<Utc>, u64), TimelineEvent>,
    added: u64,
}

impl EventTimeline {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, change: TimelineEvent) {
        self.events.insert((at, self.added), change);
        self.added += 1;
    }

    /// Removes and returns the next event that is due.
    pub(crate) fn take_due(
        &mut self,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, TimelineEvent)> {
        let first = self.events.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}
