//! The rules a value must keep to be stored: the twin of the tables' checks.
//!
//! PostgreSQL refuses a whole page for one bad row; checking here first lets
//! the good rows through. The ranges are wide on purpose: they catch nonsense,
//! not surprises.

use chrono::{DateTime, Utc};

use super::{Extra, ScoreState};
use crate::offset;

/// A value that cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Nonsense {
    pub field: &'static str,
    pub rule: String,
}

pub(super) type Sound = Result<(), Nonsense>;

fn nonsense(field: &'static str, rule: impl Into<String>) -> Sound {
    Err(Nonsense {
        field,
        rule: rule.into(),
    })
}

pub(super) fn within(field: &'static str, value: Option<f64>, low: f64, high: f64) -> Sound {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            nonsense(field, format!("{value} is outside {low} to {high}"))
        }
        _ => Ok(()),
    }
}

/// Hearts beat up to 300 times a minute in these tables.
pub(super) fn heart_rate(field: &'static str, value: Option<f64>) -> Sound {
    within(field, value, 0.0, 300.0)
}

pub(super) fn percentage(field: &'static str, value: Option<f64>) -> Sound {
    within(field, value, 0.0, 100.0)
}

/// WHOOP's strain runs from 0 to 21.
pub(super) fn strain(field: &'static str, value: Option<f64>) -> Sound {
    within(field, value, 0.0, 21.0)
}

pub(super) fn not_negative(field: &'static str, value: Option<f64>) -> Sound {
    within(field, value, 0.0, f64::MAX)
}

pub(super) fn count(field: &'static str, value: Option<i64>) -> Sound {
    match value {
        Some(value) if value < 0 => nonsense(field, format!("{value} is below 0")),
        _ => Ok(()),
    }
}

pub(super) fn milli(field: &'static str, value: Option<i64>, low: i64, high: i64) -> Sound {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            nonsense(field, format!("{value} ms is outside {low} to {high}"))
        }
        _ => Ok(()),
    }
}

pub(super) fn in_order(start: DateTime<Utc>, end: Option<DateTime<Utc>>) -> Sound {
    match end {
        Some(end) if end < start => nonsense("end", format!("{end} is before start {start}")),
        _ => Ok(()),
    }
}

/// Instants that a timestamp column and a calendar can hold.
pub(super) fn possible(field: &'static str, instant: Option<DateTime<Utc>>) -> Sound {
    match instant {
        Some(instant) if !(0..=253_402_300_799).contains(&instant.timestamp()) => {
            nonsense(field, format!("{instant} is not between 1970 and 9999"))
        }
        _ => Ok(()),
    }
}

pub(super) fn timezone_offset(text: Option<&str>) -> Sound {
    match text {
        Some(text) if offset::parse(text).is_none() => nonsense(
            "timezone_offset",
            format!(
                "{:?} is not +hh:mm, -hh:mm or Z",
                text.chars().take(40).collect::<String>()
            ),
        ),
        _ => Ok(()),
    }
}

/// A word that fits its column; PostgreSQL's text cannot hold NUL.
pub(super) fn word(field: &'static str, text: &str) -> Sound {
    if text.is_empty() || text.chars().count() > 200 || text.contains('\0') {
        return nonsense(field, "expected 1 to 200 characters without NUL");
    }
    Ok(())
}

pub(super) fn state(state: &ScoreState) -> Sound {
    word("score_state", state.as_str())
}

/// JSONB cannot hold NUL either, however deep it sits.
pub(super) fn storable(extra: &Extra) -> Sound {
    fn has_nul(value: &serde_json::Value) -> bool {
        use serde_json::Value;
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(map) => map
                .iter()
                .any(|(key, item)| key.contains('\0') || has_nul(item)),
            _ => false,
        }
    }
    if extra
        .iter()
        .any(|(key, value)| key.contains('\0') || has_nul(value))
    {
        return nonsense("extra", "a field WHOOP added holds a NUL character");
    }
    Ok(())
}
