//! The four records, read from WHOOP's JSON and written back in its shape.
//!
//! Reading is lenient where WHOOP is known to be: `null` where the document
//! says absent, whole numbers with a decimal point, fields nobody has heard of
//! (kept in `extra`, at whatever depth). It is strict where a mistake would be
//! stored: a record that breaks a rule is [`Rejected`] with its raw text, and
//! its neighbours on the page go on.

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

/// What the four records have in common.
pub trait Record:
    DeserializeOwned + Serialize + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
    const DATA_TYPE: DataType;

    /// The `id` of the stored row. A recovery has none of its own at WHOOP and
    /// goes by its cycle's.
    fn id(&self) -> String;

    /// WHOOP's number of the member whose record this is.
    fn whoop_user_id(&self) -> i64;

    /// When WHOOP stored the record, which may be long after it happened.
    fn created_at(&self) -> DateTime<Utc>;

    /// When WHOOP last changed the record; decides which version is newer.
    fn updated_at(&self) -> DateTime<Utc>;

    fn score_state(&self) -> &ScoreState;

    /// Whether the values make sense: the same rules as the tables' checks.
    ///
    /// # Errors
    ///
    /// The first field that breaks a rule, and the rule.
    fn validate(&self) -> Result<(), ValidationError>;
}

/// A record that was not stored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    pub data_type: DataType,
    /// WHOOP's id, where even that could be read.
    pub record_id: Option<String>,
    /// The record as WHOOP sent it.
    pub raw: String,
    pub reason: String,
}

/// Reads one record of a page.
///
/// # Errors
///
/// The record with its raw text and the field that could not be read.
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
        // PostgreSQL's text cannot hold NUL, and a cut id would be another's.
        Value::String(text) if text.contains('\0') || text.chars().count() > 200 => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
