//! What is going to happen to a person's records, in the order of time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::cycle::Cycle;
use crate::{data_type::DataType, record::Record};

/// What happens at one instant.
#[derive(Debug)]
pub(crate) enum Change {
    /// A record appears, or takes the place of its older self.
    Put(DataType, Record),
    /// The cycle that is open from now on.
    Open(Box<Cycle>),
    /// The open cycle has ended.
    Close(Record),
}

#[derive(Debug, Default)]
pub(crate) struct Tale {
    /// The number keeps what happens at the same instant in the order it was told.
    changes: BTreeMap<(DateTime<Utc>, u64), Change>,
    told: u64,
}

impl Tale {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, change: Change) {
        self.changes.insert((at, self.told), change);
        self.told += 1;
    }

    /// The next change that is due.
    pub(crate) fn take(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Change)> {
        let first = self.changes.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}
