//! Retention period: the number of days for which records are stored, if the operator limits it.

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::{coverage::span_of_date, offset};

/// Retention period in days. Records of older dates are deleted every night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(u32);

/// Beginning of the retention period of one member. Records of earlier dates are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionStart {
    /// Oldest local date within the retention period.
    pub date: NaiveDate,
    /// Midnight at the start of `date`, at the member's current UTC offset.
    pub instant: DateTime<Utc>,
}

impl Retention {
    /// Minimum retention period: 31 days.
    ///
    /// A window reads up to 23 days back, and the page that ends it may contain nights that are
    /// some days older. With a shorter retention period, these records would be deleted every night
    /// and read again the next day.
    pub const MIN_DAYS: u32 = 31;

    /// Creates a retention period of `days` days. Returns `None` for fewer than
    /// [`Retention::MIN_DAYS`] days.
    pub const fn of_days(days: u32) -> Option<Self> {
        if days >= Self::MIN_DAYS {
            Some(Self(days))
        } else {
            None
        }
    }

    /// Returns the beginning of the retention period.
    ///
    /// The oldest date within the period is the configured number of days before today, the current
    /// date at the member's UTC offset.
    pub fn kept_from(self, now: DateTime<Utc>, timezone_offset: Option<&str>) -> RetentionStart {
        let today = offset::local_date(now, timezone_offset);
        let date = today
            .checked_sub_days(Days::new(u64::from(self.0)))
            .unwrap_or(NaiveDate::MIN);
        let east = timezone_offset
            .and_then(offset::parse)
            .map_or(0, |offset| offset.local_minus_utc());
        RetentionStart {
            date,
            instant: span_of_date(date, east).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kept_days_start_at_the_members_midnight() {
        let retention = Retention::of_days(31).unwrap();
        let now = "2026-03-04T11:30:00Z".parse().unwrap();

        for (offset, date, instant) in [
            (None, "2026-02-01", "2026-02-01T00:00:00Z"),
            (Some("+14:00"), "2026-02-02", "2026-02-01T10:00:00Z"),
            (Some("-12:00"), "2026-01-31", "2026-01-31T12:00:00Z"),
        ] {
            let kept = retention.kept_from(now, offset);
            assert_eq!(kept.date, date.parse().unwrap(), "{offset:?}");
            assert_eq!(kept.instant, instant.parse::<DateTime<Utc>>().unwrap());
        }
    }

    #[test]
    fn fewer_days_than_the_minimum_are_refused() {
        assert_eq!(Retention::of_days(30), None);
        assert!(Retention::of_days(u32::MAX).is_some());
    }

    proptest! {
        /// No window reads a record that is old enough to be deleted in the following night.
        #[test]
        fn records_that_the_longest_window_reads_are_kept(
            seconds in 0_i64..4_000_000_000, days in 31_u32..40_000, hours in -12_i32..=14
        ) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            let offset = format!("{}{:02}:00", if hours < 0 { '-' } else { '+' }, hours.abs());
            let kept = Retention::of_days(days).unwrap().kept_from(now, Some(&offset));

            let oldest = now - crate::plan::LOOK_BACK - crate::plan::MIN_LOOK_BACK;
            prop_assert!(offset::local_date(oldest, Some(&offset)) > kept.date);
            prop_assert!(kept.instant < oldest);
        }
    }
}
