//! What is going to happen to a person's records, in the order of time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::cycle::OpenCycle;
use crate::{data_type::SimDataType, record::SimRecord};

/// What happens at one instant.
#[derive(Debug)]
pub(crate) enum TimelineEvent {
    /// A record appears, or takes the place of its older self.
    Put(SimDataType, SimRecord),
    /// The cycle that is open from now on.
    Open(Box<OpenCycle>),
    /// The open cycle has ended.
    Close(SimRecord),
}

#[derive(Debug, Default)]
pub(crate) struct EventTimeline {
    /// The number keeps what happens at the same instant in the order it was told.
    events: BTreeMap<(DateTime<Utc>, u64), TimelineEvent>,
    added: u64,
}

impl EventTimeline {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, change: TimelineEvent) {
        self.events.insert((at, self.added), change);
        self.added += 1;
    }

    /// The next change that is due.
    pub(crate) fn take_due(
        &mut self,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, TimelineEvent)> {
        let first = self.events.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}
