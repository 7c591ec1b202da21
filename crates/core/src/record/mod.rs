//! Records of the four data types, parsed from WHOOP's JSON and written back in the same form.
//!
//! Parsing accepts the known differences between WHOOP's JSON and its documentation: `null` instead
//! of an absent field, whole numbers with a decimal point, and unknown fields at any depth, which
//! are kept in `extra`.
//!
//! Parsing is strict if a wrong value would otherwise be stored. A record that breaks a rule
//! becomes a [`RejectedRecord`] with its raw text, and the other records of the page are processed
//! normally.

mod cycle;
mod extra;
mod lenient;
mod recovery;
mod score_state;
mod sleep;
mod validate;
mod workout;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

pub use cycle::{Cycle, CycleScore};
pub use extra::{ExtraFields, fold_extra_fields, unfold_extra_fields};
pub use recovery::{Recovery, RecoveryScore};
pub use score_state::ScoreState;
pub use sleep::{Sleep, SleepNeeded, SleepScore, StageSummary};
pub use validate::ValidationError;
pub use workout::{Workout, WorkoutScore, ZoneDurations};

use crate::DataType;

/// Common interface of the records of all four data types.
pub trait Record:
    DeserializeOwned + Serialize + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
    const DATA_TYPE: DataType;

    /// Returns the `id` of the row in which the record is stored. WHOOP's recoveries have no id, so
    /// their rows have the id of the cycle.
    fn id(&self) -> String;

    /// Returns WHOOP's numeric id of the member to whom the record belongs.
    fn whoop_user_id(&self) -> i64;

    /// Returns the time at which WHOOP created the record. It may be long after the recorded event.
    fn created_at(&self) -> DateTime<Utc>;

    /// Returns the time at which WHOOP last changed the record. Of two versions of a record, the
    /// version with the later time is newer.
    fn updated_at(&self) -> DateTime<Utc>;

    fn score_state(&self) -> &ScoreState;

    /// Checks that the record can be stored, by the same rules as the check constraints of the
    /// tables.
    ///
    /// # Errors
    ///
    /// Returns the first field that breaks a rule, and the rule.
    fn validate(&self) -> Result<(), ValidationError>;
}

/// Record that could not be parsed or stored, and the reason for this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    pub data_type: DataType,
    /// WHOOP's id of the record; `None` if the id could not be read.
    pub record_id: Option<String>,
    /// JSON text of the record as WHOOP sent it.
    pub raw: String,
    pub reason: String,
}

/// Parses and validates one record of a page.
///
/// # Errors
///
/// Returns the raw text of the record and the reason, which names the field that is invalid.
pub fn parse_record<R: Record>(raw: &RawValue) -> Result<R, RejectedRecord> {
    let rejected = |reason: String| RejectedRecord {
        data_type: R::DATA_TYPE,
        record_id: record_id_of(R::DATA_TYPE, raw),
        raw: raw.get().to_owned(),
        reason,
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let record: R = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => rejected(error.into_inner().to_string()),
            _ => rejected(format!("{path}: {}", error.into_inner())),
        }
    })?;
    record
        .validate()
        .map_err(|invalid| rejected(invalid.to_string()))?;
    Ok(record)
}

fn record_id_of(data_type: DataType, raw: &RawValue) -> Option<String> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    let field = match data_type {
        DataType::Recovery => "cycle_id",
        _ => "id",
    };
    match value.get(field)? {
        // PostgreSQL cannot store NUL characters. An id that is too long is not truncated, because
        // the result could be the id of another record.
        Value::String(text) if text.contains('\0') || text.chars().count() > 200 => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
