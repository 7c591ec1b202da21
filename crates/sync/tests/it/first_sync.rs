//! Tests of law 16 (connecting never fails because of the quota): the first sync follows as soon as
//! there are permits for its calls.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use tokio::time::Instant;
use whoop_core::{
    Clock, DataType,
    day::SyncOutcome,
    plan::{RefreshMode, Slot},
    quota::QuotaLimits,
};
use whoop_sim::{Fault, FaultKind, SimConfig};
use whoop_storage::table::audit::Actor;
use whoop_sync::{Engine, MemberOutcome, SyncError, connect::ConnectError, overview};

use crate::harness::{Member, Stage, context_without_retries, half_a_year, history, slot, until};

/// Maximum duration of a callback from WHOOP when many members connect within seconds.
const CALLBACK_WITHIN: Duration = Duration::from_secs(2);

async fn count(stage: &Stage, from: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {from}");
    stage.sql.query_one(&sql, &[]).await.unwrap().get(0)
}

/// Connects a person of the simulator, and stops the process before it makes the first sync.
async fn connect_and_kill(stage: &Stage, engine: &Engine, index: usize) -> Member {
    let whoop_user_id = stage.world().people()[index];
    let user = format!("member {index}");
    let state = stage.state_for(&user, None).await;
    let code = stage.code_for(whoop_user_id);
    let completed = engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();
    completed.first_sync.abort();
    let _ = completed.first_sync.await;
    Member {
        user_id: completed.user_id,
        whoop_user_id,
    }
}

/// Begins a new minute window and a new day window, and releases all member leases.
///
/// WHOOP's minute window uses the test's clock, which is moved. The quota ledger uses PostgreSQL's
/// clock, so the ledger is emptied.
async fn forget_calls(stage: &Stage) {
    stage.advance(TimeDelta::seconds(61));
    let sql = "DELETE FROM whoop_call_budget; UPDATE whoop_users SET lease_until = NULL";
    stage.sql.batch_execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_members_who_connect_within_seconds_at_40_calls_a_minute_are_all_connected_and_read()
{
    const MEMBERS: usize = 30;
    let limits = QuotaLimits {
        per_minute: 40,
        per_day: 10_000,
    };
    let stage = Stage::with(SimConfig {
        people: MEMBERS,
        // The limits per minute and per day differ, so that the headers for the two windows differ
        // too.
        calls_per_day: 2_000_000,
        ..half_a_year()
    })
    .await;
    let engine = stage.engine_within(limits);

    let connects = (0..MEMBERS).map(async |index| {
        let began = Instant::now();
        let member = connect_and_kill(&stage, &engine, index).await;
        (member, began.elapsed())
    });
    let connected = join_all(connects).await;

    for (member, took) in &connected {
        assert_eq!(stage.connection_status(member).await, "connected");
        assert!(*took < CALLBACK_WITHIN, "{took:?}");
    }
    let mut calls_of_minutes = Vec::new();
    while count(&stage, "whoop_users WHERE first_sync_pending").await > 0 {
        forget_calls(&stage).await;
        let before = stage.api_calls().len();
        let process = stage.engine_within(limits);
        process
            .first_syncs
            .resume_first_syncs(&context_without_retries())
            .await
            .unwrap();
        calls_of_minutes.push(stage.api_calls().len() - before);
        assert!(calls_of_minutes.len() < 15, "{calls_of_minutes:?}");
    }
    assert!(
        calls_of_minutes.iter().all(|calls| *calls <= 40),
        "{calls_of_minutes:?}"
    );
    forget_calls(&stage).await;
    for (member, _) in &connected {
        stage.read_whole_history(member).await;
        stage.assert_stored_is_truth(member).await;
    }
}

#[tokio::test]
async fn first_syncs_do_not_delay_other_members() {
    let limits = QuotaLimits {
        per_minute: 40,
        per_day: 10_000,
    };
    let stage = Stage::with(SimConfig {
        people: 12,
        ..half_a_year()
    })
    .await;
    let active_member = stage.connect_person(0).await;
    let date = stage.latest_day(&active_member).await;
    forget_calls(&stage).await;
    let engine = stage.engine_within(limits);
    let mut first_syncs = Vec::new();
    for index in 1..12 {
        let user = format!("member {index}");
        let state = stage.state_for(&user, None).await;
        let code = stage.code_for(stage.world().people()[index]);
        let completed = engine
            .connections
            .complete_connect(&state, &code)
            .await
            .unwrap();
        first_syncs.push(completed.first_sync);
    }

    let began = Instant::now();
    let day = engine
        .days
        .day(&active_member.user_id, date, RefreshMode::Force)
        .await
        .unwrap();

    assert_eq!(day.meta.sync, SyncOutcome::Done, "{:?}", day.meta);
    assert!(began.elapsed() < Duration::from_secs(6));
    first_syncs.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_member_can_connect_when_the_day_quota_is_used_up_and_is_read_later() {
    let stage = Stage::new().await;
    let exhausted = stage.engine_within(QuotaLimits {
        per_minute: 100,
        per_day: 0,
    });

    let member = connect_and_kill(&stage, &exhausted, 0).await;

    assert_eq!(stage.connection_status(&member).await, "connected");
    assert_eq!(stage.api_calls().len(), 0);
    let today = exhausted.days.today(&member.user_id).await.unwrap();
    let day = exhausted
        .days
        .day(&member.user_id, today, RefreshMode::Auto)
        .await
        .unwrap();
    assert_eq!(day.meta.sync, SyncOutcome::Deferred);

    forget_calls(&stage).await;
    let report = stage.sync(&member, &history(&DataType::ALL)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
    stage.read_whole_history(&member).await;
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn a_process_killed_right_after_the_connect_loses_neither_the_connection_nor_the_first_sync()
{
    let stage = Stage::new().await;
    stage.world().add_fault(Fault {
        millis: Some(60_000),
        ..Fault::new("profile", FaultKind::Latency)
    });
    let member = connect_and_kill(&stage, &stage.another_engine(), 0).await;
    stage.world().clear_faults();
    forget_calls(&stage).await;

    let process = stage.another_engine();
    process
        .first_syncs
        .resume_first_syncs(&context_without_retries())
        .await
        .unwrap();

    assert_eq!(
        count(&stage, "whoop_users WHERE first_sync_pending").await,
        0
    );
    let height = "SELECT height_meter::TEXT FROM whoop_users WHERE user_id = $1";
    assert!(stage.text(height, &member).await.is_some());
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert!(status.types.iter().all(|(_, log)| {
        log.as_ref()
            .is_some_and(|log| log.last_sync_at == Some(stage.clock.now()))
    }));
}

#[tokio::test]
async fn a_failing_profile_request_delays_the_first_sync_but_not_the_connect() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault::status("profile", 503));

    let member = connect_and_kill(&stage, &stage.another_engine(), 0).await;
    let failed = stage
        .engine
        .members
        .sync_member(
            &member.user_id,
            &context_without_retries(),
            &slot(Slot::Night),
        )
        .await;

    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(stage.connection_status(&member).await, "connected");
    assert!(
        stage
            .api_calls()
            .iter()
            .all(|call| call.path.contains("profile"))
    );
    stage.world().clear_faults();
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
}

/// Records of two WHOOP accounts are never stored under one member, even if the service identifies
/// the new account only after the callback.
#[tokio::test]
async fn another_account_that_is_recognized_after_the_callback_is_refused_before_a_record_is_read()
{
    let (stage, member) = Stage::with_member().await;
    let other = stage.world().people()[1];
    stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await
        .unwrap();
    stage.world().add_fault(Fault {
        millis: Some(2_000),
        ..Fault::new("profile", FaultKind::Latency)
    });
    let before = stage.api_calls().len();

    let completed = stage
        .try_connect(member.user_id.as_str(), other)
        .await
        .unwrap();
    completed.first_sync.await.unwrap();

    assert_eq!(stage.connection_status(&member).await, "reauth_required");
    assert!(
        stage.api_calls()[before..]
            .iter()
            .all(|call| call.path.contains("profile"))
    );
    stage.world().clear_faults();
    stage.advance(TimeDelta::minutes(2));
    stage
        .another_engine()
        .revocations
        .revoke_due(&context_without_retries())
        .await
        .unwrap();
    let grants = stage.world().oauth().grants();
    let is_active = |grant: &&whoop_sim::Grant| grant.whoop_user_id == other && !grant.is_revoked;
    assert_eq!(grants.iter().filter(is_active).count(), 0);
    let again = stage
        .connect(member.user_id.as_str(), member.whoop_user_id)
        .await;
    stage.read_whole_history(&again).await;
    stage.assert_stored_is_truth(&again).await;
}

#[tokio::test]
async fn a_pair_that_a_second_connect_replaced_before_its_account_was_known_is_revoked() {
    let stage = Stage::new().await;
    let (first, second) = (stage.world().people()[0], stage.world().people()[1]);
    stage.world().add_fault(Fault {
        whoop_user_id: Some(first),
        millis: Some(1_500),
        ..Fault::new("profile", FaultKind::Latency)
    });
    let engine = stage.engine.clone();
    let (state, code) = (stage.state_for("mara", None).await, stage.code_for(first));
    let first_connect =
        tokio::spawn(async move { engine.connections.complete_connect(&state, &code).await });
    until("the first pair is stored", || async {
        count(&stage, "whoop_tokens").await == 1
    })
    .await;

    let completed = stage.try_connect("mara", second).await.unwrap();
    completed.first_sync.await.unwrap();

    let first_connect = first_connect.await.unwrap();
    if let Ok(completed) = first_connect {
        completed.first_sync.await.unwrap();
    }
    let member = Member {
        user_id: completed.user_id,
        whoop_user_id: second,
    };
    stage.advance(TimeDelta::minutes(2));
    stage
        .another_engine()
        .revocations
        .revoke_due(&context_without_retries())
        .await
        .unwrap();
    let grants = stage.world().oauth().grants();
    let is_active = |grant: &&whoop_sim::Grant| grant.whoop_user_id == first && !grant.is_revoked;
    assert_eq!(grants.iter().filter(is_active).count(), 0);
    stage.read_whole_history(&member).await;
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn an_app_request_of_a_new_member_does_not_use_the_share_of_the_others() {
    let stage = Stage::new().await;
    let exhausted = stage.engine_within(QuotaLimits {
        per_minute: 100,
        per_day: 0,
    });
    let member = connect_and_kill(&stage, &exhausted, 0).await;
    forget_calls(&stage).await;

    let today = stage.engine.days.today(&member.user_id).await.unwrap();
    let day = stage
        .engine
        .days
        .day(&member.user_id, today, RefreshMode::Auto)
        .await
        .unwrap();

    assert_eq!(day.meta.sync, SyncOutcome::Done);
    let (limits, now) = (QuotaLimits::default(), stage.clock.now());
    let overview = overview::read_overview(&stage.engine.database, limits, now).await;
    let calls = overview.unwrap().quota.spent;
    assert_eq!(calls["interactive"], 0, "{calls:?}");
    assert_eq!(calls["scheduled"], 5, "{calls:?}");
}

#[tokio::test]
async fn a_consent_without_the_profile_connects_no_member() {
    let stage = Stage::new().await;
    let state = stage.state_for("ada", None).await;
    let code = stage.code_without("read:profile", stage.world().people()[0]);

    let refused = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await;

    let Err(ConnectError::Failed { source, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(
            source,
            SyncError::NotGranted {
                scope: "read:profile"
            }
        ),
        "{source:?}"
    );
    assert_eq!(stage.api_calls().len(), 0);
}
