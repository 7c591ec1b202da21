//! What a comparison of the stored records with WHOOP's finds, and how it came.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::DataType;

/// One record that is not here as it is at WHOOP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub data_type: DataType,
    pub record_id: String,
    /// The day under which the app shows it, or showed it.
    pub local_date: Option<NaiveDate>,
    pub cause: Cause,
    /// Whether it is here now as it is at WHOOP.
    pub healed: bool,
    /// Where a record is on both sides: the columns that differ.
    pub fields: Vec<Field>,
}

/// A column that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    pub name: String,
    pub here: Value,
    pub at_whoop: Value,
}

/// How a difference came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// That time was never read.
    NeverRead,
    /// It reached WHOOP after that time was last read.
    CameLater,
    /// It was set aside because it could not be read, and now it can.
    SetAside,
    /// It cannot be read, and is set aside.
    Unreadable,
    /// That time was read when WHOOP had it already, and it is not here.
    Lost,
    /// WHOOP changed it after that time was last read.
    ChangedLater,
    /// WHOOP changed it before that time was last read.
    Missed,
    /// The same version with other values: changed here by hand, or at WHOOP
    /// without saying so.
    Altered,
    /// The same record under another day.
    WrongDay,
    /// WHOOP no longer has it.
    Deleted,
    /// WHOOP has it and does not list it.
    Unlisted,
    /// What is here is newer than what WHOOP lists.
    NewerHere,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverRead => "never_read",
            Self::CameLater => "came_later",
            Self::SetAside => "set_aside",
            Self::Unreadable => "unreadable",
            Self::Lost => "lost",
            Self::ChangedLater => "changed_later",
            Self::Missed => "missed",
            Self::Altered => "altered",
            Self::WrongDay => "wrong_day",
            Self::Deleted => "deleted",
            Self::Unlisted => "unlisted",
            Self::NewerHere => "newer_here",
        }
    }

    /// For people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NeverRead => "that time was never read",
            Self::CameLater => "it reached WHOOP after that time was last read",
            Self::SetAside => "it had been set aside as unreadable",
            Self::Unreadable => "it cannot be read and is set aside with its reason",
            Self::Lost => "it should have been here",
            Self::ChangedLater => "WHOOP changed it after that time was last read",
            Self::Missed => "WHOOP's change should have been here",
            Self::Altered => "the same version with other values",
            Self::WrongDay => "it lay under another day",
            Self::Deleted => "WHOOP does not have it",
            Self::Unlisted => "WHOOP has it and does not list it",
            Self::NewerHere => "what is here is newer than what WHOOP lists",
        }
    }

    /// Why a record that WHOOP has was not here.
    pub fn of_missing(read: Read, was_set_aside: bool, created_at: DateTime<Utc>) -> Self {
        match read {
            _ if was_set_aside => Self::SetAside,
            Read::Never => Self::NeverRead,
            Read::At(read_at) if created_at > read_at => Self::CameLater,
            Read::At(_) => Self::Lost,
        }
    }

    /// Why a record is here with other values. `fields` names the columns that
    /// differ.
    pub fn of_changed<'f>(
        read: Read,
        here: DateTime<Utc>,
        at_whoop: DateTime<Utc>,
        fields: impl IntoIterator<Item = &'f str>,
    ) -> Self {
        if here < at_whoop {
            return match read {
                Read::At(read_at) if at_whoop <= read_at => Self::Missed,
                Read::At(_) | Read::Never => Self::ChangedLater,
            };
        }
        let fields: Vec<&str> = fields.into_iter().collect();
        // The offset of a recovery follows from the night it belongs to, as its day.
        let is_of_the_day = |name: &&str| matches!(*name, "local_date" | "timezone_offset");
        if fields.contains(&"local_date") && fields.iter().all(is_of_the_day) {
            Self::WrongDay
        } else {
            Self::Altered
        }
    }
}

/// When the time of a record was last read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    Never,
    At(DateTime<Utc>),
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    #[test]
    fn a_record_that_is_not_here_came_later_or_is_lost() {
        let read = Read::At(at(10));

        assert_eq!(Cause::of_missing(read, false, at(11)), Cause::CameLater);
        assert_eq!(Cause::of_missing(read, false, at(10)), Cause::Lost);
        assert_eq!(Cause::of_missing(read, true, at(11)), Cause::SetAside);
        assert_eq!(
            Cause::of_missing(Read::Never, false, at(9)),
            Cause::NeverRead
        );
    }

    #[test]
    fn a_newer_version_was_missed_only_if_it_was_there_to_be_read() {
        let cause = |read| Cause::of_changed(read, at(1), at(8), ["recovery_score"]);

        assert_eq!(cause(Read::At(at(7))), Cause::ChangedLater);
        assert_eq!(cause(Read::At(at(8))), Cause::Missed);
        assert_eq!(cause(Read::Never), Cause::ChangedLater);
    }

    #[test]
    fn the_same_version_was_altered_unless_only_its_day_differs() {
        let cause = |fields: &[&'static str]| {
            Cause::of_changed(Read::At(at(9)), at(8), at(8), fields.iter().copied())
        };

        assert_eq!(cause(&["local_date"]), Cause::WrongDay);
        assert_eq!(cause(&["local_date", "day_strain"]), Cause::Altered);
        assert_eq!(cause(&["day_strain"]), Cause::Altered);
        assert_eq!(cause(&["timezone_offset"]), Cause::Altered);
        assert_eq!(cause(&["timezone_offset", "local_date"]), Cause::WrongDay);
    }
}
