//! Tests of laws 7 (the quota is never exceeded) and 15 (no member can harm the others): all
//! processes and members share one quota.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use whoop_client::WhoopError;
use whoop_core::{
    Clock,
    day::SyncOutcome,
    plan::{RefreshMode, Slot},
    quota::{PriorityClass, QuotaLimits},
};
use whoop_sim::{Fault, FaultKind, SimConfig};
use whoop_sync::{
    Engine, MemberOutcome, SyncContext, SyncError, reconcile::ReconcileRequest, run::RunTask,
};

use crate::harness::{
    Member, SilentObserver, Stage, context_without_retries, half_a_year, plan, slot, until,
};

const LIMITS: QuotaLimits = QuotaLimits {
    per_minute: 100,
    per_day: 10_000,
};

/// Creates a member and a simulator with WHOOP's limits, and returns an access token of the member.
///
/// The simulator's clock is frozen, so all calls remain in WHOOP's minute window.
async fn with_real_limits() -> (Stage, Member, SecretString) {
    let stage = Stage::with(SimConfig {
        calls_per_minute: 100,
        calls_per_day: 10_000,
        ..half_a_year()
    })
    .await;
    let member = stage.connect_person(0).await;
    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &SyncContext::interactive(), None)
        .await
        .unwrap();
    (stage, member, token)
}

/// Makes `count` calls at the same time. A call that gets no permit at once is not made. Returns
/// the number of calls that were made.
async fn calls(engine: &Engine, token: &SecretString, class: PriorityClass, count: usize) -> usize {
    calls_of(engine, token, &context_without_wait(class), count).await
}

async fn calls_of(
    engine: &Engine,
    token: &SecretString,
    context: &SyncContext,
    count: usize,
) -> usize {
    let answers = join_all((0..count).map(|_| {
        let whoop = engine.quota.whoop_for(context);
        async move { whoop.fetch_profile(token).await }
    }));
    let made = answers.await.into_iter().filter(|answer| match answer {
        Ok(_) => true,
        Err(WhoopError::RateLimited { .. }) => false,
        Err(other) => panic!("{other}"),
    });
    made.count()
}

fn context_without_wait(class: PriorityClass) -> SyncContext {
    let mut context = context_without_retries().with_class(class);
    context.retry_policy.max_wait = Duration::ZERO;
    context
}

fn refusals(stage: &Stage) -> usize {
    let calls = stage.world().calls();
    calls.iter().filter(|call| call.status == 429).count()
}

#[tokio::test]
async fn four_processes_share_the_minute_window_and_cause_no_429() {
    let (stage, _, token) = with_real_limits().await;
    let before = stage.world().call_count();
    let processes: Vec<Engine> = (0..4).map(|_| stage.engine_within(LIMITS)).collect();
    // The ledger already contains the calls of the member's connection, which were made with other
    // limits.
    let remaining = processes[0].quota.remaining_quota().await.unwrap().minute as usize;

    // This timeout is long enough for a slow PostgreSQL, but the callers do not wait until the next
    // minute window.
    let mut context = context_without_wait(PriorityClass::Interactive);
    context.retry_policy.max_wait = Duration::from_secs(20);
    let made = join_all(
        processes
            .iter()
            .map(|engine| calls_of(engine, &token, &context, 60)),
    )
    .await;

    assert_eq!(made.iter().sum::<usize>(), remaining);
    assert_eq!(stage.world().call_count(), before + remaining);
    assert_eq!(refusals(&stage), 0);
    assert_eq!(
        processes[3].quota.remaining_quota().await.unwrap().minute,
        0
    );
}

#[tokio::test]
async fn runs_do_not_use_the_share_of_interactive_requests() {
    let (stage, _, token) = with_real_limits().await;
    let (run, app) = (stage.engine_within(LIMITS), stage.engine_within(LIMITS));

    assert_eq!(calls(&app, &token, PriorityClass::Interactive, 1).await, 1);
    calls(&run, &token, PriorityClass::Scheduled, 200).await;
    calls(&run, &token, PriorityClass::Backfill, 200).await;

    assert!(run.quota.remaining_quota().await.unwrap().minute >= 20);
    assert_eq!(
        calls(&app, &token, PriorityClass::Interactive, 20).await,
        20
    );
    assert_eq!(refusals(&stage), 0);
}

#[tokio::test]
async fn calls_of_another_program_are_counted_before_whoop_refuses() {
    let (stage, _, token) = with_real_limits().await;
    // The ledger is emptied after these calls, so only WHOOP has counted them.
    for _ in 0..70 {
        stage
            .engine
            .quota
            .whoop_for(&context_without_wait(PriorityClass::Interactive))
            .fetch_profile(&token)
            .await
            .unwrap();
    }
    stage
        .sql
        .batch_execute("DELETE FROM whoop_call_budget")
        .await
        .unwrap();
    let engine = stage.engine_within(LIMITS);

    let made = calls(&engine, &token, PriorityClass::Interactive, 1).await
        + calls(&engine, &token, PriorityClass::Interactive, 60).await;

    assert!((15..=30).contains(&made), "{made} calls");
    assert_eq!(refusals(&stage), 0);
}

#[tokio::test]
async fn a_429_of_one_process_stops_all_processes() {
    let (stage, member, token) = with_real_limits().await;
    let (one, other) = (stage.engine_within(LIMITS), stage.engine_within(LIMITS));
    stage
        .world()
        .add_fault(Fault::new("*", FaultKind::RateLimited));
    assert_eq!(calls(&one, &token, PriorityClass::Scheduled, 1).await, 0);
    stage.world().clear_faults();
    let sent = stage.world().call_count();

    assert_eq!(
        calls(&other, &token, PriorityClass::Interactive, 5).await,
        0
    );
    let context = context_without_wait(PriorityClass::Interactive);
    let report = other
        .members
        .sync_member(&member.user_id, &context, &slot(Slot::Morning))
        .await
        .unwrap();

    assert_eq!(stage.world().call_count(), sent, "nothing was sent");
    assert!(report.retry_after_seconds > Some(0), "{report:?}");
    assert!(
        other
            .quota
            .remaining_quota()
            .await
            .unwrap()
            .closed_for
            .is_some()
    );
}

#[tokio::test]
async fn no_call_is_sent_to_whoop_without_the_database() {
    let (stage, _, token) = with_real_limits().await;
    let engine = stage.engine_within(LIMITS);
    let sent = stage.world().call_count();
    stage
        .sql
        .batch_execute("ALTER TABLE whoop_call_budget RENAME TO gone")
        .await
        .unwrap();

    let answer = engine
        .quota
        .whoop_for(&context_without_wait(PriorityClass::Interactive))
        .fetch_profile(&token)
        .await;

    let error = SyncError::from(answer.unwrap_err());
    assert!(matches!(error, SyncError::Storage(_)), "{error}");
    assert_eq!(stage.world().call_count(), sent);
}

#[tokio::test]
async fn an_unreadable_quota_ledger_is_reset() {
    let (stage, _, token) = with_real_limits().await;
    let engine = stage.engine_within(LIMITS);
    let sql = "UPDATE whoop_call_budget SET ledger = '[\"scribble\"]'";
    stage.sql.batch_execute(sql).await.unwrap();

    assert_eq!(
        calls(&engine, &token, PriorityClass::Interactive, 3).await,
        3
    );
    assert!(engine.quota.remaining_quota().await.unwrap().minute < 100);
}

#[tokio::test]
async fn a_run_that_waits_for_the_quota_yields_to_an_app_request() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    let limits = QuotaLimits {
        per_minute: 40,
        per_day: 10_000,
    };
    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &SyncContext::interactive(), None)
        .await
        .unwrap();
    let (run, app) = (stage.engine_within(limits), stage.another_engine());
    calls(&run, &token, PriorityClass::Interactive, 40).await;
    for task in [
        RunTask::Sync(slot(Slot::Morning)),
        RunTask::Backfill { from: None },
        RunTask::Reconcile(ReconcileRequest {
            from: stage.clock.now() - TimeDelta::days(3),
            until: None,
            dry_run: true,
        }),
    ] {
        let stop = CancellationToken::new();
        let (plan, context) = (plan(task), SyncContext::scheduled(None, stop.clone()));
        let request = slot(Slot::Afternoon);
        let app_requests = async {
            for _ in 0..2 {
                let held =
                    "SELECT user_id FROM whoop_users WHERE user_id = $1 AND lease_until > now()";
                until("the run holds the member lease", async || {
                    !stage.texts(held, &member).await.is_empty()
                })
                .await;
                let context = SyncContext::interactive();
                let served = app
                    .members
                    .sync_member(&member.user_id, &context, &request)
                    .await;
                assert_eq!(served.unwrap().outcome, MemberOutcome::Done);
            }
            stop.cancel();
        };

        let (report, ()) =
            tokio::join!(run.runs.run(&plan, &context, &SilentObserver), app_requests);

        let report = report.unwrap();
        assert!(report.stopped && report.failed == 0, "{report:?}");
        assert_eq!(report.calls, 0);
    }
}

/// Part of law 15 (no member can harm the others): the app of one member cannot use up the quota of
/// all members.
#[tokio::test]
async fn a_member_with_too_many_app_requests_is_deferred_and_others_are_not() {
    let stage = Stage::with(half_a_year()).await;
    let (busy, other) = (stage.connect_person(0).await, stage.connect_person(1).await);
    let date = stage.latest_day(&busy).await;
    stage
        .sql
        .batch_execute("DELETE FROM whoop_call_budget")
        .await
        .unwrap();
    stage
        .sql
        .batch_execute("UPDATE whoop_users SET interactive_calls = 0")
        .await
        .unwrap();
    let engine = stage.engine_within(QuotaLimits {
        per_minute: 1_000,
        per_day: 800,
    });
    let before = stage.api_calls().len();
    let mut day = engine
        .days
        .day(&busy.user_id, date, RefreshMode::Force)
        .await
        .unwrap();
    for _ in 0..30 {
        day = engine
            .days
            .day(&busy.user_id, date, RefreshMode::Force)
            .await
            .unwrap();
    }

    assert_eq!(day.meta.sync, SyncOutcome::Deferred);
    let detail = day.meta.detail.unwrap();
    assert!(detail.contains("used up their share"), "{detail}");
    assert_eq!(stage.api_calls().len() - before, 40, "5 % of 800");
    let day = engine
        .days
        .day(&other.user_id, date, RefreshMode::Force)
        .await
        .unwrap();
    assert_eq!(day.meta.sync, SyncOutcome::Done);
}

/// Part of law 15 (no member can harm the others): a member who cannot be read is tried at growing
/// intervals, and delays no other member.
#[tokio::test]
async fn a_failing_member_is_retried_after_half_of_the_time_since_the_first_failure() {
    let stage = Stage::with(half_a_year()).await;
    let (failing, healthy) = (stage.connect_person(0).await, stage.connect_person(1).await);
    stage.world().add_fault(Fault {
        whoop_user_id: Some(failing.whoop_user_id),
        ..Fault::status("api", 403)
    });
    let run = async |after: TimeDelta| {
        stage.advance(after);
        let before = stage.api_calls().len();
        let context = SyncContext::scheduled(None, CancellationToken::new());
        let report = stage
            .engine
            .runs
            .run(
                &plan(RunTask::Sync(slot(Slot::Evening))),
                &context,
                &SilentObserver,
            )
            .await
            .unwrap();
        let tried = stage.api_calls()[before..]
            .iter()
            .filter(|call| call.status == 403)
            .count();
        let of_healthy = report
            .reports
            .iter()
            .find(|one| one.user_id == healthy.user_id.as_str());
        assert!(
            of_healthy.is_none_or(|one| one.outcome == MemberOutcome::Done),
            "{report:?}"
        );
        tried > 0
    };

    assert!(run(TimeDelta::hours(1)).await, "the first failure");
    assert!(run(TimeDelta::hours(6)).await, "six hours of failures");
    assert!(
        !run(TimeDelta::hours(2)).await,
        "two of three hours have passed"
    );
    assert!(
        run(TimeDelta::hours(2)).await,
        "four of three hours have passed"
    );
    assert!(
        !run(TimeDelta::hours(4)).await,
        "four of five hours have passed"
    );
}

/// During an outage of WHOOP, calls pause after a few failures. A single call, the probe, detects
/// the end of the outage.
#[tokio::test]
async fn calls_pause_during_an_outage_until_the_first_answer() {
    let stage = Stage::with(SimConfig {
        people: 12,
        ..half_a_year()
    })
    .await;
    let mut members = Vec::new();
    for person in 0..12 {
        members.push(stage.connect_person(person).await);
    }
    stage.advance(TimeDelta::hours(1));
    for member in &members {
        stage
            .engine
            .calls
            .access_token(&member.user_id, &SyncContext::interactive(), None)
            .await
            .unwrap();
    }
    stage.world().add_fault(Fault::status("api", 503));
    let date = stage.latest_day(&members[0]).await;
    let before = stage.api_calls().len();
    for member in &members {
        let day = stage
            .engine
            .days
            .day(&member.user_id, date, RefreshMode::Force)
            .await
            .unwrap();
        assert_ne!(day.meta.sync, SyncOutcome::Done);
    }
    let sent = stage.api_calls().len() - before;
    assert!(sent <= 20, "{sent} calls for 12 members during an outage");
    stage.world().clear_faults();

    // The next probe would be due after up to a minute. This statement makes it due now.
    let ledger = "UPDATE whoop_call_budget SET ledger = jsonb_set(ledger, \
                  '{breaker,open,probe_at}', to_jsonb(now()))";
    stage.sql.batch_execute(ledger).await.unwrap();
    let engine = stage.another_engine();
    // The first call is the probe. Calls at the same time as the probe are still refused.
    engine
        .days
        .day(&members[2].user_id, date, RefreshMode::Force)
        .await
        .unwrap();
    let day = engine
        .days
        .day(&members[3].user_id, date, RefreshMode::Force)
        .await
        .unwrap();
    assert_eq!(day.meta.sync, SyncOutcome::Done, "{:?}", day.meta.detail);
}

/// A caller with a short maximum wait is deferred after that time, even if a caller with a longer
/// maximum wait is ahead of it in the queue.
#[tokio::test]
async fn a_caller_behind_one_with_a_longer_timeout_is_deferred_after_its_own_timeout() {
    let (stage, _, token) = with_real_limits().await;
    let engine = stage.engine_within(LIMITS);
    calls(&engine, &token, PriorityClass::Interactive, 100).await;
    let patient_context =
        SyncContext::scheduled(None, CancellationToken::new()).with_class(PriorityClass::Backfill);
    let waiting = {
        let (whoop, token) = (engine.quota.whoop_for(&patient_context), token.clone());
        tokio::spawn(async move { whoop.fetch_profile(&token).await.map(drop) })
    };
    tokio::task::yield_now().await;

    let behind = calls(&engine, &token, PriorityClass::Backfill, 3);
    let made = tokio::time::timeout(Duration::from_secs(20), behind).await;

    assert_eq!(made, Ok(0));
    waiting.abort();
}

/// Part of law 7 (the quota is never wasted): an unused permit is given back.
#[tokio::test]
async fn permits_of_cancelled_callers_are_given_back() {
    let (stage, _, token) = with_real_limits().await;
    let engine = stage.engine_within(LIMITS);
    let before = engine.quota.remaining_quota().await.unwrap().minute;
    let version = async || -> i64 {
        let sql = "SELECT version FROM whoop_call_budget";
        stage.sql.query_one(sql, &[]).await.unwrap().get(0)
    };
    let first = version().await;
    let lock = "BEGIN; LOCK TABLE whoop_call_budget IN EXCLUSIVE MODE";
    stage.sql.batch_execute(lock).await.unwrap();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let whoop = engine.quota.whoop_for(&SyncContext::interactive());
            let token = token.clone();
            tokio::spawn(async move { whoop.fetch_profile(&token).await.map(drop) })
        })
        .collect();
    let waits = "SELECT 1 FROM pg_locks WHERE NOT granted \
                 AND relation = 'whoop_call_budget'::regclass";
    until("a caller waits for the ledger", async || {
        !stage.sql.query(waits, &[]).await.unwrap().is_empty()
    })
    .await;

    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    stage.sql.batch_execute("COMMIT").await.unwrap();

    until("permits were taken and given back", async || {
        let is_asked = version().await >= first + 2;
        is_asked && engine.quota.remaining_quota().await.unwrap().minute == before
    })
    .await;
}
