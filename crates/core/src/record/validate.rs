//! Validation of records. A record can be stored if it has an id and valid times, and if PostgreSQL
//! can store its texts.
//!
//! The validation does not check whether a figure lies in its usual range. Real records violate
//! every range that seemed certain, for example with a sleep efficiency of 101 %, and an unusual
//! figure must not prevent a night from being stored.

use chrono::{DateTime, Utc};

use super::{ExtraFields, ScoreState};

/// Reason for which a record cannot be stored: the field, and the rule that its value breaks.
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

/// Checks that a duration in milliseconds is at most a quarter of the range of `i64`, so that four
/// durations can be added without an overflow.
pub(super) fn summable(field: &'static str, value: Option<i64>) -> ValidationResult {
    const MAX: i64 = i64::MAX / 4;
    match value {
        Some(value) if !(-MAX..=MAX).contains(&value) => invalid(
            field,
            format!("{value} ms is outside the range that can be summed"),
        ),
        _ => Ok(()),
    }
}

/// Checks that a point in time lies between the years 1970 and 9999, so that a timestamp column can
/// store it.
pub(super) fn instant(field: &'static str, instant: Option<DateTime<Utc>>) -> ValidationResult {
    match instant {
        Some(instant) if !(0..=253_402_300_799).contains(&instant.timestamp()) => invalid(
            field,
            format!("{instant} is not between the years 1970 and 9999"),
        ),
        _ => Ok(()),
    }
}

/// Checks that an id has 1 to 200 characters and no NUL character. The length is limited because
/// the id is part of a table's primary key.
pub(super) fn id(field: &'static str, text: &str) -> ValidationResult {
    if text.is_empty() || text.chars().count() > 200 {
        return invalid(field, "expected 1 to 200 characters");
    }
    self::text(field, Some(text))
}

/// Checks that a text contains no NUL character, which PostgreSQL cannot store.
pub(super) fn text(field: &'static str, text: Option<&str>) -> ValidationResult {
    match text {
        Some(text) if text.contains('\0') => invalid(field, "contains a NUL character"),
        _ => Ok(()),
    }
}

pub(super) fn state(state: &ScoreState) -> ValidationResult {
    text("score_state", Some(state.as_str()))
}

/// Checks that no unknown field contains a NUL character at any depth. PostgreSQL's JSONB cannot
/// store NUL characters.
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
        return invalid("extra", "an unknown field contains a NUL character");
    }
    Ok(())
}
