//! What has been read of a member, type by type.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::DataType;

/// One type's log: the span that was read to the end, and how that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub data_type: DataType,
    /// When a whole window up to that moment was last stored.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// Everything WHOOP had from here …
    pub covered_from: Option<DateTime<Utc>>,
    /// … to here is stored, as of `last_sync_at`.
    pub covered_until: Option<DateTime<Utc>>,
    /// Whether `covered_from` is the member's first record: nothing is older.
    pub whole_history: bool,
}

impl Coverage {
    /// A type of which nothing was ever read.
    pub const fn none(data_type: DataType) -> Self {
        Self {
            data_type,
            last_sync_at: None,
            covered_from: None,
            covered_until: None,
            whole_history: false,
        }
    }

    /// Whether every instant of the span was read.
    pub fn contains(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let (Some(covered_from), Some(covered_until)) = (self.covered_from, self.covered_until)
        else {
            return false;
        };
        (self.whole_history || covered_from <= from) && until <= covered_until
    }

    /// Whether the type was read up to the present since then, by whomever.
    pub fn was_read_since(&self, before: &LastReads) -> bool {
        let mut known = DataType::ALL.into_iter().zip(before);
        known
            .find(|(data_type, _)| *data_type == self.data_type)
            .is_some_and(|(_, before)| self.last_sync_at > *before)
    }

    /// The coverage after a span was read to its end.
    ///
    /// Two spans that touch become one. Where they do not, only one can be
    /// remembered, and the later one is worth more.
    #[must_use]
    pub fn with(&self, from: DateTime<Utc>, until: DateTime<Utc>, whole_history: bool) -> Self {
        let mut next = self.clone();
        match (self.covered_from, self.covered_until) {
            (Some(known_from), Some(known_until))
                if (from <= known_until || whole_history)
                    && (until >= known_from || self.whole_history) =>
            {
                next.covered_from = Some(known_from.min(from));
                next.covered_until = Some(known_until.max(until));
                next.whole_history |= whole_history;
            }
            (Some(_), Some(known_until)) if known_until > until => {}
            _ => {
                next.covered_from = Some(from);
                next.covered_until = Some(until);
                next.whole_history = whole_history;
            }
        }
        next
    }
}

/// When each type was last read up to the present, in the order of
/// [`DataType::ALL`].
pub type LastReads = [Option<DateTime<Utc>>; 4];

/// The last reads of these types; `None` for those that are not among them.
pub fn last_reads(coverage: &[Coverage]) -> LastReads {
    DataType::ALL.map(|data_type| {
        let mut known = coverage.iter().filter(|one| one.data_type == data_type);
        known.find_map(|one| one.last_sync_at)
    })
}

/// The instants of a date at an offset from UTC, in seconds east.
///
/// From midnight to midnight; offsets do not change within it because WHOOP
/// gives offsets, not zones.
pub fn span_of(date: NaiveDate, offset_seconds: i32) -> (DateTime<Utc>, DateTime<Utc>) {
    let midnight =
        date.and_time(NaiveTime::MIN).and_utc() - TimeDelta::seconds(i64::from(offset_seconds));
    (midnight, midnight + TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn covered(from: i64, until: i64) -> Coverage {
        Coverage::none(DataType::Sleep).with(at(from), at(until), false)
    }

    #[test]
    fn spans_that_touch_become_one() {
        let both = covered(10, 20).with(at(20), at(30), false);

        assert!(both.contains(at(10), at(30)));
        assert!(!both.contains(at(9), at(30)));
        assert!(!both.contains(at(10), at(31)));
    }

    #[test]
    fn a_hole_between_two_spans_is_never_called_covered() {
        let after_a_gap = covered(10, 20).with(at(25), at(30), false);
        assert!(!after_a_gap.contains(at(10), at(30)));
        assert!(after_a_gap.contains(at(25), at(30)));

        let before_a_gap = covered(25, 30).with(at(10), at(20), false);
        assert!(!before_a_gap.contains(at(10), at(20)));
        assert!(before_a_gap.contains(at(25), at(30)));
    }

    #[test]
    fn the_first_record_covers_all_that_came_before_it() {
        let all = covered(10, 20).with(at(5), at(10), true);

        assert!(all.contains(at(-90_000), at(20)));
    }

    #[test]
    fn a_date_at_an_offset_starts_earlier_in_the_east() {
        let date = NaiveDate::from_ymd_opt(2025, 1, 20).unwrap();

        let (from, until) = span_of(date, 2 * 3600);

        assert_eq!(from.to_rfc3339(), "2025-01-19T22:00:00+00:00");
        assert_eq!(until.to_rfc3339(), "2025-01-20T22:00:00+00:00");
    }
}
