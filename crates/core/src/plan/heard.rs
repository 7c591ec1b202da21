//! What WHOOP's webhooks have said of a member.

use chrono::{DateTime, TimeDelta, Utc};

use crate::DataType;

/// A type of which nothing was heard is read again after this all the same: a
/// webhook may be lost.
pub const TRUSTED_FOR: TimeDelta = TimeDelta::hours(48);

/// Whoever was seen so lately is looking.
const IS_LOOKING: TimeDelta = TimeDelta::minutes(15);

/// Whether what WHOOP announces of a member is left to their next visit. Where
/// calls are scarce it is: all that changes of all members is more than the day
/// has, and a visit asks for what was announced.
pub fn waits_for_a_visit(
    is_scarce: bool,
    last_seen_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    is_scarce && last_seen_at.is_none_or(|at| now - at >= IS_LOOKING)
}

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

    /// Takes an event back: what it announced was fetched.
    pub fn forget(&mut self, data_type: DataType) {
        let mut slots = DataType::ALL.iter().zip(&mut self.0);
        if let Some((_, known)) = slots.find(|(one, _)| **one == data_type) {
            *known = None;
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
