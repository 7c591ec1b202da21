//! Conditions under which a record can be stored: it has an identity, times, and text that PostgreSQL can hold.
//!
//! No range is checked. Real records are outside every range that seemed certain (sleep
//! efficiencies of 101 %), and an odd figure is no reason to lose a night.

use chrono::{DateTime, Utc};

use super::{ExtraFields, ScoreState};

/// The reason why a record cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct ValidationError {
    pub field: &'static str,
    pub rule: String,
}

pub(super) type ValidationResult = Result<(), ValidationError>;

fn invalid(field: &'static str, rule: impl Into<String>) -> ValidationResult {
    Err(ValidationError {
        field,
        rule: rule.into(),
    })
}

/// Durations that can be added up without leaving 64 bits: a quarter of what they hold.
pub(super) fn summable(field: &'static str, value: Option<i64>) -> ValidationResult {
    const MAX: i64 = i64::MAX / 4;
    match value {
        Some(value) if !(-MAX..=MAX).contains(&value) => {
            invalid(field, format!("{value} ms cannot be added up"))
        }
        _ => Ok(()),
    }
}

/// Instants that a timestamp column and a calendar can hold.
pub(super) fn instant(field: &'static str, instant: Option<DateTime<Utc>>) -> ValidationResult {
    match instant {
        Some(instant) if !(0..=253_402_300_799).contains(&instant.timestamp()) => {
            invalid(field, format!("{instant} is not between 1970 and 9999"))
        }
        _ => Ok(()),
    }
}

/// An id: a key of its table, so bounded.
pub(super) fn id(field: &'static str, text: &str) -> ValidationResult {
    if text.is_empty() || text.chars().count() > 200 {
        return invalid(field, "expected 1 to 200 characters");
    }
    self::text(field, Some(text))
}

/// PostgreSQL's text cannot hold NUL.
pub(super) fn text(field: &'static str, text: Option<&str>) -> ValidationResult {
    match text {
        Some(text) if text.contains('\0') => invalid(field, "it holds a NUL character"),
        _ => Ok(()),
    }
}

pub(super) fn state(state: &ScoreState) -> ValidationResult {
    text("score_state", Some(state.as_str()))
}

/// JSONB cannot hold NUL either, however deep it sits.
pub(super) fn extra(extra: &ExtraFields) -> ValidationResult {
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
        return invalid("extra", "a field WHOOP added holds a NUL character");
    }
    Ok(())
}
