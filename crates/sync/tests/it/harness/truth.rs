//! Comparison of WHOOP's records with the stored records, value by value.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use whoop_core::DataType;

use super::{Member, Stage, follower::stored};

pub(crate) type ById = BTreeMap<String, Value>;

/// Returns the JSON key under which the simulator's truth lists the records of a data type.
fn plural(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Recovery => "recoveries",
        DataType::Sleep => "sleeps",
        DataType::Workout => "workouts",
        DataType::Cycle => "cycles",
    }
}

pub(crate) fn at_whoop(data_type: DataType) -> whoop_sim::SimDataType {
    match data_type {
        DataType::Recovery => whoop_sim::SimDataType::Recovery,
        DataType::Sleep => whoop_sim::SimDataType::Sleep,
        DataType::Workout => whoop_sim::SimDataType::Workout,
        DataType::Cycle => whoop_sim::SimDataType::Cycle,
    }
}

/// Returns the id of a record. A recovery has the id of its cycle.
pub(crate) fn id_of(data_type: DataType, record: &Value) -> String {
    let id = match data_type {
        DataType::Recovery => &record["cycle_id"],
        _ => &record["id"],
    };
    match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Returns the value without null fields and without objects that contain only nulls.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| (key.clone(), without_nulls(member)))
            .filter(|(_, member)| {
                !member.is_null() && !member.as_object().is_some_and(serde_json::Map::is_empty)
            })
            .collect(),
        other => other.clone(),
    }
}

/// Returns whether two JSON values are equal.
///
/// 68 and 68.0 are the same number, but two integers must agree in all digits.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (a, b) => a == b,
    }
}

impl Stage {
    /// Returns WHOOP's records of a data type by their ids.
    pub(crate) fn truth(&self, member: &Member, data_type: DataType) -> ById {
        let truth = self.world().records().truth(member.whoop_user_id);
        let records = truth[plural(data_type)].as_array().unwrap();
        records
            .iter()
            .map(|record| (id_of(data_type, record), without_nulls(record)))
            .collect()
    }

    /// Returns all records that WHOOP has of a member, by data type and id.
    pub(crate) fn complete_truth(&self, member: &Member) -> BTreeMap<(DataType, String), Value> {
        let truth = self.world().records().truth(member.whoop_user_id);
        let of = |data_type| {
            let records = truth[plural(data_type)].as_array().unwrap().iter();
            records.map(move |record| {
                let key = (data_type, id_of(data_type, record));
                (key, without_nulls(record))
            })
        };
        DataType::ALL.into_iter().flat_map(of).collect()
    }

    /// Returns WHOOP's records of a data type, newest first, in the order of WHOOP's list.
    pub(crate) fn listed(&self, member: &Member, data_type: DataType) -> Vec<Value> {
        let truth = self.world().records().truth(member.whoop_user_id);
        truth[plural(data_type)].as_array().unwrap().clone()
    }

    /// Changes a record at WHOOP, as an edit by the member or a new score would do.
    pub(crate) fn change(
        &self,
        member: &Member,
        data_type: DataType,
        record: &Value,
        change: Value,
    ) {
        let id = id_of(data_type, record);
        self.world()
            .records()
            .patch(member.whoop_user_id, at_whoop(data_type), id, change)
            .unwrap();
    }

    /// Adds a record at WHOOP and returns its id.
    pub(crate) fn insert(&self, member: &Member, data_type: DataType, record: Value) -> String {
        self.world()
            .records()
            .insert(member.whoop_user_id, at_whoop(data_type), record)
            .unwrap()
    }

    /// Returns WHOOP's records of a data type, newest first, each with its start.
    ///
    /// A recovery has the start of its sleep. If the sleep does not exist, it has the start of its
    /// cycle, and if the cycle does not exist either, the time of its own creation.
    pub(crate) fn dated(
        &self,
        member: &Member,
        data_type: DataType,
    ) -> Vec<(DateTime<Utc>, Value)> {
        let truth = self.world().records().truth(member.whoop_user_id);
        let list = |key: &str| truth[key].as_array().unwrap().clone();
        let nights: BTreeMap<String, DateTime<Utc>> = list("sleeps")
            .iter()
            .map(|sleep| (sleep["id"].to_string(), instant(&sleep["start"])))
            .collect();
        let cycles: BTreeMap<String, DateTime<Utc>> = list("cycles")
            .iter()
            .map(|cycle| (cycle["id"].to_string(), instant(&cycle["start"])))
            .collect();
        let start_of = |record: &Value| match data_type {
            DataType::Recovery => nights
                .get(&record["sleep_id"].to_string())
                .or_else(|| cycles.get(&record["cycle_id"].to_string()))
                .copied()
                .unwrap_or_else(|| instant(&record["created_at"])),
            _ => instant(&record["start"]),
        };
        list(plural(data_type))
            .into_iter()
            .map(|record| (start_of(&record), record))
            .collect()
    }

    /// Returns the newest of WHOOP's records that began before `before`.
    pub(crate) fn newest_before(
        &self,
        member: &Member,
        data_type: DataType,
        before: DateTime<Utc>,
    ) -> Value {
        let records = self.dated(member, data_type).into_iter();
        records
            .filter(|(start, _)| *start < before)
            .map(|(_, record)| record)
            .next()
            .unwrap()
    }

    /// Returns the stored records of a data type by their ids.
    pub(crate) async fn stored(&self, member: &Member, data_type: DataType) -> ById {
        self.all_stored(member).await.take(data_type)
    }

    /// Returns all stored records of a member, in the format in which WHOOP sends records.
    pub(crate) async fn all_stored(&self, member: &Member) -> StoredRecords {
        let mut records_by_type = StoredRecords::default();
        for ((data_type, id), (_, record)) in stored(&self.engine, &member.user_id).await {
            let by_id = match data_type.parse().unwrap() {
                DataType::Recovery => &mut records_by_type.recoveries,
                DataType::Sleep => &mut records_by_type.sleeps,
                DataType::Workout => &mut records_by_type.workouts,
                DataType::Cycle => &mut records_by_type.cycles,
            };
            by_id.insert(id, without_nulls(&record));
        }
        records_by_type
    }

    /// Asserts that the database has the same records as WHOOP, with the same values.
    pub(crate) async fn assert_stored_is_truth(&self, member: &Member) {
        let mut records_by_type = self.all_stored(member).await;
        for data_type in DataType::ALL {
            let stored = records_by_type.take(data_type);
            let truth = self.truth(member, data_type);
            let actual: BTreeSet<&String> = stored.keys().collect();
            let expected: BTreeSet<&String> = truth.keys().collect();
            assert_eq!(actual, expected, "{data_type} of {member:?}");
            assert_all_same(&truth, &stored);
        }
    }

    /// Asserts that the database has all of WHOOP's records in the time spans that, according to
    /// the sync log, were read completely.
    pub(crate) async fn assert_sync_log_is_correct(&self, member: &Member) {
        let mut records_by_type = self.all_stored(member).await;
        let status = self
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap();
        for (data_type, log) in status.types {
            let Some(log) = log else { continue };
            let Some((from, until)) = log.covered_from.zip(log.covered_until) else {
                assert_eq!(
                    log.last_sync_at, None,
                    "{data_type} was never read completely"
                );
                continue;
            };
            let earlier = log.coverage().and_then(|coverage| coverage.earlier);
            let is_promised = |start: DateTime<Utc>| {
                let is_covered = (log.whole_history || start >= from) && start < until;
                is_covered || earlier.is_some_and(|span| start >= span.from && start < span.until)
            };
            let promised: ById = self
                .dated(member, data_type)
                .iter()
                .filter(|(start, _)| is_promised(*start))
                .map(|(_, record)| (id_of(data_type, record), without_nulls(record)))
                .collect();
            assert_all_same(&promised, &records_by_type.take(data_type));
        }
    }
}

#[derive(Default)]
pub(crate) struct StoredRecords {
    recoveries: ById,
    sleeps: ById,
    workouts: ById,
    cycles: ById,
}

impl StoredRecords {
    pub(crate) fn take(&mut self, data_type: DataType) -> ById {
        std::mem::take(match data_type {
            DataType::Recovery => &mut self.recoveries,
            DataType::Sleep => &mut self.sleeps,
            DataType::Workout => &mut self.workouts,
            DataType::Cycle => &mut self.cycles,
        })
    }
}

pub(crate) fn assert_all_same(truth: &ById, stored: &ById) {
    for (id, expected) in truth {
        let Some(actual) = stored.get(id) else {
            panic!("{id} is not stored: {expected:#}");
        };
        assert!(
            is_same(expected, actual),
            "WHOOP's record:\n{expected:#}\nstored record:\n{actual:#}"
        );
    }
}
