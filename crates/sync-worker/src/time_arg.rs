use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Offset of the time zone in which a date begins first (Kiribati, UTC+14). A date that is counted
/// from there covers the day of every member, wherever they live.
const EARLIEST_OFFSET: TimeDelta = TimeDelta::hours(14);

/// Offset of the time zone in which a date ends last (Baker Island, UTC-12).
const LATEST_OFFSET: TimeDelta = TimeDelta::hours(12);

/// Earliest start. WHOOP was founded two years later, so no record is older.
const EARLIEST_DATE: NaiveDate =
    NaiveDate::from_ymd_opt(2010, 1, 1).expect("1 January 2010 is a valid date");

/// Limit of the span to read: an instant, or a whole date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeArg {
    Instant(DateTime<Utc>),
    Date(NaiveDate),
}

/// Error for a text that is neither a date nor an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use a date like 2026-01-31 or an instant like 2026-01-31T08:00:00Z")]
pub struct InvalidTimeArg;

/// Error for a time in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this time is in the future; use a past date or instant")]
pub(crate) struct TimeInFuture;

impl FromStr for TimeArg {
    type Err = InvalidTimeArg;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.to_utc()));
        }
        // chrono would also accept 2026-1-5 and +12026-01-05.
        if text.len() != "2026-01-31".len() {
            return Err(InvalidTimeArg);
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(Self::Date)
            .map_err(|_| InvalidTimeArg)
    }
}

impl TimeArg {
    /// Returns the instant to read back to; `today` is the date in this machine's time zone.
    pub(crate) fn start(
        self,
        now: DateTime<Utc>,
        today: NaiveDate,
    ) -> Result<DateTime<Utc>, TimeInFuture> {
        let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
        let instant = match self {
            Self::Date(date) if date > today => return Err(TimeInFuture),
            Self::Date(date) => midnight(date.max(EARLIEST_DATE)) - EARLIEST_OFFSET,
            Self::Instant(instant) if instant > now => return Err(TimeInFuture),
            Self::Instant(instant) => instant.max(midnight(EARLIEST_DATE)),
        };
        Ok(instant)
    }

    /// Returns the instant up to which to read. A date ends when it ends in the last time zone.
    pub(crate) fn end(self) -> DateTime<Utc> {
        match self {
            Self::Date(date) => {
                let next = date.succ_opt().unwrap_or(date);
                next.and_time(NaiveTime::MIN).and_utc() + LATEST_OFFSET
            }
            Self::Instant(instant) => instant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn resolved(text: &str) -> Result<String, TimeInFuture> {
        let since: TimeArg = text.parse().unwrap();
        since
            .start(noon(), noon().date_naive())
            .map(|instant| instant.to_rfc3339())
    }

    #[test]
    fn a_date_starts_in_the_earliest_time_zone_and_an_instant_is_used_as_given() {
        assert_eq!(resolved("2026-03-01").unwrap(), "2026-02-28T10:00:00+00:00");
        assert_eq!(
            resolved("2026-03-01T08:00:00+02:00").unwrap(),
            "2026-03-01T06:00:00+00:00"
        );
    }

    #[test]
    fn a_future_time_is_refused_and_today_is_accepted() {
        assert_eq!(resolved("2026-03-21"), Err(TimeInFuture));
        assert_eq!(resolved("2026-03-20T12:00:01Z"), Err(TimeInFuture));
        assert!(resolved("2026-03-20").is_ok());
        assert!(resolved("2026-03-20T12:00:00Z").is_ok());
    }

    #[test]
    fn a_date_before_whoop_existed_becomes_the_earliest_date() {
        for early in ["0000-01-01", "0001-01-01T00:00:00Z"] {
            assert!(resolved(early).unwrap().starts_with("20"), "{early}");
        }
    }

    #[test]
    fn a_text_that_is_neither_a_date_nor_an_instant_is_refused() {
        for bad in [
            "",
            "yesterday",
            "2026-1-5",
            "2026-02-30",
            "+2026-01-0",
            "2026-01-01T08:00:00",
            "20260101",
        ] {
            assert_eq!(bad.parse::<TimeArg>(), Err(InvalidTimeArg), "{bad}");
        }
    }
}
