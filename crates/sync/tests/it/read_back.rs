//! Tests of law 9 (background work yields to the app): a background sync of a member yields to the
//! member's app, and none of its work is lost.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{DataType, plan::Slot, quota::PriorityClass};
use whoop_sim::{Fault, FaultKind};
use whoop_storage::table::call_budget;
use whoop_sync::{Engine, MemberOutcome, SyncContext};

use crate::harness::{Stage, back_to, context_without_retries, history, now, slot, until};

async fn calls_of(engine: &Engine, class: PriorityClass) -> u32 {
    let mut conn = engine.database.get().await.unwrap();
    let current = call_budget::read(&mut conn).await.unwrap();
    current.ledger.usage_by_class(current.now)[class.index()].1
}

#[tokio::test]
async fn a_sync_far_back_runs_in_the_backfill_class_and_reads_covered_records_again() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.advance(TimeDelta::minutes(5));
    let long_ago = now() - TimeDelta::days(110);
    let night = stage.newest_before(&member, DataType::Sleep, long_ago);
    let change = json!({"timezone_offset": "+05:45"});
    stage.change(&member, DataType::Sleep, &night, change);
    stage.world().reset_calls();
    let before = calls_of(&stage.engine, PriorityClass::Backfill).await;

    let request = back_to(now() - TimeDelta::days(120), &DataType::ALL);
    let report = stage
        .engine
        .background
        .sync_in_background(&member.user_id, &context_without_retries(), &request)
        .await
        .unwrap();

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    stage.assert_stored_is_truth(&member).await;
    let calls = u32::try_from(stage.api_calls().len()).unwrap();
    let counted = calls_of(&stage.engine, PriorityClass::Backfill).await - before;
    assert_eq!(counted, calls, "all calls are in the backfill class");
    for data_type in DataType::ALL {
        let pages = stage.pages_of(data_type).len();
        assert!((1..=8).contains(&pages), "{pages} pages of {data_type}");
    }
}

#[tokio::test]
async fn an_app_request_is_served_between_two_pages_of_a_background_sync() {
    let (stage, member) = Stage::with_member().await;
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        millis: Some(250),
        ..Fault::new("*", FaultKind::Latency)
    });
    let request = back_to(now() - TimeDelta::days(160), &[DataType::Cycle]);
    let (engine, user_id) = (stage.another_engine(), member.user_id.clone());
    let background = tokio::spawn(async move {
        engine
            .background
            .sync_in_background(&user_id, &context_without_retries(), &request)
            .await
    });
    until("the background sync is running", async || {
        stage.pages_of(DataType::Cycle).len() >= 2
    })
    .await;
    // The next page takes 25 seconds. The test waits until one holder has kept the lease for longer
    // than a normal page takes.
    stage.world().clear_faults();
    stage.world().add_fault(Fault {
        millis: Some(25_000),
        times: Some(1),
        ..Fault::new("cycle", FaultKind::Latency)
    });
    let holder = "SELECT lease_holder FROM whoop_users WHERE user_id = $1";
    let last_holder = RefCell::new((None, Instant::now()));
    until("a page takes too long", async || {
        let holder = stage.text(holder, &member).await;
        let mut last_holder = last_holder.borrow_mut();
        if last_holder.0 != holder {
            *last_holder = (holder, Instant::now());
        }
        last_holder.0.is_some() && last_holder.1.elapsed() > Duration::from_millis(700)
    })
    .await;

    let app_request = stage
        .engine
        .members
        .sync_member(
            &member.user_id,
            &SyncContext::interactive(),
            &slot(Slot::Morning),
        )
        .await;
    assert_eq!(app_request.unwrap().outcome, MemberOutcome::Done);

    stage.world().clear_faults();
    let report = background.await.unwrap().unwrap();
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    let pages = stage.pages_of(DataType::Cycle).len();
    assert!(pages <= 9, "{pages} pages for 160 days");
    let sync_log = stage.log_of(&member, DataType::Cycle).await;
    assert!(sync_log.contains("2026-0"), "{sync_log}");
    stage.assert_sync_log_is_correct(&member).await;
}

/// An app request waits for the member lease for ten seconds. WHOOP's answer to the lease holder's
/// call may take thirty seconds.
#[tokio::test]
async fn a_background_sync_in_a_slow_call_releases_the_lease_before_the_app_request_times_out() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    stage.world().add_fault(Fault {
        millis: Some(25_000),
        times: Some(1),
        ..Fault::new("cycle", FaultKind::Latency)
    });
    let (engine, user_id) = (stage.another_engine(), member.user_id.clone());
    let background = tokio::spawn(async move {
        let context = SyncContext::scheduled(None, tokio_util::sync::CancellationToken::new());
        let request = slot(Slot::Afternoon);
        engine
            .background
            .sync_in_background(&user_id, &context, &request)
            .await
    });
    let held = "SELECT user_id FROM whoop_users WHERE user_id = $1 AND lease_until > now()";
    until("the background sync waits for WHOOP", async || {
        let is_held = !stage.texts(held, &member).await.is_empty();
        is_held && !stage.pages_of(DataType::Workout).is_empty()
    })
    .await;

    let began = Instant::now();
    let app_request = stage
        .engine
        .members
        .sync_member(
            &member.user_id,
            &SyncContext::interactive(),
            &slot(Slot::Morning),
        )
        .await;

    assert_eq!(app_request.unwrap().outcome, MemberOutcome::Done);
    assert!(began.elapsed() < Duration::from_secs(9));
    let report = background.await.unwrap().unwrap();
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}

#[tokio::test]
async fn a_background_sync_that_waits_for_a_rate_limit_releases_the_lease() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    stage.world().set_limits(1, 1_000_000);
    stage.world().reset_calls();
    let stop = tokio_util::sync::CancellationToken::new();
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    let background = {
        let context = SyncContext::scheduled(None, stop.clone());
        let request = slot(Slot::Afternoon);
        tokio::spawn(async move {
            engine
                .background
                .sync_in_background(&user_id, &context, &request)
                .await
        })
    };
    // WHOOP refuses the second call, or the first answer reports that no call remains.
    until("the only call of the minute is answered", async || {
        !stage.api_calls().is_empty()
    })
    .await;

    let app_request = stage
        .engine
        .members
        .sync_member(
            &member.user_id,
            &SyncContext::interactive(),
            &slot(Slot::Morning),
        )
        .await
        .unwrap();

    // The outcome is `Deferred`, because the app request gets the lease and then only lacks the
    // quota.
    assert_eq!(
        app_request.outcome,
        MemberOutcome::Deferred,
        "{app_request:?}"
    );
    stop.cancel();
    let _ = background.await.unwrap();
}
