use std::str::FromStr;

use chrono::{DateTime, NaiveTime, Utc};

use crate::time_arg::TimeArg;

/// End of a service key: an instant, or the end of a whole date in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryArg(DateTime<Utc>);

/// Error for a text that is neither a date nor an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "use the last day of the key, such as 2027-01-31, or an instant, such as 2027-01-31T08:00:00Z"
)]
pub struct InvalidExpiry;

/// Error for an end in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "--expires is in the past, so the key would never work; use a future date, such as the last \
     day of next year"
)]
pub(crate) struct ExpiryInPast;

impl FromStr for ExpiryArg {
    type Err = InvalidExpiry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse().map_err(|_| InvalidExpiry)? {
            TimeArg::Instant(instant) => Ok(Self(instant)),
            TimeArg::Date(date) => {
                let next = date.succ_opt().ok_or(InvalidExpiry)?;
                Ok(Self(next.and_time(NaiveTime::MIN).and_utc()))
            }
        }
    }
}

impl ExpiryArg {
    /// Returns the first instant at which the key no longer works.
    pub(crate) fn after(self, now: DateTime<Utc>) -> Result<DateTime<Utc>, ExpiryInPast> {
        if self.0 > now {
            Ok(self.0)
        } else {
            Err(ExpiryInPast)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(text: &str) -> Result<String, ExpiryInPast> {
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let expiry: ExpiryArg = text.parse().unwrap();
        expiry.after(now).map(|end| end.to_rfc3339())
    }

    #[test]
    fn a_date_is_the_last_day_of_the_key() {
        assert_eq!(end_of("2026-11-29").unwrap(), "2026-11-30T00:00:00+00:00");
        assert_eq!(
            end_of("2027-01-01T08:00:00+02:00").unwrap(),
            "2027-01-01T06:00:00+00:00"
        );
    }

    #[test]
    fn a_past_date_and_a_text_that_is_not_a_time_are_refused() {
        for past in ["2026-11-28", "2026-11-29T12:00:00Z", "0000-01-01"] {
            assert_eq!(end_of(past), Err(ExpiryInPast), "{past}");
        }
        for bad in ["", "never", "2027-1-1", "2027-02-30", "1y"] {
            assert_eq!(bad.parse::<ExpiryArg>(), Err(InvalidExpiry), "{bad}");
        }
    }
}
