//! Parsers for the parameters of requests. Each error states the form that is expected.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use whoop_core::{DataType, plan::RefreshMode};

use crate::problem::Problem;

/// Parses a date from 1970 on. Only the form `YYYY-MM-DD` is accepted. `field` is the parameter
/// that the error names.
pub(crate) fn parse_date(field: &'static str, text: &str) -> Result<NaiveDate, Problem> {
    let has_form = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
    has_form
        .then(|| text.parse::<NaiveDate>().ok())
        .flatten()
        .filter(|date| *date >= NaiveDate::default())
        .ok_or_else(|| {
            Problem::invalid(
                "invalid-date",
                field,
                format!(
                    "{:?} is not a date of the form YYYY-MM-DD, such as 2025-01-20",
                    shortened(text, 40)
                ),
            )
        })
}

/// Refuses a span of dates if its end `to` is before its start `from`.
pub(crate) fn check_date_order(from: NaiveDate, to: NaiveDate) -> Result<(), Problem> {
    if from > to {
        return Err(Problem::invalid(
            "span-reversed",
            "to",
            format!("`to` ({to}) is before `from` ({from})"),
        ));
    }
    Ok(())
}

/// Parses a date, and refuses it if it has not begun in any time zone yet.
///
/// The member's current date is not used as the limit, because it is computed from the UTC offset
/// of the last record. The member may have flown east since that record, and their app already
/// knows the new offset.
pub(crate) fn parse_past_date(
    field: &'static str,
    text: &str,
    now: DateTime<Utc>,
) -> Result<NaiveDate, Problem> {
    let date = parse_date(field, text)?;
    let latest = (now + TimeDelta::hours(14)).date_naive();
    if date > latest {
        return Err(Problem::invalid(
            "future-date",
            field,
            format!("{date} has not begun in any time zone yet; the latest date is {latest}"),
        ));
    }
    Ok(date)
}

/// Parses the start of a span: a date, or an instant with a UTC offset. Values in the future are
/// refused.
pub(crate) fn parse_since(
    field: &'static str,
    text: &str,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Problem> {
    let instant = match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => instant.to_utc(),
        Err(_) => {
            let date = parse_past_date(field, text, now)?;
            // The span starts one day before the date, so that it contains the whole date at every
            // UTC offset.
            let midnight = date.checked_sub_days(Days::new(1)).unwrap_or(date);
            midnight
                .and_time(chrono::NaiveTime::MIN)
                .and_utc()
                .max(DateTime::UNIX_EPOCH)
        }
    };
    if instant > now {
        return Err(Problem::invalid(
            "future-date",
            field,
            format!("{:?} is in the future", shortened(text, 40)),
        ));
    }
    if instant < DateTime::UNIX_EPOCH {
        return Err(Problem::invalid(
            "invalid-date",
            field,
            format!("{:?} is before 1970", shortened(text, 40)),
        ));
    }
    Ok(instant)
}

pub(crate) fn parse_refresh(text: Option<&str>) -> Result<RefreshMode, Problem> {
    match text {
        None | Some("auto") => Ok(RefreshMode::Auto),
        Some("never") => Ok(RefreshMode::Never),
        Some("force") => Ok(RefreshMode::Force),
        Some(other) => Err(Problem::invalid(
            "invalid-refresh",
            "refresh",
            format!(
                "{:?} is not a refresh mode; use auto, never or force",
                shortened(other, 40)
            ),
        )),
    }
}

/// Parses an instant with a UTC offset, in the form in which this API writes instants (RFC 3339).
pub(crate) fn parse_instant(field: &'static str, text: &str) -> Result<DateTime<Utc>, Problem> {
    let instant = DateTime::parse_from_rfc3339(text);
    instant.map(|instant| instant.to_utc()).map_err(|_| {
        Problem::invalid(
            "invalid-date",
            field,
            format!(
                "{:?} is not an instant of the form 2025-01-20T08:00:00Z",
                shortened(text, 40)
            ),
        )
    })
}

/// Parses a whole number within `range`. Returns `default` if the parameter is absent.
pub(crate) fn parse_number(
    field: &'static str,
    text: Option<&str>,
    default: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, Problem> {
    let Some(text) = text else {
        return Ok(default);
    };
    // `parse` alone is not enough: it would accept a plus sign, but a plus sign in a query stands
    // for a space.
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let maximum = match *range.end() {
                i64::MAX => String::new(),
                end => format!(" and at most {end}"),
            };
            Problem::invalid(
                "invalid-number",
                field,
                format!(
                    "{:?} is not a whole number of at least {}{maximum}",
                    shortened(text, 40),
                    range.start()
                ),
            )
        })
}

pub(crate) fn parse_flag(field: &'static str, text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(Problem::invalid(
            "invalid-flag",
            field,
            format!("{:?} is neither true nor false", shortened(other, 40)),
        )),
    }
}

/// Parses the data types of a request, and returns them sorted and without duplicates. Returns all
/// four if the list is absent.
pub(crate) fn parse_data_types(words: Option<Vec<String>>) -> Result<Vec<DataType>, Problem> {
    let Some(words) = words else {
        return Ok(DataType::ALL.to_vec());
    };
    let mut types = words
        .iter()
        .map(|word| {
            word.parse::<DataType>().map_err(|error| {
                Problem::invalid("unknown-data-type", "data_types", error.to_string())
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    types.sort_unstable();
    types.dedup();
    if types.is_empty() {
        return Err(Problem::invalid(
            "unknown-data-type",
            "data_types",
            "the list is empty; name at least one data type, or omit the field for all four"
                .to_owned(),
        ));
    }
    Ok(types)
}

/// Returns the beginning of a caller's text, with at most this number of characters, for an error
/// message.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_accepted_in_one_form_only() {
        assert!(parse_date("date", "2025-01-20").is_ok());
        assert!(parse_date("date", "2024-02-29").is_ok());
        for bad in [
            "",
            "2025-1-20",
            "20250120",
            "2025-02-30",
            "today",
            "2025-01-20T00:00:00Z",
            "0000-00-00",
            "+025-01-20",
            "２０25-01",
        ] {
            assert!(parse_date("date", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_is_accepted_once_it_has_begun_at_utc_plus_14() {
        let now = DateTime::parse_from_rfc3339("2026-03-20T11:00:00Z")
            .unwrap()
            .to_utc();

        assert!(parse_past_date("date", "2026-03-21", now).is_ok());
        assert!(parse_past_date("date", "2026-03-22", now).is_err());
        assert!(parse_past_date("date", "2026-03-21", now - TimeDelta::hours(2)).is_err());
    }
}
