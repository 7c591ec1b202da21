//! Tests of law 4 (deleted means deleted): records that were deleted at WHOOP are deleted in the
//! database, and no other records are.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use whoop_core::{DataType, plan::Slot};
use whoop_sim::Fault;
use whoop_sync::MemberOutcome;

use crate::harness::{Member, Stage, at_whoop, back_to, history, id_of, now, slot, text_of};

/// Returns a member's records at WHOOP that began in a time span, newest first.
fn between(
    stage: &Stage,
    member: &Member,
    data_type: DataType,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<Value> {
    let dated = stage.dated(member, data_type).into_iter();
    dated
        .filter(|(start, _)| from <= *start && *start < until)
        .map(|(_, record)| record)
        .collect()
}

fn delete(stage: &Stage, member: &Member, data_type: DataType, record: &Value) {
    let id = id_of(data_type, record);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(data_type), id)
        .unwrap();
}

fn days_ago(days: i64) -> DateTime<Utc> {
    now() - TimeDelta::days(days)
}

fn calls_by_id(stage: &Stage) -> usize {
    let calls = stage.world().calls();
    calls
        .iter()
        .filter(|call| {
            let last = call.path.rsplit('/').next().unwrap_or_default();
            last.contains(char::is_numeric) || call.path.contains("/cycle/")
        })
        .count()
}

#[tokio::test]
async fn the_next_sync_deletes_records_that_the_member_deleted() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    for data_type in [DataType::Workout, DataType::Cycle, DataType::Recovery] {
        let deleted = &between(&stage, &member, data_type, days_ago(12), days_ago(4))[0];
        delete(&stage, &member, data_type, deleted);
    }

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(report.stored().deleted, 3, "{report:?}");
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_running_cycle_can_be_deleted_as_well() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let running = stage.listed(&member, DataType::Cycle)[0].clone();
    assert!(running["end"].is_null(), "{running}");
    delete(&stage, &member, DataType::Cycle, &running);

    // WHOOP's list has no newer record that would prove the deletion. A single 404 is therefore not
    // enough, and the cycle is deleted after a second 404 an hour later.
    for (minutes, deleted) in [(1, 0), (60, 1)] {
        stage.advance(TimeDelta::minutes(minutes));
        let report = stage.sync(&member, &slot(Slot::Evening)).await;
        assert_eq!(report.stored().deleted, deleted, "{report:?}");
    }
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_deleted_sleep_deletes_its_recovery_and_its_cycle_is_dated_by_its_start() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let nights = between(&stage, &member, DataType::Sleep, days_ago(12), days_ago(4));
    let night = nights.iter().find(|night| night["nap"] == false).unwrap();
    delete(&stage, &member, DataType::Sleep, night);

    // This sync reads only the list of sleeps.
    let report = stage
        .sync(&member, &back_to(days_ago(14), &[DataType::Sleep]))
        .await;

    assert_eq!(report.stored().deleted, 2, "{report:?}");
    stage.assert_stored_is_truth(&member).await;
    let date_of_cycle = "SELECT local_date::text FROM whoop_cycle WHERE user_id = $1 AND id = $2";
    let cycle = night["cycle_id"].to_string();
    let row = stage
        .sql
        .query_one(date_of_cycle, &[&member.user_id.as_str(), &cycle])
        .await
        .unwrap();
    let began: DateTime<Utc> = between(&stage, &member, DataType::Cycle, days_ago(15), now())
        .iter()
        .find(|one| one["id"] == night["cycle_id"])
        .and_then(|one| one["start"].as_str()?.parse().ok())
        .unwrap();
    let date: String = row.get(0);
    let noon_after = (began + TimeDelta::hours(12)).date_naive();
    let distance = date.parse::<chrono::NaiveDate>().unwrap() - noon_after;
    assert!(
        distance.num_days().abs() <= 1,
        "{date} for a cycle of {began}"
    );
}

#[tokio::test]
async fn an_incompletely_read_window_deletes_nothing() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let deleted = &between(&stage, &member, DataType::Sleep, days_ago(12), days_ago(4))[0];
    delete(&stage, &member, DataType::Sleep, deleted);
    let mut context = crate::harness::context_without_retries();
    context = whoop_sync::SyncContext::scheduled(Some(2), context.stop.clone());

    let request = back_to(days_ago(90), &[DataType::Sleep]);
    let report = stage
        .engine
        .members
        .sync_member(&member.user_id, &context, &request)
        .await
        .unwrap();

    assert_eq!(report.outcome, MemberOutcome::Deferred, "{report:?}");
    let stored = stage.stored(&member, DataType::Sleep).await;
    assert!(stored.contains_key(&id_of(DataType::Sleep, deleted)));
}

#[tokio::test]
async fn a_record_that_is_older_than_the_pages_is_not_requested_by_id() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let old = &between(
        &stage,
        &member,
        DataType::Workout,
        days_ago(120),
        days_ago(90),
    )[0];
    delete(&stage, &member, DataType::Workout, old);
    stage.world().reset_calls();

    let report = stage
        .sync(&member, &back_to(days_ago(40), &[DataType::Workout]))
        .await;

    assert_eq!(report.stored().deleted, 0, "{report:?}");
    assert_eq!(calls_by_id(&stage), 0);
    let stored = stage.stored(&member, DataType::Workout).await;
    assert!(stored.contains_key(&id_of(DataType::Workout, old)));
}

#[tokio::test]
async fn a_record_that_moved_out_of_the_window_is_requested_by_id_and_kept() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let moved = between(
        &stage,
        &member,
        DataType::Workout,
        days_ago(12),
        days_ago(4),
    )
    .remove(0);
    let start = days_ago(100);
    let times = json!({
        "start": text_of(start), "end": text_of(start + TimeDelta::hours(1)),
    });
    stage.advance(TimeDelta::minutes(1));
    stage.change(&member, DataType::Workout, &moved, times);

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(
        (report.stored().deleted, report.stored().updated),
        (0, 1),
        "{report:?}"
    );
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_404_in_place_of_a_list_deletes_nothing() {
    let (stage, member) = Stage::with_member().await;
    let before = stage.stored(&member, DataType::Sleep).await;
    for list in ["sleep", "recovery", "workout", "cycle"] {
        stage.world().add_fault(Fault::status(list, 404));
    }
    stage.world().reset_calls();

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(report.stored().deleted, 0, "{report:?}");
    assert_eq!(stage.stored(&member, DataType::Sleep).await, before);
    assert_eq!(calls_by_id(&stage), 0);
}

#[tokio::test]
async fn each_sync_requests_at_most_ten_missing_records_by_id() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let deleted = between(&stage, &member, DataType::Sleep, days_ago(17), days_ago(3));
    assert!(deleted.len() > 10);
    for one in &deleted {
        delete(&stage, &member, DataType::Sleep, one);
    }
    stage.world().reset_calls();

    let request = back_to(days_ago(20), &[DataType::Sleep]);
    let report = stage.sync(&member, &request).await;

    assert_eq!(calls_by_id(&stage), 10);
    // Each main sleep is deleted together with its recovery. Naps have no recovery.
    assert!((10..=20).contains(&report.stored().deleted), "{report:?}");
    stage.sync(&member, &request).await;
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_pending_record_that_whoop_drops_is_deleted_at_any_age() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let old = between(
        &stage,
        &member,
        DataType::Workout,
        days_ago(60),
        days_ago(40),
    )
    .remove(0);
    stage.advance(TimeDelta::minutes(1));
    stage.change(
        &member,
        DataType::Workout,
        &old,
        json!({"score_state": "PENDING_SCORE", "score": null}),
    );
    stage
        .sync(&member, &back_to(days_ago(70), &[DataType::Workout]))
        .await;
    delete(&stage, &member, DataType::Workout, &old);

    stage.sync(&member, &slot(Slot::Afternoon)).await;

    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_recovery_without_a_stored_sleep_or_cycle_is_deleted_as_well() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let orphan = &between(
        &stage,
        &member,
        DataType::Recovery,
        days_ago(12),
        days_ago(4),
    )[0];
    for (table, id) in [
        (
            "whoop_sleep",
            orphan["sleep_id"].as_str().unwrap().to_owned(),
        ),
        ("whoop_cycle", orphan["cycle_id"].to_string()),
    ] {
        let sql = format!("DELETE FROM {table} WHERE user_id = $1 AND id = '{id}'");
        assert_eq!(stage.execute(&sql, &member).await, 1);
    }
    delete(&stage, &member, DataType::Recovery, orphan);

    let report = stage
        .sync(&member, &back_to(days_ago(14), &[DataType::Recovery]))
        .await;

    assert_eq!(report.stored().deleted, 1, "{report:?}");
}

#[tokio::test]
async fn an_id_that_is_not_from_whoop_does_not_prevent_requests_for_other_records() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let night = "SELECT user_id, '12345', local_date, score_state, created_at, updated_at, synced_at, \
                     start_time, end_time, nap FROM whoop_sleep \
                 WHERE user_id = $1 AND start_time < '2026-10-12' ORDER BY start_time DESC LIMIT 1";
    let sql = format!(
        "INSERT INTO whoop_sleep (user_id, id, local_date, score_state, created_at, updated_at, \
             synced_at, start_time, end_time, nap) {night}"
    );
    assert_eq!(stage.execute(&sql, &member).await, 1);
    let deleted = &between(&stage, &member, DataType::Sleep, days_ago(7), days_ago(4))[0];
    delete(&stage, &member, DataType::Sleep, deleted);

    let report = stage
        .sync(&member, &back_to(days_ago(14), &[DataType::Sleep]))
        .await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert!(report.stored().deleted >= 1, "{report:?}");
}
