//! Simulated WHOOP lists for tests. They are sorted newest first, and page tokens are offsets.

use std::{collections::BTreeSet, sync::LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use whoop_core::{
    CycleId, SleepId,
    plan::ReadWindow,
    record::{Recovery, Sleep},
};

use crate::{ListPage, ListedRecord, PageQuery};

/// Page size of the simulated lists. It is small, so that a short list has many page borders.
const PAGE: usize = 3;

/// Minute at which a record began. It is also the id of the record.
pub(super) type StartMinute = i64;

pub(super) fn at(minute: StartMinute) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

pub(super) fn everything() -> ReadWindow {
    ReadWindow {
        must_reach: DateTime::UNIX_EPOCH - TimeDelta::days(1),
        end: at(1_000_000),
    }
}

/// Creates a record that has only the required fields. Tests create such a record once and copy it,
/// because parsing is slow.
fn minimal<R: ListedRecord>(ids: serde_json::Value) -> R {
    let mut record = json!({
        "user_id": 1, "start": at(0), "created_at": at(0), "updated_at": at(0),
        "score_state": "SCORED",
    });
    record
        .as_object_mut()
        .unwrap()
        .append(&mut ids.as_object().unwrap().clone());
    serde_json::from_value(record).unwrap()
}

pub(super) fn sleep(start: StartMinute) -> Sleep {
    static MINIMAL: LazyLock<Sleep> = LazyLock::new(|| minimal(json!({"id": ""})));
    Sleep {
        id: SleepId(start.to_string()),
        start: at(start),
        ..MINIMAL.clone()
    }
}

/// Creates a recovery that WHOOP created 30 minutes after the start of its sleep. Most real
/// recoveries are also created long after this start.
pub(super) fn recovery(start: StartMinute) -> Recovery {
    static MINIMAL: LazyLock<Recovery> =
        LazyLock::new(|| minimal(json!({"cycle_id": 0, "sleep_id": ""})));
    Recovery {
        cycle_id: CycleId(start),
        created_at: at(start + 30),
        extra: Map::new(),
        ..MINIMAL.clone()
    }
}

pub(super) fn sleeps(starts: &BTreeSet<StartMinute>) -> Vec<Sleep> {
    starts.iter().rev().map(|start| sleep(*start)).collect()
}

pub(super) fn recoveries(starts: &BTreeSet<StartMinute>) -> Vec<Recovery> {
    starts.iter().rev().map(|start| recovery(*start)).collect()
}

/// Returns the page that WHOOP would return: records that began before `end`. The page token is an
/// offset into the current list.
pub(super) fn page_of<R: ListedRecord>(list: &[R], query: &PageQuery) -> ListPage<R> {
    let began_before = |record: &&R| record.sort_key().is_none_or(|start| start < query.end);
    let list: Vec<&R> = list.iter().filter(began_before).collect();
    let offset = query
        .next_token
        .as_ref()
        .map_or(0, |token| token.parse().unwrap());
    let rest = list.get(offset..).unwrap_or_default();
    page(
        rest.iter()
            .take(PAGE)
            .map(|record| (*record).clone())
            .collect(),
        (rest.len() > PAGE).then(|| (offset + PAGE).to_string()),
    )
}

pub(super) fn page<R>(records: Vec<R>, next_token: Option<String>) -> ListPage<R> {
    ListPage {
        records,
        rejected: Vec::new(),
        next_token,
        not_found: false,
    }
}
