//! The time zones of the simulated people.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc, Weekday};

/// A time zone: the offset from UTC in winter and the rule for summer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimTimeZone {
    standard_minutes: i64,
    summer: SummerTimeRule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SummerTimeRule {
    Never,
    Europe,
    NorthAmerica,
    NewZealand,
}

pub(crate) const LONDON: SimTimeZone = SimTimeZone::new(0, SummerTimeRule::Europe);
pub(crate) const BERLIN: SimTimeZone = SimTimeZone::new(60, SummerTimeRule::Europe);
pub(crate) const NEW_YORK: SimTimeZone = SimTimeZone::new(-300, SummerTimeRule::NorthAmerica);
pub(crate) const LOS_ANGELES: SimTimeZone = SimTimeZone::new(-480, SummerTimeRule::NorthAmerica);
pub(crate) const HONOLULU: SimTimeZone = SimTimeZone::new(-600, SummerTimeRule::Never);
pub(crate) const AUCKLAND: SimTimeZone = SimTimeZone::new(720, SummerTimeRule::NewZealand);
pub(crate) const TOKYO: SimTimeZone = SimTimeZone::new(540, SummerTimeRule::Never);
/// Newfoundland, which changes its clocks on the same dates as the rest of North America.
pub(crate) const ST_JOHNS: SimTimeZone = SimTimeZone::new(-210, SummerTimeRule::NorthAmerica);
/// The Chatham Islands change their clocks at the same instant as New Zealand.
pub(crate) const CHATHAM: SimTimeZone = SimTimeZone::new(765, SummerTimeRule::NewZealand);
pub(crate) const KATHMANDU: SimTimeZone = SimTimeZone::new(345, SummerTimeRule::Never);

impl SimTimeZone {
    const fn new(standard_minutes: i64, summer: SummerTimeRule) -> Self {
        Self {
            standard_minutes,
            summer,
        }
    }

    /// Returns the minutes east of UTC at an instant.
    pub(crate) fn offset_minutes(self, at: DateTime<Utc>) -> i64 {
        let year = at.year();
        let is_summer = match self.summer {
            SummerTimeRule::Never => false,
            SummerTimeRule::Europe => {
                let change = |month| last_sunday(year, month) + TimeDelta::hours(1);
                is_between(at, change(3), change(10))
            }
            SummerTimeRule::NorthAmerica => {
                // The clocks change at 02:00 local time, by the offset before the change.
                let begins =
                    nth_sunday(year, 3, 2) + TimeDelta::minutes(120 - self.standard_minutes);
                let ends = nth_sunday(year, 11, 1) + TimeDelta::minutes(60 - self.standard_minutes);
                is_between(at, begins, ends)
            }
            SummerTimeRule::NewZealand => {
                // The clocks change at 02:00 standard time in Auckland, also on the Chatham
                // Islands.
                let change = TimeDelta::minutes(120 - AUCKLAND.standard_minutes);
                let ends = nth_sunday(year, 4, 1) + change;
                let begins = last_sunday(year, 9) + change;
                !is_between(at, ends, begins)
            }
        };
        self.standard_minutes + if is_summer { 60 } else { 0 }
    }

    pub(crate) fn to_local(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + TimeDelta::minutes(self.offset_minutes(at))
    }

    /// Returns the instant of a local time.
    ///
    /// If a clock change makes the local time ambiguous or skips it, one of the two possible
    /// instants is returned.
    pub(crate) fn to_instant(self, local: NaiveDateTime) -> DateTime<Utc> {
        let guess = local.and_utc() - TimeDelta::minutes(self.standard_minutes);
        local.and_utc() - TimeDelta::minutes(self.offset_minutes(guess))
    }
}

/// Formats a UTC offset as WHOOP does, such as `+02:00`. WHOOP documents `Z` for the offset zero.
pub(crate) fn format_offset(minutes: i64) -> String {
    if minutes == 0 {
        return "Z".to_owned();
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    let size = minutes.abs();
    format!("{sign}{:02}:{:02}", size / 60, size % 60)
}

fn is_between(at: DateTime<Utc>, from: NaiveDateTime, until: NaiveDateTime) -> bool {
    let at = at.naive_utc();
    from <= at && at < until
}

fn nth_sunday(year: i32, month: u32, n: u8) -> NaiveDateTime {
    NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Sun, n)
        .unwrap_or_default()
        .and_time(chrono::NaiveTime::MIN)
}

fn last_sunday(year: i32, month: u32) -> NaiveDateTime {
    // Counts back from the first day of the next month. `month + 1` is valid, because the rules
    // use only March, September and October.
    let next_month = NaiveDate::from_ymd_opt(year, month + 1, 1).unwrap_or_default();
    let back = match next_month.weekday().num_days_from_sunday() {
        0 => 7,
        days => u64::from(days),
    };
    (next_month - Days::new(back)).and_time(chrono::NaiveTime::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(zone: SimTimeZone, at: &str) -> String {
        format_offset(zone.offset_minutes(crate::clock::parse(at).unwrap()))
    }

    #[test]
    fn clock_changes_happen_at_the_real_instants() {
        assert_eq!(offset(BERLIN, "2026-03-29T00:59:59Z"), "+01:00");
        assert_eq!(offset(BERLIN, "2026-03-29T01:00:00Z"), "+02:00");
        assert_eq!(offset(BERLIN, "2026-10-25T01:00:00Z"), "+01:00");
        assert_eq!(offset(NEW_YORK, "2026-03-08T06:59:59Z"), "-05:00");
        assert_eq!(offset(NEW_YORK, "2026-03-08T07:00:00Z"), "-04:00");
        assert_eq!(offset(NEW_YORK, "2026-11-01T05:59:59Z"), "-04:00");
        assert_eq!(offset(NEW_YORK, "2026-11-01T06:00:00Z"), "-05:00");
        assert_eq!(offset(AUCKLAND, "2026-01-01T00:00:00Z"), "+13:00");
        assert_eq!(offset(AUCKLAND, "2026-04-04T14:00:00Z"), "+12:00");
        assert_eq!(offset(AUCKLAND, "2026-09-26T14:00:00Z"), "+13:00");
        assert_eq!(offset(CHATHAM, "2026-04-04T13:59:59Z"), "+13:45");
        assert_eq!(offset(CHATHAM, "2026-04-04T14:00:00Z"), "+12:45");
        assert_eq!(offset(ST_JOHNS, "2026-03-08T05:30:00Z"), "-02:30");
        assert_eq!(offset(ST_JOHNS, "2026-11-01T05:00:00Z"), "-03:30");
        assert_eq!(offset(KATHMANDU, "2026-09-26T14:00:00Z"), "+05:45");
        assert_eq!(offset(LONDON, "2026-01-26T14:00:00Z"), "Z");
    }

    #[test]
    fn a_local_time_is_converted_to_its_instant() {
        let local = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let instant = BERLIN.to_instant(local("2026-07-01T23:00:00"));
        assert_eq!(
            crate::clock::format_instant(instant),
            "2026-07-01T21:00:00.000Z"
        );
        assert_eq!(BERLIN.to_local(instant), local("2026-07-01T23:00:00"));
    }
}
