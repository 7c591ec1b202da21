//! Tests of law 6 (the sync log is correct): however a sync ends, the sync log is correct and the
//! next sync completes the work.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::{Fault, FaultKind, SimConfig};
use whoop_sync::{MemberOutcome, SyncError, run::RunTask};

use crate::harness::{
    Member, SilentObserver, Stage, back_to, context_without_retries, half_a_year, history, now,
    plan, slot, text_of, until,
};

/// Returns one of four kinds of faults that make a call fail. The kinds alternate with `nth`.
fn fault_at(nth: usize) -> Fault {
    let reset = Fault::new("*", FaultKind::Reset);
    match nth % 4 {
        0 => Fault::status("*", 500),
        1 => reset,
        2 => Fault::new("*", FaultKind::Truncate),
        _ => Fault::new("*", FaultKind::NotJson),
    }
}

/// Lets the first `calls` calls succeed. All later calls fail with this fault.
fn fail_after(stage: &Stage, calls: u32, fault: Fault) {
    if calls > 0 {
        stage.world().add_fault(Fault {
            times: Some(calls),
            millis: Some(0),
            ..Fault::new(fault.route.clone(), FaultKind::Latency)
        });
    }
    stage.world().add_fault(fault);
}

/// Ends a member lease now. If its holder was killed, the lease would otherwise expire later on its
/// own.
async fn expire_the_lease(stage: &Stage, member: &Member) {
    stage
        .execute(
            "UPDATE whoop_users SET lease_until = now() - INTERVAL '1 second' WHERE user_id = $1",
            member,
        )
        .await;
}

#[tokio::test]
async fn a_failure_on_a_later_page_keeps_the_earlier_pages_and_does_not_change_the_sync_log() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    let before = stage.log_of(&member, DataType::Sleep).await;
    let newest = stage.newest_before(&member, DataType::Sleep, now());
    stage.change(
        &member,
        DataType::Sleep,
        &newest,
        json!({"timezone_offset": "+05:45"}),
    );
    let request = back_to(now() - TimeDelta::days(90), &[DataType::Sleep]);

    fail_after(&stage, 1, Fault::status("sleep", 500));
    let report = stage.sync(&member, &request).await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    assert_eq!(stage.log_of(&member, DataType::Sleep).await, before);
    assert_eq!(
        stage.status_of(&member, DataType::Sleep).await.as_deref(),
        Some("failed")
    );
    let error = stage.error_of(&member, DataType::Sleep).await.unwrap();
    assert!(error.contains("WHOOP returned status 500"), "{error}");
    let id = newest["id"].as_str().unwrap();
    let stored = stage.stored(&member, DataType::Sleep).await;
    assert_eq!(stored[id]["timezone_offset"], "+05:45");

    stage.world().clear_faults();
    let again = stage.sync(&member, &request).await;
    assert_eq!(again.outcome, MemberOutcome::Done);
    assert_ne!(stage.log_of(&member, DataType::Sleep).await, before);
    stage.assert_sync_log_is_correct(&member).await;
}

#[tokio::test]
async fn a_failing_data_type_does_not_stop_the_others() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    stage.world().add_fault(Fault::status("workout", 502));

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    for data_type in DataType::ALL {
        let moved = stage.log_of(&member, data_type).await;
        let is_new = moved.starts_with("2026-10-20 16:07:00");
        assert_eq!(
            is_new,
            data_type != DataType::Workout,
            "{data_type} {moved}"
        );
    }
}

/// Asserts that after a failure at any of the first 16 calls, the sync log is correct and the next
/// run completes the sync.
async fn survives_failures(seed: u64, index: usize) {
    let stage = Stage::with(SimConfig {
        seed,
        people: 9,
        days: 90,
        ..half_a_year()
    })
    .await;
    let member = stage.connect_person(index).await;

    for nth in 0..16_u32 {
        stage.forget(&member).await;
        fail_after(&stage, nth, fault_at(nth as usize));
        let failed = stage.sync(&member, &history(&DataType::ALL)).await;
        stage.world().clear_faults();
        stage.assert_sync_log_is_correct(&member).await;

        let report = stage.sync(&member, &history(&DataType::ALL)).await;

        assert_eq!(
            report.outcome,
            MemberOutcome::Done,
            "after {failed:?}: {report:?}"
        );
        stage.assert_stored_is_truth(&member).await;
    }
}

#[tokio::test]
async fn the_next_run_repairs_a_failure_at_any_call() {
    survives_failures(7, 0).await;
}

#[tokio::test]
async fn the_next_run_repairs_a_failure_at_any_call_for_an_athlete() {
    survives_failures(2026, 6).await;
}

#[tokio::test]
async fn the_next_run_repairs_a_sync_that_was_killed_at_any_point() {
    let stage = Stage::with(SimConfig {
        days: 90,
        ..half_a_year()
    })
    .await;
    let member = stage.connect_person(1).await;

    for kill_at in 0..20 {
        stage.forget(&member).await;
        stage.world().reset_calls();
        let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
        let sync = tokio::spawn(async move {
            engine
                .members
                .sync_member(
                    &user_id,
                    &context_without_retries(),
                    &history(&DataType::ALL),
                )
                .await
        });
        until("the call at which the sync is killed", || async {
            stage.world().call_count() >= kill_at || sync.is_finished()
        })
        .await;
        sync.abort();
        let _ = sync.await;
        expire_the_lease(&stage, &member).await;
        stage.assert_sync_log_is_correct(&member).await;

        let report = stage.sync(&member, &history(&DataType::ALL)).await;

        assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
        stage.assert_stored_is_truth(&member).await;
    }
}

#[tokio::test]
async fn a_killed_sync_blocks_its_member_only_until_the_lease_expires() {
    let (stage, member) = Stage::with_member().await;
    stage.world().add_fault(Fault {
        millis: Some(60_000),
        ..Fault::new("sleep", FaultKind::Latency)
    });
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    let sync = tokio::spawn(async move {
        engine
            .members
            .sync_member(&user_id, &context_without_retries(), &slot(Slot::Morning))
            .await
    });
    until("the sync holds the lease", || async {
        stage
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap()
            .syncing
    })
    .await;
    sync.abort();
    let _ = sync.await;
    stage.world().clear_faults();

    let mut context_without_wait = context_without_retries();
    context_without_wait.lease_timeout = Duration::ZERO;
    let request = slot(Slot::Morning);
    let other = stage.another_engine();
    let refused = other
        .members
        .sync_member(&member.user_id, &context_without_wait, &request);
    assert!(matches!(refused.await, Err(SyncError::Busy)));

    let seconds_left = stage
        .text(
            "SELECT ceil(extract(epoch FROM lease_until - now()))::TEXT \
             FROM whoop_users WHERE user_id = $1",
            &member,
        )
        .await;
    let seconds_left: u32 = seconds_left.unwrap().parse().unwrap();
    assert!(seconds_left <= 60, "{seconds_left} s");
    expire_the_lease(&stage, &member).await;
    let report = other
        .members
        .sync_member(&member.user_id, &context_without_wait, &request);
    assert_eq!(report.await.unwrap().outcome, MemberOutcome::Done);
}

#[tokio::test]
async fn the_next_run_stores_a_record_that_appeared_while_whoop_failed() {
    let (stage, member) = Stage::with_member().await;
    stage.world().add_fault(Fault::status("*", 503));
    let request = slot(Slot::Afternoon);
    stage.advance(TimeDelta::days(3));
    assert_eq!(
        stage.sync(&member, &request).await.outcome,
        MemberOutcome::Failed
    );
    stage.insert(
        &member,
        DataType::Workout,
        json!({"start": text_of(now() + TimeDelta::hours(2)), "sport_name": "squash"}),
    );
    stage.advance(TimeDelta::days(5));
    stage.world().clear_faults();

    let report = stage.sync(&member, &request).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
    stage.assert_sync_log_is_correct(&member).await;
}

#[tokio::test]
async fn a_failing_clean_up_does_not_lose_the_report_of_the_night_run() {
    let (stage, _member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(9));
    stage
        .sql
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'deadlock_detected'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON whoop_change
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();

    let night = plan(RunTask::Sync(slot(Slot::Night)));
    let report = stage
        .engine
        .runs
        .run(&night, &context_without_retries(), &SilentObserver)
        .await
        .unwrap();

    assert_eq!((report.synced, report.failed), (1, 0));
    assert!(report.clean_up_error.is_some());
    let run =
        "SELECT status || ' ' || members FROM whoop_sync_run ORDER BY started_at DESC LIMIT 1";
    let row = stage.sql.query_one(run, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "failed 1");
}
