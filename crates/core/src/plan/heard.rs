//! What WHOOP's webhooks have said of a member.

use chrono::{DateTime, TimeDelta, Utc};

use crate::DataType;

/// A type of which nothing was heard is read again after this all the same: a
/// webhook may be lost.
pub const TRUSTED_FOR: TimeDelta = TimeDelta::hours(48);

/// When WHOOP last said of each type that it changed, for a member whose
/// webhooks are known to arrive. In the order of [`DataType::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard(pub [Option<DateTime<Utc>>; 4]);

/// What webhooks say about a type that was read at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It has changed since.
    Changed,
    /// It has not.
    Unchanged,
    /// Nothing that could be relied on.
    Nothing,
}

impl Heard {
    /// Nothing yet of a member whose latest webhook came then; `None` if that is
    /// so long ago that they cannot be relied on.
    pub fn since(latest: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Self> {
        latest
            .is_some_and(|at| now - at < TRUSTED_FOR)
            .then(Self::default)
    }

    /// Notes an event.
    pub fn note(&mut self, data_type: DataType, at: DateTime<Utc>) {
        let slot = DataType::ALL
            .iter()
            .zip(&mut self.0)
            .find(|(one, _)| **one == data_type);
        if let Some((_, known)) = slot {
            *known = (*known).max(Some(at));
        }
    }

    /// Whether a type changed since it was read.
    pub fn said(&self, data_type: DataType, read: DateTime<Utc>, now: DateTime<Utc>) -> Said {
        let mut marks = DataType::ALL.iter().zip(self.0);
        let mark = marks
            .find(|(one, _)| **one == data_type)
            .and_then(|(_, mark)| mark);
        if mark.is_some_and(|mark| mark > read) {
            return Said::Changed;
        }
        // WHOOP has no event for cycles; the running one changes all the time.
        if data_type == DataType::Cycle || now - read >= TRUSTED_FOR {
            return Said::Nothing;
        }
        Said::Unchanged
    }
}
