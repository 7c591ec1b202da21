//! Tests of law 9 (one sync per member at a time): concurrent requests share the result of one
//! sync.

use chrono::{NaiveDate, TimeDelta};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use whoop_core::{
    DataType,
    day::{Day, SyncOutcome},
    plan::{RefreshMode, Slot},
};
use whoop_sim::{Fault, FaultKind, SimConfig};
use whoop_sync::{
    EngineSettings, MemberOutcome, SyncContext,
    member_sync::SyncRequest,
    run::{RunReport, RunTask},
};

use crate::harness::{
    Member, PLENTY, SilentObserver, Stage, back_to, context_without_retries, half_a_year, now,
    plan, slot,
};

/// Creates a member without stored records. WHOOP is so slow that all callers send their requests
/// before the first one gets an answer.
async fn with_a_slow_whoop() -> (Stage, Member, NaiveDate) {
    let (stage, member) = Stage::with_member().await;
    let date = stage.latest_day(&member).await;
    stage.forget(&member).await;
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        millis: Some(400),
        ..Fault::new("*", FaultKind::Latency)
    });
    (stage, member, date)
}

async fn ten_at_once(refresh: RefreshMode) -> (Stage, Vec<Day>) {
    let (stage, member, date) = with_a_slow_whoop().await;
    let engines = [stage.engine.clone(), stage.another_engine()];

    let callers = (0..10).map(|nth| engines[nth % 2].days.day(&member.user_id, date, refresh));
    let days = join_all(callers).await;

    (stage, days.into_iter().map(Result::unwrap).collect())
}

fn assert_one_synced_and_nine_shared(stage: &Stage, days: &[Day]) {
    for data_type in DataType::ALL {
        assert_eq!(stage.pages_of(data_type).len(), 1, "{data_type}");
    }
    assert_eq!(stage.api_calls().len(), 4);
    let count = |outcome| days.iter().filter(|day| day.meta.sync == outcome).count();
    assert_eq!(
        (count(SyncOutcome::Done), count(SyncOutcome::Shared)),
        (1, 9)
    );
    for day in days {
        let mut one = day.clone();
        one.meta.sync = days[0].meta.sync;
        one.meta.source = days[0].meta.source;
        assert_eq!(one, days[0]);
        assert!(!day.meta.stale);
        assert!(day.sleep.is_some() && day.cycle.is_some());
    }
}

#[tokio::test]
async fn ten_requests_for_an_unread_day_share_four_calls() {
    let (stage, days) = ten_at_once(RefreshMode::Auto).await;

    assert_one_synced_and_nine_shared(&stage, &days);
}

#[tokio::test]
async fn ten_forced_requests_share_four_calls() {
    let (stage, days) = ten_at_once(RefreshMode::Force).await;

    assert_one_synced_and_nine_shared(&stage, &days);
}

#[tokio::test]
async fn different_members_do_not_wait_for_each_other() {
    let stage = Stage::new().await;
    let one = stage.connect_person(0).await;
    let other = stage.connect_person(1).await;
    let take_lease = "UPDATE whoop_users SET lease_holder = 'another process', \
                lease_until = now() + INTERVAL '1 hour' WHERE user_id = $1";
    assert_eq!(stage.execute(take_lease, &one).await, 1);

    let report = stage.sync(&other, &slot(Slot::Night)).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_overlapping_runs_read_every_member_once() {
    let stage = Stage::with(SimConfig {
        people: 9,
        ..half_a_year()
    })
    .await;
    for person in 0..9 {
        stage.connect_person(person).await;
    }
    stage.advance(TimeDelta::hours(1));
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        millis: Some(30),
        ..Fault::new("*", FaultKind::Latency)
    });
    let (one, other) = (stage.engine.clone(), stage.another_engine());
    let plan = plan(RunTask::Sync(slot(Slot::Morning)));
    let (first, second) = (context_without_retries(), context_without_retries());

    let (first, second) = tokio::join!(
        one.runs.run(&plan, &first, &SilentObserver),
        other.runs.run(&plan, &second, &SilentObserver)
    );

    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(
        (first.failed, second.failed),
        (0, 0),
        "{first:?} {second:?}"
    );
    assert_eq!(stage.api_calls().len(), 9 * 2);
    assert_eq!(first.calls + second.calls, 9 * 2);
    // If a run reaches a member whom the other run is syncing, it reports the result of the other
    // run as shared.
    let of_others = |report: &RunReport| {
        let reports = report.reports.iter();
        reports
            .filter(|one| one.outcome == MemberOutcome::Shared)
            .count()
    };
    let fresh = first.fresh + second.fresh;
    assert_eq!(of_others(&first) + of_others(&second) + fresh, 9);
}

#[tokio::test]
async fn a_sync_that_waits_for_another_shares_its_result() {
    let (stage, member, _) = with_a_slow_whoop().await;
    let (one, other) = (stage.engine.clone(), stage.another_engine());
    let (all, morning) = (slot(Slot::Night), slot(Slot::Morning));
    let (context, other_context) = (context_without_retries(), context_without_retries());

    let (first, second) = tokio::join!(
        one.members.sync_member(&member.user_id, &context, &all),
        other
            .members
            .sync_member(&member.user_id, &other_context, &morning)
    );

    let mut outcomes = [first.unwrap().outcome, second.unwrap().outcome];
    outcomes.sort_by_key(|one| *one == MemberOutcome::Shared);
    assert_eq!(outcomes[0], MemberOutcome::Done);
    for data_type in DataType::ALL {
        assert_eq!(stage.list_reads(data_type), 1, "{data_type}");
    }
}

/// Part of law 15 (no member can harm the others): a forced read of a data type reaches WHOOP at
/// most once per minute.
#[tokio::test]
async fn a_forced_read_within_a_minute_of_the_last_one_shares_its_result() {
    let (stage, member) = Stage::with_member().await;
    let engine = stage.engine_with(EngineSettings {
        limits: PLENTY,
        ..EngineSettings::default()
    });
    let date = stage.latest_day(&member).await;
    let force = async || {
        stage.world().reset_calls();
        let day = engine
            .days
            .day(&member.user_id, date, RefreshMode::Force)
            .await;
        (day.unwrap().meta.sync, stage.api_calls().len())
    };
    let sync_on_request = async |request: &SyncRequest| {
        stage.world().reset_calls();
        let context = SyncContext::interactive();
        let report = engine
            .members
            .sync_on_request(&member.user_id, &context, request)
            .await;
        (report.unwrap().outcome, stage.api_calls().len())
    };
    let everything = SyncRequest::of_all_types();

    stage.advance(TimeDelta::seconds(60));
    assert_eq!(force().await, (SyncOutcome::Done, 4));
    stage.advance(TimeDelta::seconds(59));
    assert_eq!(force().await, (SyncOutcome::Shared, 0));
    assert_eq!(
        sync_on_request(&everything).await,
        (MemberOutcome::Shared, 0)
    );
    // Data types and time spans that were not read within the last minute are read from WHOOP.
    let forget = "UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '1 minute' \
                  WHERE user_id = $1 AND data_type = 'sleep'";
    stage.execute(forget, &member).await;
    assert_eq!(sync_on_request(&everything).await, (MemberOutcome::Done, 1));
    let (ten_days_ago, long_ago) = (now() - TimeDelta::days(10), now() - TimeDelta::days(60));
    let sleep = [DataType::Sleep];
    let recent = sync_on_request(&back_to(ten_days_ago, &sleep)).await;
    assert_eq!(recent, (MemberOutcome::Shared, 0));
    let (outcome, calls) = sync_on_request(&back_to(long_ago, &sleep)).await;
    assert!(outcome == MemberOutcome::Done && calls > 1, "{calls}");
    stage.advance(TimeDelta::seconds(1));
    assert_eq!(force().await.0, SyncOutcome::Done);
}

/// A run first tries to lease each member without waiting, and tries the members whom another
/// process has leased a second time.
///
/// In this test, the run is stopped between the refused attempt and the second attempt.
#[tokio::test]
async fn a_stopped_run_does_not_report_a_member_of_another_process_as_failed() {
    for _ in 0..6 {
        let (stage, _) = Stage::with_member().await;
        stage.advance(TimeDelta::hours(1));
        // Another process takes the lease while the run's attempt to take it waits for the locked
        // row.
        let other = stage.db.client().await;
        let lease = "BEGIN; UPDATE whoop_users SET lease_holder = 'other', \
                     lease_until = now() + INTERVAL '1 hour'";
        other.batch_execute(lease).await.unwrap();
        let stop = CancellationToken::new();
        let context = SyncContext::scheduled(None, stop.clone());
        let plan = plan(RunTask::Sync(slot(Slot::Night)));
        let stops = async {
            stage.until_a_transaction_waits().await;
            stop.cancel();
            other.batch_execute("COMMIT").await.unwrap();
        };

        let (report, ()) = tokio::join!(
            stage.engine.runs.run(&plan, &context, &SilentObserver),
            stops
        );

        let report = report.unwrap();
        assert_eq!(report.reports.len(), 1);
        let outcome = report.reports[0].outcome;
        assert_eq!(outcome, MemberOutcome::Stopped, "{report:?}");
    }
}
