//! What is stored, held against WHOOP record by record, and healed.

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{
    DataType,
    difference::{Cause, Difference},
    plan::Slot,
};
use whoop_sim::Fault;
use whoop_sync::{MemberReport, Outcome, reconcile::Reconcile};

use crate::harness::{Member, Stage, at_whoop, briskly, history, id_of, now, slot};

fn half_a_year(dry_run: bool) -> Reconcile {
    Reconcile {
        from: now() - TimeDelta::days(200),
        until: None,
        dry_run,
    }
}

async fn reconcile(stage: &Stage, member: &Member, what: Reconcile) -> MemberReport {
    stage
        .engine
        .reconcile_member(&member.user_id, &briskly(), &what)
        .await
        .unwrap()
}

fn differences(report: &MemberReport) -> Vec<Difference> {
    let findings = report.types.iter().filter_map(|one| one.findings.clone());
    findings.flat_map(|one| one.differences).collect()
}

fn compared(report: &MemberReport) -> u64 {
    let findings = report.types.iter().filter_map(|one| one.findings.as_ref());
    findings.map(|one| one.compared).sum()
}

async fn with_everything_stored() -> (Stage, Member) {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.assert_stored_is_truth(&member).await;
    (stage, member)
}

#[tokio::test]
async fn where_nothing_differs_everything_was_looked_at_and_nothing_is_written() {
    let (stage, member) = with_everything_stored().await;
    let versions = "SELECT string_agg(id || xmin::text, ' ' ORDER BY id) FROM (\
        SELECT id, xmin FROM whoop_sleep WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_recovery WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_workout WHERE user_id = $1 UNION ALL \
        SELECT id, xmin FROM whoop_cycle WHERE user_id = $1) AS rows";
    let before = stage.text(versions, &member).await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(differences(&report), []);
    let records: usize = DataType::ALL
        .iter()
        .map(|data_type| stage.truth(&member, *data_type).len())
        .sum();
    assert_eq!(compared(&report), records as u64);
    assert_eq!(stage.text(versions, &member).await, before);
}

/// One difference of every kind that somebody may cause, each on another night.
async fn spoil(stage: &Stage, member: &Member) -> Vec<(DataType, String, Cause)> {
    let nth = |data_type, days: i64| {
        let before = now() - TimeDelta::days(days);
        let record = stage.newest_before(member, data_type, before);
        id_of(data_type, &record)
    };
    let mut expected = Vec::new();

    let lost = nth(DataType::Workout, 10);
    let sql = format!("DELETE FROM whoop_workout WHERE user_id = $1 AND id = '{lost}'");
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Workout, lost, Cause::Lost));

    let altered = nth(DataType::Cycle, 20);
    let sql =
        format!("UPDATE whoop_cycle SET day_strain = 1.5 WHERE user_id = $1 AND id = '{altered}'");
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Cycle, altered, Cause::Altered));

    let elsewhere = nth(DataType::Sleep, 30);
    let sql = format!(
        "UPDATE whoop_sleep SET local_date = local_date - 3 WHERE user_id = $1 AND id = '{elsewhere}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Sleep, elsewhere, Cause::WrongDay));

    let misdated = nth(DataType::Recovery, 40);
    let sql = format!(
        "UPDATE whoop_recovery SET local_date = local_date + 2 WHERE user_id = $1 AND id = '{misdated}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Recovery, misdated, Cause::WrongDay));

    let old = nth(DataType::Recovery, 50);
    let sql = format!(
        "UPDATE whoop_recovery SET recovery_score = 1, updated_at = updated_at - INTERVAL '1 hour' \
         WHERE user_id = $1 AND id = '{old}'"
    );
    assert_eq!(stage.execute(&sql, member).await, 1);
    expected.push((DataType::Recovery, old, Cause::Missed));

    for (index, ahead) in [(60, "9 hours"), (70, "9 years")] {
        let newer = nth(DataType::Workout, index);
        let sql = format!(
            "UPDATE whoop_workout SET updated_at = updated_at + INTERVAL '{ahead}' \
             WHERE user_id = $1 AND id = '{newer}'"
        );
        assert_eq!(stage.execute(&sql, member).await, 1);
        expected.push((DataType::Workout, newer, Cause::NewerHere));
    }

    stage.advance(TimeDelta::hours(1));
    let edited = stage.newest_before(member, DataType::Cycle, now() - TimeDelta::days(70));
    stage.change(
        member,
        DataType::Cycle,
        &edited,
        json!({"score": {"strain": 3.25}}),
    );
    let edited = id_of(DataType::Cycle, &edited);
    expected.push((DataType::Cycle, edited, Cause::ChangedLater));

    let late = json!({"start": "2026-09-01T10:00:00.000Z", "sport_name": "squash"});
    let late = stage.insert(member, DataType::Workout, late);
    expected.push((DataType::Workout, late, Cause::CameLater));

    let gone = stage.newest_before(member, DataType::Workout, now() - TimeDelta::days(80));
    let gone = id_of(DataType::Workout, &gone);
    stage
        .world()
        .delete(member.whoop_user_id, at_whoop(DataType::Workout), &gone)
        .unwrap();
    expected.push((DataType::Workout, gone, Cause::Deleted));
    expected.sort();
    expected
}

fn found(report: &MemberReport) -> Vec<(DataType, String, Cause)> {
    let mut found: Vec<_> = differences(report)
        .into_iter()
        .map(|one| (one.data_type, one.record_id, one.cause))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn every_difference_is_found_with_its_cause_and_healed_once() {
    let (stage, member) = with_everything_stored().await;
    let expected = spoil(&stage, &member).await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
    assert_eq!(found(&report), expected);
    let left: Vec<_> = differences(&report)
        .into_iter()
        .filter(|one| !one.healed)
        .map(|one| one.cause)
        .collect();
    assert_eq!(left, [Cause::NewerHere]);
    let strain = differences(&report)
        .into_iter()
        .find(|one| one.cause == Cause::Altered)
        .unwrap();
    assert_eq!(strain.fields.len(), 1, "{strain:?}");
    assert_eq!(strain.fields[0].name, "day_strain");
    assert_eq!(strain.fields[0].here, json!(1.5));

    // What is newer here stays, unless it is of a time to come; everything else is as
    // WHOOP has it.
    let again = reconcile(&stage, &member, half_a_year(false)).await;
    let left = differences(&again);
    let [newer] = left.as_slice() else {
        panic!("{left:?}");
    };
    assert_eq!(newer.cause, Cause::NewerHere);
    let reset = format!(
        "UPDATE whoop_workout SET updated_at = updated_at - INTERVAL '9 hours' \
         WHERE user_id = $1 AND id = '{}'",
        newer.record_id
    );
    assert_eq!(stage.execute(&reset, &member).await, 1);
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_dry_run_finds_the_same_and_changes_nothing() {
    let (stage, member) = with_everything_stored().await;
    let expected = spoil(&stage, &member).await;
    let everything = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (\
        SELECT s::text AS line FROM whoop_sleep s WHERE user_id = $1 UNION ALL \
        SELECT r::text FROM whoop_recovery r WHERE user_id = $1 UNION ALL \
        SELECT w::text FROM whoop_workout w WHERE user_id = $1 UNION ALL \
        SELECT c::text FROM whoop_cycle c WHERE user_id = $1 UNION ALL \
        SELECT l::text FROM whoop_sync_log l WHERE user_id = $1 UNION ALL \
        SELECT x::text FROM whoop_rejected_record x WHERE user_id = $1) AS lines";
    let before = stage.text(everything, &member).await;

    let report = reconcile(&stage, &member, half_a_year(true)).await;

    assert_eq!(found(&report), expected);
    assert!(differences(&report).iter().all(|one| !one.healed));
    assert_eq!(report.stored().written(), 0);
    assert_eq!(stage.text(everything, &member).await, before);
}

#[tokio::test]
async fn a_dry_run_that_fails_leaves_the_log_alone() {
    let (stage, member) = with_everything_stored().await;
    stage.world().fault(Fault::status("sleep", 500));

    let report = reconcile(&stage, &member, half_a_year(true)).await;

    assert_eq!(report.outcome, Outcome::Failed);
    let status = stage.status_of(&member, DataType::Sleep).await;
    assert_eq!(status.as_deref(), Some("success"));
}

#[tokio::test]
async fn what_lies_before_anything_was_read_is_told_apart_from_what_was_lost() {
    let (stage, member) = Stage::with_member().await;

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    let all = differences(&report);
    assert!(all.len() > 100, "{}", all.len());
    assert!(
        all.iter().all(|one| one.cause == Cause::NeverRead),
        "{all:?}"
    );
    stage.assert_stored_is_truth(&member).await;
    stage.assert_log_tells_the_truth(&member).await;
}

#[tokio::test]
async fn outside_the_span_nothing_is_judged() {
    let (stage, member) = with_everything_stored().await;
    let sql = "DELETE FROM whoop_workout WHERE user_id = $1";
    let deleted = stage.execute(sql, &member).await;
    let span = Reconcile {
        from: now() - TimeDelta::days(60),
        until: Some(now() - TimeDelta::days(30)),
        dry_run: true,
    };

    let report = reconcile(&stage, &member, span).await;

    let lost = differences(&report).len() as u64;
    assert!(lost > 0 && lost < deleted / 3, "{lost} of {deleted}");
}

#[tokio::test]
async fn a_deleted_night_takes_its_recovery_along_and_both_are_named() {
    let (stage, member) = with_everything_stored().await;
    let nights = stage.dated(&member, DataType::Sleep);
    let (_, night) = nights
        .iter()
        .find(|(start, one)| *start < now() - TimeDelta::days(9) && one["nap"] == false)
        .unwrap();
    stage
        .world()
        .delete(
            member.whoop_user_id,
            at_whoop(DataType::Sleep),
            id_of(DataType::Sleep, night),
        )
        .unwrap();
    let gone = |report: &MemberReport| -> Vec<DataType> {
        differences(report)
            .iter()
            .filter(|one| one.cause == Cause::Deleted)
            .map(|one| one.data_type)
            .collect()
    };

    let dry = reconcile(&stage, &member, half_a_year(true)).await;
    assert_eq!(gone(&dry), [DataType::Sleep, DataType::Recovery]);
    let healed = reconcile(&stage, &member, half_a_year(false)).await;
    assert_eq!(gone(&healed), [DataType::Sleep, DataType::Recovery]);

    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_sync_brings_back_the_day_of_a_night_as_well() {
    let (stage, member) = with_everything_stored().await;
    let sql = "UPDATE whoop_sleep SET local_date = local_date - 3 \
               WHERE user_id = $1 AND start_time > '2026-10-10'";
    assert!(stage.execute(sql, &member).await > 0);

    stage.sync(&member, &slot(Slot::Night)).await;

    let report = reconcile(&stage, &member, half_a_year(true)).await;
    assert_eq!(differences(&report), []);
}

#[tokio::test]
async fn a_list_that_is_not_there_is_no_list_without_differences() {
    let (stage, member) = with_everything_stored().await;
    stage.world().fault(Fault::status("workout", 404));

    let report = reconcile(&stage, &member, half_a_year(false)).await;

    assert_eq!(report.outcome, Outcome::Failed);
    let error = report.error.unwrap();
    assert!(
        error.contains("list of workout records was answered with 404"),
        "{error}"
    );
    stage.world().clear_faults();
    stage.assert_stored_is_truth(&member).await;
}
