//! Edits of a person's records, like those that a member makes in WHOOP's app.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::{
    clock,
    data_type::SimDataType,
    life::{Person, SeededRng},
    merge_patch::apply_merge_patch,
    record::SimRecord,
    webhook::SimWebhookEvent,
};

/// Reason for the refusal of an edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    #[error("no person has this whoop_user_id")]
    NoSuchPerson,
    #[error("this person has no record with this id")]
    NoSuchRecord,
    #[error("a record with this id exists already")]
    IdTaken,
    #[error("{0}")]
    Invalid(&'static str),
}

/// Returns the person's record with this id. A recovery is found by the id of its cycle or of its
/// sleep.
pub(crate) fn find_record<'a>(
    person: &'a Person,
    data_type: SimDataType,
    id: &str,
) -> Option<&'a SimRecord> {
    person
        .records
        .newest_first(data_type)
        .find(|record| record.id == id || record.sleep_id.as_deref() == Some(id))
}

/// Returns the webhook events that WHOOP sends when this record is changed or deleted.
///
/// For a sleep, this includes an event for the sleep's recovery, because WHOOP changes or deletes
/// the recovery too. The event for a recovery contains the id of the sleep.
pub(crate) fn webhook_events(
    person: &Person,
    data_type: SimDataType,
    id: &str,
    deleted: bool,
) -> Vec<SimWebhookEvent> {
    let event = |data_type, id: &str| SimWebhookEvent {
        data_type,
        deleted,
        id: id.to_owned(),
    };
    let recovery = find_record(person, SimDataType::Recovery, id)
        .and_then(|recovery| recovery.sleep_id.as_deref())
        .map(|sleep_id| event(SimDataType::Recovery, sleep_id));
    match data_type {
        SimDataType::Cycle => Vec::new(),
        SimDataType::Workout => vec![event(data_type, id)],
        SimDataType::Sleep => std::iter::once(event(data_type, id))
            .chain(recovery)
            .collect(),
        SimDataType::Recovery => recovery.into_iter().collect(),
    }
}

pub(crate) fn patch_record(
    person: &mut Person,
    data_type: SimDataType,
    id: &str,
    change: &Value,
    now: DateTime<Utc>,
) -> Result<(), EditError> {
    if !change.is_object() {
        return Err(EditError::Invalid("merge must be a JSON object"));
    }
    let old = find_record(person, data_type, id).ok_or(EditError::NoSuchRecord)?;
    let mut value = old.to_value();
    apply_merge_patch(&mut value, change);
    if change.get("updated_at").is_none() {
        value["updated_at"] = json!(clock::format_instant(now));
    }
    let mut new = SimRecord::from_value(data_type, &value, (old.start, old.end))
        .ok_or(EditError::Invalid("the changed record has no valid id"))?;
    new.grown_at = old.grown_at;
    let old_id = old.id.clone();
    let times = (new.start, new.end);
    if new.id != old_id {
        person.records.remove(data_type, &old_id);
        person.edits.mark_deleted(data_type, &old_id);
    }
    person.edits.add_patch(data_type, &old_id, change);
    person.records.put(data_type, new);
    if data_type == SimDataType::Sleep
        && let Some(recovery) = find_record(person, SimDataType::Recovery, id)
    {
        // WHOOP sorts and filters recoveries by the times of their sleeps.
        let mut updated = recovery.clone();
        (updated.start, updated.end) = times;
        person.records.put(SimDataType::Recovery, updated);
    }
    Ok(())
}

/// Deletes a record. Deleting a sleep also deletes its recovery, as WHOOP does.
pub(crate) fn delete_record(
    person: &mut Person,
    data_type: SimDataType,
    id: &str,
) -> Result<(), EditError> {
    let id = find_record(person, data_type, id)
        .ok_or(EditError::NoSuchRecord)?
        .id
        .clone();
    if data_type == SimDataType::Sleep
        && let Some(recovery) = find_record(person, SimDataType::Recovery, &id)
    {
        let recovery = recovery.id.clone();
        remove_record(person, SimDataType::Recovery, &recovery);
    }
    remove_record(person, data_type, &id);
    Ok(())
}

pub(crate) fn remove_record(person: &mut Person, data_type: SimDataType, id: &str) {
    person.records.remove(data_type, id);
    person.edits.mark_deleted(data_type, id);
}

/// Adds a record and returns its id.
///
/// A recovery gets the start and end of its sleep, because WHOOP sorts recoveries by them. If the
/// sleep does not exist, the recovery gets the start and end of its cycle. If the cycle does not
/// exist either, the recovery gets its own `created_at` as its start.
///
/// A missing id, `user_id`, `created_at`, `updated_at`, `start`, `timezone_offset` or `score_state`
/// is filled in. All other values are stored unchanged, even with a wrong type.
pub(crate) fn insert_record(
    person: &mut Person,
    data_type: SimDataType,
    record: &Value,
    now: DateTime<Utc>,
    mut rng: SeededRng,
) -> Result<String, EditError> {
    let Value::Object(fields) = record else {
        return Err(EditError::Invalid("record must be a JSON object"));
    };
    let mut value = Value::Object(default_fields(person, data_type, now, &mut rng));
    for (key, member) in fields {
        value[key] = member.clone();
    }
    let mut times = (now, None);
    if data_type == SimDataType::Recovery {
        let sleep = value["sleep_id"]
            .as_str()
            .and_then(|id| find_record(person, SimDataType::Sleep, id));
        if fields.get("cycle_id").is_none() {
            value["cycle_id"] = json!(sleep.and_then(|sleep| sleep.cycle_id));
        }
        // An inserted recovery may belong to a sleep or a cycle that does not exist.
        let cycle = value["cycle_id"].as_i64().map(|id| id.to_string());
        let cycle = cycle.and_then(|id| find_record(person, SimDataType::Cycle, &id));
        let created = value["created_at"].as_str().and_then(clock::parse);
        times = match sleep.or(cycle) {
            Some(record) => (record.start, record.end),
            None => (created.unwrap_or(now), None),
        };
    }
    let reason = match data_type {
        SimDataType::Recovery => {
            "a recovery needs a cycle_id, or the sleep_id of an existing sleep"
        }
        _ => "the id must be a number or a non-empty string",
    };
    let new = SimRecord::from_value(data_type, &value, times).ok_or(EditError::Invalid(reason))?;
    if person.records.find(data_type, &new.id).is_some() {
        return Err(EditError::IdTaken);
    }
    let id = new.id.clone();
    person.edits.unmark_deleted(data_type, &id);
    person.records.put(data_type, new);
    Ok(id)
}

fn default_fields(
    person: &Person,
    data_type: SimDataType,
    now: DateTime<Utc>,
    rng: &mut SeededRng,
) -> Map<String, Value> {
    let now = json!(clock::format_instant(now));
    let mut value = Map::new();
    let mut set = |key: &str, member: Value| value.insert(key.to_owned(), member);
    set("user_id", json!(person.whoop_user_id));
    set("created_at", now.clone());
    set("updated_at", now.clone());
    set("score_state", json!("PENDING_SCORE"));
    match data_type {
        SimDataType::Recovery => {
            set("sleep_id", json!(rng.uuid().to_string()));
            return value;
        }
        SimDataType::Cycle => set("id", json!(rng.int_between(5_000_000_000, 9_000_000_000))),
        SimDataType::Sleep | SimDataType::Workout => set("id", json!(rng.uuid().to_string())),
    };
    set("start", now);
    set("timezone_offset", json!("Z"));
    value
}
