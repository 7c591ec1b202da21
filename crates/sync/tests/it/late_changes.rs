//! Tests of law 3 (late changes arrive): changes of older records are read, and days without a run
//! cause no gap.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use whoop_core::{DataType, plan::Slot};
use whoop_sim::SimConfig;
use whoop_sync::MemberOutcome;

use crate::harness::{
    Member, Stage, back_to, half_a_year, history, id_of, list_of, now, parameter, slot, text_of,
};

/// Returns the change that makes the score of a record pending, as for a night that WHOOP has not
/// scored yet.
fn pending() -> Value {
    json!({"score_state": "PENDING_SCORE", "score": null})
}

fn scored_as(record: &Value) -> Value {
    json!({"score_state": "SCORED", "score": record["score"]})
}

fn scored_before(
    stage: &Stage,
    member: &Member,
    data_type: DataType,
    before: DateTime<Utc>,
) -> Value {
    let records = stage.dated(member, data_type).into_iter();
    records
        .filter(|(start, record)| *start < before && record["score_state"] == "SCORED")
        .map(|(_, record)| record)
        .next()
        .unwrap()
}

#[tokio::test]
async fn the_next_run_reads_a_night_that_was_rescored_ten_days_later() {
    let (stage, member) = Stage::with_member().await;
    let ten_days_ago = now() - TimeDelta::days(10);
    for (data_type, score) in [
        (
            DataType::Sleep,
            json!({"sleep_performance_percentage": 12.5}),
        ),
        (DataType::Recovery, json!({"recovery_score": 34.0})),
    ] {
        let night = scored_before(&stage, &member, data_type, ten_days_ago);
        stage.advance(TimeDelta::hours(1));
        stage.change(&member, data_type, &night, json!({"score": score}));
    }

    let report = stage.sync(&member, &slot(Slot::Morning)).await;

    assert_eq!(report.stored().updated, 2, "{report:?}");
    stage.assert_sync_log_is_correct(&member).await;
}

#[tokio::test]
async fn a_pending_record_older_than_every_window_is_requested_by_id_until_it_is_scored() {
    let stage = Stage::new().await;
    let member = stage.connect_person(0).await;
    let long_ago = now() - TimeDelta::days(60);
    let mut pending_records = Vec::new();
    for data_type in DataType::ALL {
        let record = scored_before(&stage, &member, data_type, long_ago);
        stage.change(&member, data_type, &record, pending());
        pending_records.push((data_type, record));
    }
    stage.sync(&member, &history(&DataType::ALL)).await;

    stage.sync(&member, &slot(Slot::Night)).await;
    stage.assert_stored_is_truth(&member).await;
    for (data_type, record) in &pending_records {
        stage.change(&member, *data_type, record, scored_as(record));
    }
    stage.world().reset_calls();
    stage.sync(&member, &slot(Slot::Night)).await;

    stage.assert_stored_is_truth(&member).await;
    for (data_type, record) in &pending_records {
        let id = id_of(*data_type, record);
        let is_requested = stage.api_calls().iter().any(|call| call.path.contains(&id));
        assert!(is_requested, "{data_type} {id}");
    }
    stage.world().reset_calls();
    stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(
        stage.api_calls().len(),
        4,
        "scored records are not requested again"
    );
}

#[tokio::test]
async fn a_pending_record_at_the_edge_of_the_window_is_read_with_the_list() {
    let (stage, member) = Stage::with_member().await;
    add_workouts(&stage, &member, TimeDelta::hours(40), 60);
    let night = scored_before(
        &stage,
        &member,
        DataType::Workout,
        now() - TimeDelta::days(18),
    );
    stage.change(&member, DataType::Workout, &night, pending());
    stage.sync(&member, &history(&[DataType::Workout])).await;
    stage.advance(TimeDelta::minutes(1));
    stage.change(&member, DataType::Workout, &night, scored_as(&night));

    let report = stage.sync(&member, &slot(Slot::Afternoon)).await;

    assert_eq!(report.stored().updated, 1, "{report:?}");
}

/// Adds `count` workouts within the last `span`. They do not fit on one page.
fn add_workouts(stage: &Stage, member: &Member, span: TimeDelta, count: i32) {
    for nth in 0..count {
        add_workout(
            stage,
            member,
            now() - TimeDelta::minutes(20) - span / count * nth,
        );
    }
}

/// Adds a workout that began at `start`. It is unscorable, so a window reaches it only because of
/// its start and not because of a pending score.
fn add_workout(stage: &Stage, member: &Member, start: DateTime<Utc>) -> String {
    let record = json!({
        "start": text_of(start),
        "end": text_of(start + TimeDelta::minutes(5)),
        "sport_name": "running",
        "score_state": "UNSCORABLE",
    });
    stage.insert(member, DataType::Workout, record)
}

/// Asserts that this scheduled run (slot) reads back at least as far as `span`, even if it has to
/// read several full pages.
async fn assert_slot_reaches(slot_of_day: Slot, span: TimeDelta, workouts: i32) {
    let stage = Stage::with(SimConfig {
        people: 7,
        ..half_a_year()
    })
    .await;
    let athlete = stage.connect_person(6).await;
    add_workouts(&stage, &athlete, span - TimeDelta::hours(2), workouts);
    let at_the_edge = add_workout(&stage, &athlete, now() - span + TimeDelta::minutes(30));
    stage.sync(&athlete, &slot(slot_of_day)).await;
    stage.advance(TimeDelta::minutes(10));
    let edge = stage.truth(&athlete, DataType::Workout)[&at_the_edge].clone();
    stage.change(
        &athlete,
        DataType::Workout,
        &edge,
        json!({"sport_name": "pilates"}),
    );
    stage.world().reset_calls();

    stage.sync(&athlete, &slot(slot_of_day)).await;

    let stored = stage.stored(&athlete, DataType::Workout).await;
    assert_eq!(stored[&at_the_edge]["sport_name"], "pilates");
    let pages = stage.pages_of(DataType::Workout);
    let full = usize::try_from(workouts).unwrap() / 25;
    assert!(
        (full + 1..=full + 2).contains(&pages.len()),
        "number of pages: {}",
        pages.len()
    );
}

#[tokio::test]
async fn every_slot_reads_two_days_back_through_full_pages() {
    assert_slot_reaches(Slot::Afternoon, TimeDelta::hours(48), 80).await;
}

#[tokio::test]
async fn the_night_run_reads_a_week_back_through_full_pages() {
    assert_slot_reaches(Slot::Night, TimeDelta::days(7), 120).await;
}

#[tokio::test]
async fn weeks_without_a_run_cause_no_gap() {
    let stage = Stage::with(SimConfig {
        people: 9,
        ..half_a_year()
    })
    .await;
    for index in [0, 1, 6] {
        stage.set_time(now() - TimeDelta::days(20));
        let member = stage.connect_person(index).await;
        stage.sync(&member, &history(&DataType::ALL)).await;

        stage.set_time(now());
        for one in [Slot::Morning, Slot::Afternoon] {
            let report = stage.sync(&member, &slot(one)).await;
            assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
        }

        stage.assert_stored_is_truth(&member).await;
        stage.assert_sync_log_is_correct(&member).await;
    }
}

#[tokio::test]
async fn each_page_continues_after_the_end_of_the_previous_page() {
    let (stage, member) = Stage::with_member().await;
    stage.world().reset_calls();

    let request = back_to(now() - TimeDelta::days(120), &DataType::ALL);
    stage.sync(&member, &request).await;

    for data_type in DataType::ALL {
        let pages = stage.pages_of(data_type);
        assert!(
            pages.len() >= 3,
            "{} has {}",
            list_of(data_type),
            pages.len()
        );
        assert_eq!(stage.list_reads(data_type), 1);
        let ends: Vec<_> = pages.iter().map(|page| parameter(page, "end")).collect();
        assert_eq!(ends[0].as_deref(), Some("2026-10-20T15:07:00.000Z"));
        for (page, next) in pages.iter().zip(&pages[1..]) {
            let is_earlier = parameter(next, "end") < parameter(page, "end");
            assert!(is_earlier || parameter(next, "nextToken").is_some());
        }
        for page in &pages {
            assert_eq!(parameter(page, "start"), None);
            assert_eq!(parameter(page, "limit").as_deref(), Some("25"));
        }
    }
}
