//! One record: its JSON text, and the values by which it is found and sorted.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{clock, data_type::SimDataType, key_order};

/// A record with its body as JSON text.
///
/// Replies contain this text unchanged. Text also needs less memory than parsed JSON, which matters
/// for a thousand people with years of history.
#[derive(Debug, Clone)]
pub(crate) struct SimRecord {
    /// Id of the record. A recovery has no id of its own and uses that of its cycle.
    pub(crate) id: String,
    pub(crate) cycle_id: Option<i64>,
    pub(crate) sleep_id: Option<String>,
    pub(crate) nap: bool,
    /// Start of the record. A recovery has the start and end of its sleep, because WHOOP sorts and
    /// filters recoveries by them.
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    /// For a running cycle: time of the update that the body shows. `None` for other records.
    pub(crate) grown_at: Option<DateTime<Utc>>,
    pub(crate) body: String,
}

impl SimRecord {
    pub(crate) fn new(
        id: impl ToString,
        start: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
        wire: &impl Serialize,
    ) -> Self {
        Self {
            id: id.to_string(),
            cycle_id: None,
            sleep_id: None,
            nap: false,
            start,
            end,
            grown_at: None,
            body: serde_json::to_string(wire).expect("records have string keys only"),
        }
    }

    /// Creates a record from any JSON object, for edits. Returns `None` if the object has no valid
    /// id.
    ///
    /// The object may be invalid, because only the values by which a record is found and sorted are
    /// read. `default_times` is the start and end of a recovery. For other data types, it replaces
    /// times that cannot be parsed.
    pub(crate) fn from_value(
        data_type: SimDataType,
        value: &Value,
        default_times: (DateTime<Utc>, Option<DateTime<Utc>>),
    ) -> Option<Self> {
        let own_id = match data_type {
            SimDataType::Recovery => &value["cycle_id"],
            _ => &value["id"],
        };
        let id = match own_id {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let (mut start, mut end) = default_times;
        if data_type != SimDataType::Recovery {
            let instant = |key: &str| value[key].as_str().and_then(clock::parse);
            start = instant("start").unwrap_or(start);
            end = match value.get("end") {
                None | Some(Value::Null) => None,
                Some(_) => instant("end").or(end),
            };
        }
        Some(Self {
            id,
            cycle_id: value["cycle_id"].as_i64(),
            sleep_id: value["sleep_id"].as_str().map(str::to_owned),
            nap: value["nap"].as_bool().unwrap_or(false),
            start,
            end,
            grown_at: None,
            body: key_order::to_ordered_json(value),
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body was serialized by serde_json")
    }
}
