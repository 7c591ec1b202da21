//! Tests of reconciliation: stored records are compared with WHOOP's and repaired, and each
//! difference is reported with its cause.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_core::{
    DataType,
    difference::{DifferenceCause, RecordDifference},
    plan::Slot,
};
use whoop_sim::{Fault, FaultKind};
use whoop_sync::{MemberOutcome, MemberReport, reconcile::ReconcileRequest};

use crate::harness::{
    Member, Stage, at_whoop, back_to, context_without_retries, history, id_of, now, slot,
};

fn half_a_year(dry_run: bool) -> ReconcileRequest {
    ReconcileRequest {
        from: now() - TimeDelta::days(200),
        until: None,
        dry_run,
    }
}

async fn reconcile(stage: &Stage, member: &Member, request: ReconcileRequest) -> MemberReport {
    stage
        .engine
        .reconciliation
        .reconcile_member(&member.user_id, &context_without_retries(), &request)
        .await
        .unwrap()
}

fn differences(report: &MemberReport) -> Vec<RecordDifference> {
    report.findings.as_ref().unwrap().differences.clone()
}

fn compared(report: &MemberReport) -> u64 {
    report.findings.as_ref().unwrap().compared
}

/// Returns the id of WHOOP's newest record that is at least this many days old.
fn nth(stage: &Stage, member: &Member, data_type: DataType, days: i64) -> String {
    let before = now() - TimeDelta::days(days);
    let record = stage.newest_before(member, data_type, before);
    id_of(data_type, &record)
}

async fn with_everything_stored() -> (Stage, Member) {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.assert_stored_is_truth(&member).await;
    (stage, member)
}

#[tokio::test]
async fn a_reconcile_without_differences_compares_everything_and_writes_nothing() {
    let (stage, member) = with_everything_stored().await;
    let versions = "SELECT string_agg(id || xmin::text, ' ' ORDER BY id) FROM (\
        SELECT id, xmin FROM whoop_sleep WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_recovery WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_workout WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_cycle WHERE user_id = $1) AS rows";
    let before = stage.text(versions, &member).await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
    assert_eq!(differences(&report), []);
    let records: usize = DataType::ALL
        .iter()
        .map(|data_type| stage.truth(&member, *data_type).len())
        .sum();
    assert_eq!(compared(&report), records as u64);
    assert_eq!(stage.text(versions, &member).await, before);
}

/// Causes differences of every kind, each in another record, and returns the expected differences.
async fn cause_differences(
    stage: &Stage,
    member: &Member,
) -> Vec<(DataType, String, DifferenceCause)> {
    let nth = |data_type, days| nth(stage, member, data_type, days);
    let mut expected = Vec::new();

    let missing = nth(DataType::Workout, 10);
    let sql = format!("DELETE FROM whoop_workout WHERE user_id = $1 AND id = '{missing}'");
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Workout, missing, DifferenceCause::Missing));

    let altered = nth(DataType::Cycle, 20);
    let sql =
        format!("UPDATE whoop_cycle SET day_strain = 1.5 WHERE user_id = $1 AND id = '{altered}'");
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Cycle, altered, DifferenceCause::Altered));

    let misdated_sleep = nth(DataType::Sleep, 30);
    let sql = format!(
        "UPDATE whoop_sleep SET local_date = local_date - 3 WHERE user_id = $1 AND id = '{misdated_sleep}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Sleep, misdated_sleep, DifferenceCause::WrongDate));

    let misdated_recovery = nth(DataType::Recovery, 40);
    let sql = format!(
        "UPDATE whoop_recovery SET local_date = local_date + 2 WHERE user_id = $1 AND id = '{misdated_recovery}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((
        DataType::Recovery,
        misdated_recovery,
        DifferenceCause::WrongDate,
    ));

    let old = nth(DataType::Recovery, 50);
    let sql = format!(
        "UPDATE whoop_recovery SET recovery_score = 1, updated_at = updated_at - INTERVAL '1 hour' \
         WHERE user_id = $1 AND id = '{old}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Recovery, old, DifferenceCause::Older));

    let from_the_future = nth(DataType::Workout, 70);
    date_later(stage, member, &from_the_future, "9 years").await;
    expected.push((DataType::Workout, from_the_future, DifferenceCause::Altered));

    stage.advance(TimeDelta::hours(1));
    let edited = stage.newest_before(member, DataType::Cycle, now() - TimeDelta::days(70));
    stage.change(
        member,
        DataType::Cycle,
        &edited,
        json!({"score": {"strain": 3.25}}),
    );
    let edited = id_of(DataType::Cycle, &edited);
    expected.push((DataType::Cycle, edited, DifferenceCause::Older));

    let late = json!({"start": "2026-09-01T10:00:00.000Z", "sport_name": "squash"});
    let late = stage.insert(member, DataType::Workout, late);
    expected.push((DataType::Workout, late, DifferenceCause::Missing));

    let deleted = stage.newest_before(member, DataType::Workout, now() - TimeDelta::days(80));
    let deleted = id_of(DataType::Workout, &deleted);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(DataType::Workout), &deleted)
        .unwrap();
    expected.push((DataType::Workout, deleted, DifferenceCause::Gone));
    expected.sort();
    expected
}

async fn date_later(stage: &Stage, member: &Member, workout: &str, interval: &str) {
    let sql = format!(
        "UPDATE whoop_workout SET updated_at = updated_at + INTERVAL '{interval}' \
         WHERE user_id = $1 AND id = '{workout}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
}

fn found(report: &MemberReport) -> Vec<(DataType, String, DifferenceCause)> {
    let mut found: Vec<_> = differences(report)
        .into_iter()
        .map(|one| (one.data_type, one.record_id, one.cause))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn every_difference_is_found_with_its_cause_and_repaired_once() {
    let (stage, member) = with_everything_stored().await;
    let expected = cause_differences(&stage, &member).await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(found(&report), expected);
    assert!(differences(&report).iter().all(|one| one.healed));
    let strain = differences(&report)
        .into_iter()
        .find(|one| one.data_type == DataType::Cycle && one.cause == DifferenceCause::Altered)
        .unwrap();
    assert_eq!(strain.fields.len(), 1, "{strain:?}");
    assert_eq!(strain.fields[0].name, "day_strain");
    assert_eq!(strain.fields[0].before, json!(1.5));

    let again = reconcile(&stage, &member, half_a_year(false)).await;
    assert_eq!(differences(&again), []);
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_stored_record_that_is_newer_than_the_list_is_no_difference_and_is_kept() {
    let (stage, member) = with_everything_stored().await;
    let newer = nth(&stage, &member, DataType::Workout, 60);
    date_later(&stage, &member, &newer, "9 hours").await;

    for dry_run in [true, false] {
        let report = reconcile(&stage, &member, half_a_year(dry_run)).await;
        assert_eq!(differences(&report), []);
    }

    date_later(&stage, &member, &newer, "-9 hours").await;
    stage.assert_stored_is_truth(&member).await;
}

/// Selects, as one text, the columns that contain the dates of the member's records.
const DATES: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (\
    SELECT concat_ws(' ', id, local_date, night_date, in_others) AS line \
    FROM whoop_sleep WHERE user_id = $1 UNION ALL \
    SELECT concat_ws(' ', id, local_date, in_others, timezone_offset) \
    FROM whoop_recovery WHERE user_id = $1 UNION ALL \
    SELECT concat_ws(' ', id, local_date, in_others) \
    FROM whoop_cycle WHERE user_id = $1) AS lines";

#[tokio::test]
async fn a_record_with_a_wrong_position_within_its_date_is_found_and_repaired() {
    let (stage, member) = with_everything_stored().await;
    let right = stage.text(DATES, &member).await;
    let mut expected = Vec::new();
    for (data_type, days, column, wrong) in [
        (DataType::Cycle, 10, "in_others", "NOT in_others"),
        (DataType::Recovery, 20, "in_others", "NOT in_others"),
        (DataType::Recovery, 30, "timezone_offset", "'+09:00'"),
        (DataType::Sleep, 40, "in_others", "NOT in_others"),
        (DataType::Sleep, 50, "night_date", "local_date + 1"),
    ] {
        let id = nth(&stage, &member, data_type, days);
        let sql = format!(
            "UPDATE whoop_{data_type} SET {column} = {wrong} WHERE user_id = $1 AND id = '{id}'"
        );
        assert_eq!(stage.execute(&sql, &member).await, 1);
        expected.push((
            data_type,
            id,
            DifferenceCause::WrongDate,
            vec![column.to_owned()],
        ));
    }
    expected.sort();
    let wrong = stage.text(DATES, &member).await;
    let with_columns = |report: &MemberReport| -> Vec<_> {
        let differences = differences(report).into_iter();
        differences
            .map(|one| {
                let columns = one.fields.into_iter().map(|field| field.name);
                let columns: Vec<String> = columns.collect();
                (one.data_type, one.record_id, one.cause, columns)
            })
            .collect()
    };

    let dry = reconcile(&stage, &member, half_a_year(true)).await;
    assert_eq!(with_columns(&dry), expected);
    assert_eq!(stage.text(DATES, &member).await, wrong);

    let healed = reconcile(&stage, &member, half_a_year(false)).await;
    assert_eq!(with_columns(&healed), expected);
    assert_eq!(stage.text(DATES, &member).await, right);
}

#[tokio::test]
async fn a_wrong_date_of_a_cycle_without_a_night_is_found_far_from_the_right_date() {
    let (stage, member) = with_everything_stored().await;
    let (night, cycle) = delete_a_night(&stage, &member);
    reconcile(&stage, &member, half_a_year(false)).await;
    let stored = stage.stored(&member, DataType::Sleep).await;
    assert!(!stored.contains_key(&night));
    let right = stage.text(DATES, &member).await;
    let sql = format!(
        "UPDATE whoop_cycle SET local_date = local_date - 400 WHERE user_id = $1 AND id = '{cycle}'"
    );
    assert_eq!(stage.execute(&sql, &member).await, 1);

    for dry_run in [true, false] {
        let report = reconcile(&stage, &member, half_a_year(dry_run)).await;
        let expected = (DataType::Cycle, cycle.clone(), DifferenceCause::WrongDate);
        assert_eq!(found(&report), [expected]);
    }
    assert_eq!(stage.text(DATES, &member).await, right);
}

/// Deletes, at WHOOP, the only sleep of a cycle. Returns the ids of the sleep and of the cycle.
fn delete_a_night(stage: &Stage, member: &Member) -> (String, String) {
    let sleeps = stage.dated(member, DataType::Sleep);
    let is_alone = |night: &Value| {
        let same_cycle = |(_, one): &&(_, Value)| one["cycle_id"] == night["cycle_id"];
        sleeps.iter().filter(same_cycle).count() == 1
    };
    let (_, night) = sleeps
        .iter()
        .find(|(start, one)| *start < now() - TimeDelta::days(9) && is_alone(one))
        .unwrap();
    let id = id_of(DataType::Sleep, night);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(DataType::Sleep), &id)
        .unwrap();
    (id, night["cycle_id"].to_string())
}

/// Changes a workout at WHOOP so that it cannot be parsed. Returns the workout from before the
/// change.
fn break_a_workout(stage: &Stage, member: &Member) -> Value {
    let record = stage.newest_before(member, DataType::Workout, now() - TimeDelta::days(10));
    stage.change(member, DataType::Workout, &record, json!({"start": 17}));
    record
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_no_difference_and_is_counted_as_set_aside() {
    let (stage, member) = with_everything_stored().await;
    let records = compared(&reconcile(&stage, &member, half_a_year(true)).await);
    break_a_workout(&stage, &member);

    for (dry_run, set_aside) in [(true, 0), (false, 1)] {
        let report = reconcile(&stage, &member, half_a_year(dry_run)).await;

        assert_eq!(report.outcome, MemberOutcome::Done);
        assert_eq!(differences(&report), []);
        assert_eq!(
            (compared(&report), report.stored().rejected),
            (records - 1, 1)
        );
        let status = stage
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap();
        assert_eq!(status.rejected_records, set_aside);
    }
}

#[tokio::test]
async fn a_record_that_was_set_aside_and_can_be_parsed_now_is_reported_as_missing() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    let broken = break_a_workout(&stage, &member);
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.change(&member, DataType::Workout, &broken, broken.clone());

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    let id = id_of(DataType::Workout, &broken);
    assert_eq!(
        found(&report),
        [(DataType::Workout, id, DifferenceCause::Missing)]
    );
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert_eq!(status.rejected_records, 0);
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_record_that_whoop_has_but_does_not_list_is_no_difference() {
    let (stage, member) = with_everything_stored().await;
    let mut first_page = stage.listed(&member, DataType::Workout);
    first_page.truncate(25);
    let unlisted = id_of(DataType::Workout, &first_page.remove(9));
    let page = json!({"records": first_page, "next_token": "eyJv"});
    stage.world().add_fault(Fault {
        status: Some(200),
        body: Some(page.to_string()),
        times: Some(1),
        ..Fault::new("workout", FaultKind::Status)
    });
    stage.world().reset_calls();

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    let calls = stage.api_calls();
    assert!(calls.iter().any(|call| call.path.ends_with(&unlisted)));
    assert_eq!(differences(&report), []);
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_record_at_an_end_of_its_list_is_deleted_after_two_404s() {
    let (stage, member) = with_everything_stored().await;
    let newest = stage.newest_before(&member, DataType::Workout, now());
    let newest = id_of(DataType::Workout, &newest);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(DataType::Workout), &newest)
        .unwrap();

    let first = reconcile(&stage, &member, half_a_year(false)).await;
    stage.advance(TimeDelta::hours(1));
    let second = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(differences(&first), []);
    let deleted = (DataType::Workout, newest, DifferenceCause::Gone);
    assert!(found(&second).contains(&deleted), "{second:?}");
}

#[tokio::test]
async fn a_dry_run_finds_the_same_differences_and_changes_nothing() {
    let (stage, member) = with_everything_stored().await;
    let expected = cause_differences(&stage, &member).await;
    let everything = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (\
        SELECT s::text AS line FROM whoop_sleep s WHERE user_id = $1 UNION ALL \
        SELECT r::text FROM whoop_recovery r WHERE user_id = $1 UNION ALL \
        SELECT w::text FROM whoop_workout w WHERE user_id = $1 UNION ALL \
        SELECT c::text FROM whoop_cycle c WHERE user_id = $1 UNION ALL \
        SELECT l::text FROM whoop_sync_log l WHERE user_id = $1 UNION ALL \
        SELECT x::text FROM whoop_rejected_record x WHERE user_id = $1 UNION ALL \
        SELECT d::text FROM whoop_record_denial d WHERE user_id = $1 UNION ALL \
        SELECT f::text FROM whoop_change f WHERE user_id = $1 UNION ALL \
        SELECT change_seq::text FROM whoop_users WHERE user_id = $1) AS lines";
    let before = stage.text(everything, &member).await;

    let report = reconcile(&stage, &member, half_a_year(true)).await;

    assert_eq!(found(&report), expected);
    assert!(differences(&report).iter().all(|one| !one.healed));
    assert_eq!(report.stored().written(), 0);
    assert_eq!(stage.text(everything, &member).await, before);
}

#[tokio::test]
async fn a_failing_dry_run_does_not_change_the_sync_log() {
    let (stage, member) = with_everything_stored().await;
    stage.world().add_fault(Fault::status("sleep", 500));

    let report = reconcile(&stage, &member, half_a_year(true)).await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    let status = stage.status_of(&member, DataType::Sleep).await;
    assert_eq!(status.as_deref(), Some("success"));
}

#[tokio::test]
async fn records_that_were_never_read_are_reported_as_missing() {
    let (stage, member) = Stage::with_member().await;
    let request = back_to(now() - TimeDelta::days(30), &DataType::ALL);
    stage.sync(&member, &request).await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    let all = differences(&report);
    assert!(all.len() > 100, "{}", all.len());
    let others: Vec<_> = all
        .into_iter()
        .filter(|one| one.cause != DifferenceCause::Missing)
        .map(|one| (one.data_type, one.cause, one.fields[0].name.clone()))
        .collect();
    // The oldest stored recovery gets the UTC offset of its night. The night was not stored before.
    let offset = "timezone_offset".to_owned();
    assert_eq!(
        others,
        [(DataType::Recovery, DifferenceCause::WrongDate, offset)]
    );
    stage.assert_stored_is_truth(&member).await;
    stage.assert_sync_log_is_correct(&member).await;
}

#[tokio::test]
async fn records_outside_the_span_are_not_compared() {
    let (stage, member) = with_everything_stored().await;
    let sql = "DELETE FROM whoop_workout WHERE user_id = $1";
    let deleted = stage.execute(sql, &member).await;
    let span = ReconcileRequest {
        from: now() - TimeDelta::days(60),
        until: Some(now() - TimeDelta::days(30)),
        dry_run: true,
    };

    let report = reconcile(&stage, &member, span).await;

    let missing = differences(&report).len() as u64;
    assert!(
        missing > 0 && missing < deleted / 3,
        "{missing} of {deleted}"
    );
}

#[tokio::test]
async fn a_deleted_night_deletes_its_recovery_and_both_are_reported() {
    let (stage, member) = with_everything_stored().await;
    delete_a_night(&stage, &member);
    let deleted = |report: &MemberReport| -> Vec<DataType> {
        differences(report)
            .iter()
            .filter(|one| one.cause == DifferenceCause::Gone)
            .map(|one| one.data_type)
            .collect()
    };

    let dry = reconcile(&stage, &member, half_a_year(true)).await;
    assert_eq!(deleted(&dry), [DataType::Recovery, DataType::Sleep]);
    let healed = reconcile(&stage, &member, half_a_year(false)).await;
    assert_eq!(deleted(&healed), [DataType::Recovery, DataType::Sleep]);

    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_sync_restores_the_date_of_a_night_as_well() {
    let (stage, member) = with_everything_stored().await;
    let sql = "UPDATE whoop_sleep SET local_date = local_date - 3 \
               WHERE user_id = $1 AND start_time > '2026-10-10'";
    assert!(stage.execute(sql, &member).await > 0);

    stage.sync(&member, &slot(Slot::Night)).await;

    let report = reconcile(&stage, &member, half_a_year(true)).await;
    assert_eq!(differences(&report), []);
}

#[tokio::test]
async fn a_list_that_answers_404_is_a_failure_and_not_an_equal_list() {
    let (stage, member) = with_everything_stored().await;
    stage.world().add_fault(Fault::status("workout", 404));

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    let error = report.error.unwrap();
    assert!(
        error.contains("list of workout records returned 404"),
        "{error}"
    );
    stage.world().clear_faults();
    stage.assert_stored_is_truth(&member).await;
}
