//! Simulated WHOOP lists for tests: newest first, with pages by offset.

use std::{collections::BTreeSet, sync::LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use whoop_core::{
    CycleId, SleepId,
    plan::ReadWindow,
    record::{Recovery, Sleep},
};

use crate::{ListPage, ListedRecord, PageQuery};

/// Page size; small, so that a short list has many page borders.
const PAGE: usize = 3;

/// The minute at which a record began, which is also its id.
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

/// Creates a record with only the required fields. Tests parse it once, because parsing is slow.
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

/// Creates a recovery that WHOOP made long after its sleep began, like most recoveries.
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

/// Returns WHOOP's page: records that began before `end`. The token is an offset into the current
/// list.
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
