//! Tests of law 4 (absence needs proof): if WHOOP temporarily shows too little, nothing is deleted.
//!
//! In these tests, WHOOP answers with a 404, an empty page or a short page although the records
//! exist. No stored record may be lost, and no part of the history may be skipped.

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};
use whoop_core::{
    DataType,
    coverage::CONFIRM_AFTER,
    day::MissingReason,
    plan::{RefreshMode, Slot},
};
use whoop_sim::{Fault, FaultKind};
use whoop_sync::MemberOutcome;

use crate::harness::{
    Member, Stage, all_missing, at_whoop, back_to, context_without_retries, half_a_year, history,
    id_of, now, slot,
};

fn once(fault: Fault) -> Fault {
    Fault {
        times: Some(1),
        ..fault
    }
}

fn not_found(list: &str) -> Fault {
    once(Fault::status(list, 404))
}

/// Returns a fault that replaces the next page of a list by these records, without a next token.
fn page(list: &str, records: &[Value]) -> Fault {
    let body = json!({"records": records, "next_token": null}).to_string();
    once(Fault {
        status: Some(200),
        body: Some(body),
        ..Fault::new(list, FaultKind::Status)
    })
}

/// Returns faults that make a list end too early, in ways that were once mistaken for the end of
/// the history.
fn early_ends(stage: &Stage, member: &Member) -> Vec<(&'static str, DataType, Fault)> {
    let cycles = stage.listed(member, DataType::Cycle);
    vec![
        ("404", DataType::Cycle, not_found("cycle")),
        ("empty page", DataType::Workout, page("workout", &[])),
        ("no token", DataType::Cycle, page("cycle", &cycles[..3])),
        ("404", DataType::Recovery, not_found("recovery")),
        ("empty page", DataType::Sleep, page("sleep", &[])),
    ]
}

#[tokio::test]
async fn a_list_that_ends_in_the_middle_of_the_history_is_not_trusted() {
    for index in 0..5 {
        let (stage, member) = Stage::with_member().await;
        let (answer, data_type, fault) = early_ends(&stage, &member).remove(index);
        stage.world().add_fault(fault);

        let report = stage.sync(&member, &history(&[data_type])).await;

        assert_eq!(
            report.outcome,
            MemberOutcome::Failed,
            "{answer}: {report:?}"
        );
        let error = report.error.unwrap();
        assert!(error.contains("although older ones are stored"), "{error}");
        stage.assert_sync_log_is_correct(&member).await;

        // The next run continues with the page that failed.
        stage.sync(&member, &history(&DataType::ALL)).await;
        stage.assert_stored_is_truth(&member).await;
    }
}

#[tokio::test]
async fn a_list_that_ends_during_the_first_sync_is_not_trusted() {
    for index in 0..5 {
        let (stage, member) = Stage::with_member().await;
        stage.forget(&member).await;
        let (answer, data_type, fault) = early_ends(&stage, &member).remove(index);
        stage.world().add_fault(fault);
        let first = stage.sync(&member, &slot(Slot::Night)).await;
        assert_eq!(first.outcome, MemberOutcome::Done, "{answer}: {first:?}");
        stage.assert_sync_log_is_correct(&member).await;
        let status = stage
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap();
        assert!(!status.history_complete(), "{answer}");

        stage.advance(TimeDelta::hours(8));
        stage.sync(&member, &slot(Slot::Night)).await;
        stage.sync(&member, &history(&[data_type])).await;
        stage.advance(CONFIRM_AFTER);
        stage.sync(&member, &history(&DataType::ALL)).await;

        stage.assert_stored_is_truth(&member).await;
    }
}

#[tokio::test]
async fn the_end_of_the_history_is_trusted_when_whoop_confirms_it_on_another_day() {
    let (stage, member) = Stage::with_member().await;
    let complete = async || {
        let status = stage
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap();
        status.history_complete()
    };

    stage.sync(&member, &history(&DataType::ALL)).await;
    assert!(!complete().await);

    // A second read on the same day would not confirm the end of the lists, so the backfill makes
    // no call.
    stage.world().reset_calls();
    let backfill = stage
        .engine
        .members
        .backfill_member(&member.user_id, &context_without_retries(), None)
        .await;
    assert_eq!(backfill.unwrap().outcome, MemberOutcome::Done);
    assert_eq!(stage.world().call_count(), 0);
    assert!(!complete().await);

    stage.advance(CONFIRM_AFTER);
    stage
        .engine
        .members
        .backfill_member(&member.user_id, &context_without_retries(), None)
        .await
        .unwrap();
    assert_eq!(stage.api_calls().len(), 4);
    assert!(complete().await);
    stage.sync(&member, &slot(Slot::Night)).await;
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn only_today_is_not_recorded_for_a_member_without_records() {
    let stage = Stage::new().await;
    let member = stage.connect_without_records().await;
    let today = now().date_naive();

    stage.world().reset_calls();
    let ask = async |days: u64| {
        let date = today - Days::new(days);
        let day = stage
            .engine
            .days
            .day(&member.user_id, date, RefreshMode::Auto);
        all_missing(&day.await.unwrap())
    };

    assert_eq!(ask(0).await, Some(MissingReason::NotRecorded));
    // For an older date, one empty answer of WHOOP does not prove that nothing was recorded.
    assert_eq!(ask(20).await, Some(MissingReason::NotSynced));
    assert_eq!(
        stage.world().call_count(),
        0,
        "another empty answer on the same day would prove nothing"
    );
}

#[tokio::test]
async fn the_history_of_a_member_without_records_is_complete_after_a_day() {
    let stage = Stage::new().await;
    let member = stage.connect_without_records().await;

    // All four runs, which are spread over a day, read the same empty lists.
    for _ in 0..4 {
        stage.advance(TimeDelta::hours(6));
        stage.sync(&member, &slot(Slot::Night)).await;
    }

    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert!(status.history_complete(), "{status:?}");
}

/// An app requests a day from the beginning of the history, before the backfill has read that time.
/// It requests it again 21 hours later.
#[tokio::test]
async fn reading_an_old_day_on_demand_does_not_hide_the_history_in_between() {
    let (stage, member) = Stage::with_member().await;
    let first = stage.dated(&member, DataType::Sleep);
    let (first_night, _) = first.iter().min_by_key(|(start, _)| *start).unwrap();
    let date = first_night.date_naive() + Days::new(3);
    for hours in [0, 21] {
        stage.advance(TimeDelta::hours(hours));
        let day = stage
            .engine
            .days
            .day(&member.user_id, date, RefreshMode::Force);
        day.await.unwrap();
        stage.assert_sync_log_is_correct(&member).await;
    }

    stage.sync(&member, &history(&DataType::ALL)).await;

    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn an_update_webhook_that_is_followed_by_a_404_deletes_nothing() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    let night = stage.listed(&member, DataType::Sleep)[0].clone();
    let before = stage.stored(&member, DataType::Sleep).await;
    stage.advance(TimeDelta::minutes(1));
    stage.change(
        &member,
        DataType::Sleep,
        &night,
        json!({"score": {"sleep_performance_percentage": 99}}),
    );
    stage.sim.deliver_webhooks().await;
    stage.world().add_fault(not_found("sleep"));
    let drain = async || {
        let context = context_without_retries();
        let drained = stage.engine.inbox.drain_webhooks(&context, true).await;
        drained.unwrap()
    };

    let drained = drain().await;

    assert!(drained.put_off > 0, "{drained:?}");
    let stored = stage.stored(&member, DataType::Sleep).await;
    assert_eq!(stored.len(), before.len());

    stage.advance(TimeDelta::minutes(1));
    drain().await;
    let stored = stage.stored(&member, DataType::Sleep).await;
    let performance = &stored[&id_of(DataType::Sleep, &night)]["score"];
    assert_eq!(performance["sleep_performance_percentage"], 99.0);
}

#[tokio::test]
async fn a_new_workout_that_first_answers_404_is_read_a_minute_later() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    stage.advance(TimeDelta::minutes(1));
    let start = now() - TimeDelta::minutes(40);
    let id = stage.insert(
        &member,
        DataType::Workout,
        json!({"start": crate::harness::text_of(start)}),
    );
    stage.sim.deliver_webhooks().await;
    stage.world().add_fault(not_found("workout"));

    for expected in [false, true] {
        stage
            .engine
            .inbox
            .drain_webhooks(&context_without_retries(), true)
            .await
            .unwrap();
        let stored = stage.stored(&member, DataType::Workout).await;
        assert_eq!(stored.contains_key(&id), expected);
        stage.advance(TimeDelta::minutes(1));
    }
}

#[tokio::test]
async fn a_record_without_a_neighbour_is_deleted_after_a_second_404_an_hour_later() {
    let (stage, member) = Stage::with_member().await;
    let newest = stage.listed(&member, DataType::Workout)[0].clone();
    let id = id_of(DataType::Workout, &newest);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(DataType::Workout), &id)
        .unwrap();

    for (minutes, is_stored) in [(1, true), (58, true), (2, false)] {
        stage.advance(TimeDelta::minutes(minutes));
        stage.sync(&member, &slot(Slot::Evening)).await;
        let stored = stage.stored(&member, DataType::Workout).await;
        assert_eq!(stored.contains_key(&id), is_stored, "after {minutes} more");
    }
}

#[tokio::test]
async fn a_404_does_not_count_after_whoop_showed_the_record_again() {
    let (stage, member) = Stage::with_member().await;
    let newest = stage.listed(&member, DataType::Workout)[0].clone();
    let id = id_of(DataType::Workout, &newest);
    let rest = stage.listed(&member, DataType::Workout)[1..].to_vec();
    let deny = |stage: &Stage| {
        stage.world().add_fault(page("workout", &rest));
        // This fault answers the request for the record by its id, which follows the request for
        // the list.
        stage.world().add_fault(not_found("workout"));
    };

    // WHOOP denies the record, then shows it, and then denies it again. The count of denials starts
    // again when WHOOP shows the record, so there is one denial and not two.
    deny(&stage);
    stage.sync(&member, &slot(Slot::Evening)).await;
    stage.advance(TimeDelta::minutes(30));
    stage.sync(&member, &slot(Slot::Evening)).await;
    stage.advance(TimeDelta::minutes(40));
    deny(&stage);
    stage.sync(&member, &slot(Slot::Evening)).await;

    let stored = stage.stored(&member, DataType::Workout).await;
    assert!(stored.contains_key(&id));
}

/// The member wears the strap from Monday to Friday only, so the cycles have a gap every week.
#[tokio::test]
async fn gaps_between_cycles_cause_no_additional_calls_and_no_failures() {
    let (stage, member) = Stage::with_member().await;
    let mut cycles = 0;
    for (start, cycle) in stage.dated(&member, DataType::Cycle) {
        use chrono::{Datelike, Weekday};
        if matches!(start.weekday(), Weekday::Sat | Weekday::Sun) && !cycle["end"].is_null() {
            let id = id_of(DataType::Cycle, &cycle);
            stage
                .world()
                .records()
                .delete(member.whoop_user_id, at_whoop(DataType::Cycle), id)
                .unwrap();
        } else {
            cycles += 1;
        }
    }
    stage.forget(&member).await;
    let from: DateTime<Utc> = now() - TimeDelta::days(400);
    stage.world().reset_calls();

    let report = stage
        .sync(&member, &back_to(from, &[DataType::Cycle]))
        .await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    // Each page except the first repeats the last record of the previous page.
    let pages = stage.pages_of(DataType::Cycle).len();
    assert_eq!(pages, (cycles - 1_usize).div_ceil(24));
}

#[tokio::test]
async fn the_last_record_of_a_list_is_deleted_after_a_day_and_two_404s() {
    let (stage, member) = Stage::with_member().await;
    let workouts = stage.listed(&member, DataType::Workout);
    let last = id_of(DataType::Workout, &workouts[0]);
    for workout in &workouts {
        let id = id_of(DataType::Workout, workout);
        stage
            .world()
            .records()
            .delete(member.whoop_user_id, at_whoop(DataType::Workout), id)
            .unwrap();
    }
    let others = format!("DELETE FROM whoop_workout WHERE user_id = $1 AND id <> '{last}'");
    stage.execute(&others, &member).await;

    // An empty list may also mean that WHOOP shows no data of this account at the moment.
    for (hours, outcome, is_stored) in [
        (0, MemberOutcome::Failed, true),
        (20, MemberOutcome::Failed, true),
        (1, MemberOutcome::Failed, false),
        (1, MemberOutcome::Done, false),
    ] {
        stage.advance(TimeDelta::hours(hours));
        let report = stage
            .sync(&member, &back_to(now(), &[DataType::Workout]))
            .await;
        assert_eq!(report.outcome, outcome, "after {hours} more: {report:?}");
        let stored = stage.stored(&member, DataType::Workout).await;
        assert_eq!(stored.contains_key(&last), is_stored, "after {hours} more");
    }
}

#[tokio::test]
async fn a_404_on_a_later_page_is_not_the_end_of_the_list_even_if_nothing_older_is_stored() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    let cycles = stage.listed(&member, DataType::Cycle);
    // The fault sends the real first page. The second page is replaced by a 404.
    let body = json!({"records": cycles[..25], "next_token": "eyJv"}).to_string();
    stage.world().add_fault(once(Fault {
        status: Some(200),
        body: Some(body),
        ..Fault::new("cycle", FaultKind::Status)
    }));
    stage.world().add_fault(not_found("cycle"));
    let request = back_to(now() - TimeDelta::days(90), &[DataType::Cycle]);

    let report = stage.sync(&member, &request).await;

    assert_eq!(report.outcome, MemberOutcome::Failed, "{report:?}");
    stage.assert_sync_log_is_correct(&member).await;
    let again = stage.sync(&member, &request).await;
    assert_eq!(again.outcome, MemberOutcome::Done, "{again:?}");
}
