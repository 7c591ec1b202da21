//! One record: the JSON text that is sent, and what is needed to find it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{clock, data_type::SimDataType, key_order};

/// The body is kept as text. It is what a reply carries to the letter, and a
/// thousand people with years of nights stay small.
#[derive(Debug, Clone)]
pub(crate) struct SimRecord {
    /// A recovery has no id of its own; here it is its cycle's.
    pub(crate) id: String,
    pub(crate) cycle_id: Option<i64>,
    pub(crate) sleep_id: Option<String>,
    pub(crate) nap: bool,
    /// For a recovery the times of its sleep, by which WHOOP sorts and filters.
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    /// Of an open cycle: the growth that this body shows.
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
            body: serde_json::to_string(wire).expect("wire records have string keys only"),
        }
    }

    /// A record from any JSON object, as edits make them.
    ///
    /// The object may be as broken as a test wants it; only what it is found by
    /// is read from it, and the place in time falls back on `place`.
    pub(crate) fn from_value(
        data_type: SimDataType,
        value: &Value,
        place: (DateTime<Utc>, Option<DateTime<Utc>>),
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
        let (mut start, mut end) = place;
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
        serde_json::from_str(&self.body).expect("the body was printed by serde_json")
    }
}
