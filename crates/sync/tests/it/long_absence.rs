//! Tests of law 9 (background work yields to the app): after a long absence, the newest days are
//! read first, and a backfill reads the gap afterwards.

use chrono::{DateTime, Days, TimeDelta, Utc};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use whoop_core::{
    DataType,
    coverage::CONFIRM_AFTER,
    day::{MissingReason, SyncOutcome},
    plan::{RefreshMode, Slot},
    quota::{PriorityClass, QuotaLimits},
};
use whoop_sim::SimConfig;
use whoop_storage::table::call_budget;
use whoop_sync::{Engine, MemberOutcome, SyncContext, run::RunTask};

use crate::harness::{
    Member, PLENTY, SilentObserver, Stage, all_missing, context_without_retries, half_a_year,
    history, now, plan, slot, until,
};

/// Maximum number of pages of each list that the first sync after the absence may read.
const PAGES_OF_A_WINDOW: usize = 2;

fn two_years_ago() -> DateTime<Utc> {
    now() - TimeDelta::days(730)
}

/// Creates a member whose whole history was last read two years ago, and another member who
/// connects today.
async fn after_two_years() -> (Stage, Member, Member) {
    let stage = Stage::with(SimConfig {
        days: 900,
        freeze_records: false,
        ..half_a_year()
    })
    .await;
    stage.set_time(two_years_ago() - CONFIRM_AFTER);
    let absent = stage.connect_person(0).await;
    stage.read_whole_history(&absent).await;
    stage.assert_stored_is_truth(&absent).await;
    stage.set_time(now());
    let other = stage.connect_person(1).await;
    stage.world().reset_calls();
    (stage, absent, other)
}

async fn gaps(stage: &Stage, member: &Member) -> usize {
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    let logs = status.types.into_iter().filter_map(|(_, log)| log);
    logs.filter_map(|log| log.coverage())
        .filter(|known| known.earlier.is_some())
        .count()
}

/// Returns the number of calls that the quota ledger has counted for a priority class.
async fn calls_of(engine: &Engine, class: PriorityClass) -> u32 {
    let mut conn = engine.database.get().await.unwrap();
    let current = call_budget::read(&mut conn).await.unwrap();
    let by_class = current.ledger.usage_by_class(current.now);
    by_class[class.index()].1
}

#[tokio::test]
async fn a_sync_after_two_years_reads_two_pages_and_the_backfill_reads_the_gap() {
    let (stage, absent, _) = after_two_years().await;
    let engine = stage.restarted(&stage.engine, PLENTY);
    let before = calls_of(&engine, PriorityClass::Backfill).await;

    let report = stage.sync(&absent, &slot(Slot::Night)).await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    for data_type in DataType::ALL {
        let pages = stage.pages_of(data_type).len();
        assert!(pages <= PAGES_OF_A_WINDOW, "{pages} pages of {data_type}");
    }
    assert_eq!(gaps(&stage, &absent).await, 4);
    stage.assert_sync_log_is_correct(&absent).await;
    assert_eq!(calls_of(&engine, PriorityClass::Backfill).await, before);

    stage.world().reset_calls();
    let backfill = plan(RunTask::Backfill { from: None });
    let run = engine
        .runs
        .run(&backfill, &context_without_retries(), &SilentObserver)
        .await
        .unwrap();

    assert_eq!(run.failed, 0, "{run:?}");
    let calls = u32::try_from(stage.api_calls().len()).unwrap();
    assert!(calls > 4 * 25, "{calls} calls for two years");
    let counted = calls_of(&engine, PriorityClass::Backfill).await - before;
    assert_eq!(counted, calls, "every call of the gap is backfill");
    assert_eq!(gaps(&stage, &absent).await, 0);
    stage.assert_stored_is_truth(&absent).await;
    stage.assert_days_follow_from_whoops_records(&absent).await;
    stage.read_whole_history(&absent).await;
    let status = stage
        .engine
        .operations
        .member_status(&absent.user_id)
        .await
        .unwrap();
    assert!(status.history_complete());
}

#[tokio::test]
async fn a_member_who_connects_again_after_two_years_costs_two_interactive_pages() {
    let (stage, absent, _) = after_two_years().await;

    stage
        .connect(absent.user_id.as_str(), absent.whoop_user_id)
        .await;

    for data_type in DataType::ALL {
        let pages = stage.pages_of(data_type).len();
        assert!(pages <= PAGES_OF_A_WINDOW, "{pages} pages of {data_type}");
    }
    assert_eq!(gaps(&stage, &absent).await, 4);
}

#[tokio::test]
async fn app_requests_of_other_members_are_answered_during_a_backfill() {
    let (stage, absent, other) = after_two_years().await;
    let limits = QuotaLimits {
        per_minute: 60,
        per_day: 10_000,
    };
    stage
        .sql
        .batch_execute("DELETE FROM whoop_call_budget")
        .await
        .unwrap();
    let (run, app) = (stage.engine_within(limits), stage.engine_within(limits));
    let date = stage.latest_day(&other).await;
    let stop = CancellationToken::new();
    let backfill = {
        let (user_id, stop) = (absent.user_id.clone(), stop.clone());
        tokio::spawn(async move {
            let context = SyncContext::scheduled(None, stop);
            run.members
                .sync_member(&user_id, &context, &history(&DataType::ALL))
                .await
        })
    };
    // The backfill member's calls for the newest window and for some of the gap are made. Then the
    // backfill has to wait for a permit.
    until("the gap is being filled", async || {
        calls_of(&app, PriorityClass::Backfill).await > 0
    })
    .await;

    let app_requests = (0..3).map(|_| app.days.day(&other.user_id, date, RefreshMode::Force));
    for day in join_all(app_requests).await {
        let day = day.unwrap();
        assert!(
            matches!(day.meta.sync, SyncOutcome::Done | SyncOutcome::Shared),
            "{:?}",
            day.meta
        );
    }

    stop.cancel();
    let _ = backfill.await.unwrap();
    stage.assert_sync_log_is_correct(&absent).await;
    // An empty ledger begins a new minute window without the calls that were counted so far.
    let minute_passes = "DELETE FROM whoop_call_budget";
    stage.sql.batch_execute(minute_passes).await.unwrap();
    let rest = stage.sync(&absent, &history(&DataType::ALL)).await;
    assert_eq!(rest.outcome, MemberOutcome::Done, "{rest:?}");
    stage.assert_stored_is_truth(&absent).await;
}

#[tokio::test]
async fn a_process_that_is_killed_during_a_backfill_loses_nothing() {
    let (stage, absent, _) = after_two_years().await;
    let engine = stage.another_engine();
    let user_id = absent.user_id.clone();
    let killed = tokio::spawn(async move {
        let context = context_without_retries();
        engine
            .members
            .sync_member(&user_id, &context, &history(&DataType::ALL))
            .await
    });
    until("some of the gap is read", async || {
        stage.pages_of(DataType::Cycle).len() >= 6
    })
    .await;

    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    let lease =
        "UPDATE whoop_users SET lease_until = now() - INTERVAL '1 second' WHERE user_id = $1";
    stage.execute(lease, &absent).await;

    assert_eq!(gaps(&stage, &absent).await, 4);
    stage.assert_sync_log_is_correct(&absent).await;
    let before = stage.api_calls().len();
    stage.sync(&absent, &history(&DataType::ALL)).await;
    stage.assert_stored_is_truth(&absent).await;
    stage.assert_sync_log_is_correct(&absent).await;
    let pages = stage.pages_of(DataType::Cycle).len();
    assert!(
        before > 20 && pages < 45,
        "{before} calls, {pages} pages of cycles"
    );
}

#[tokio::test]
async fn during_a_backfill_older_days_remain_known_and_days_in_the_gap_are_not_synced() {
    let (stage, absent, _) = after_two_years().await;
    let before_absence = two_years_ago().date_naive() - Days::new(40);
    let in_gap = two_years_ago().date_naive() + Days::new(300);
    let request_day = async |date, refresh| {
        stage.world().reset_calls();
        let day = stage.engine.days.day(&absent.user_id, date, refresh).await;
        day.unwrap()
    };

    // These checks are made before the app requests today, and again after that.
    for _ in 0..2 {
        let old = request_day(before_absence, RefreshMode::Auto).await;
        assert!(!old.meta.stale, "{:?}", old.meta);
        assert!(
            old.missing
                .values()
                .all(|why| *why != MissingReason::NotSynced)
        );
        assert_eq!(stage.world().call_count(), 0);
        let unread = request_day(in_gap, RefreshMode::Auto).await;
        assert_eq!(all_missing(&unread), Some(MissingReason::NotSynced));
        assert!(unread.meta.stale);
        let today = request_day(now().date_naive(), RefreshMode::Auto).await;
        assert!(!today.meta.stale, "{:?}", today.meta);
    }
    assert_eq!(gaps(&stage, &absent).await, 4);

    let on_demand = request_day(in_gap, RefreshMode::Force).await;
    assert_eq!(on_demand.meta.sync, SyncOutcome::Done);
    assert!(on_demand.cycle.is_some() && !on_demand.meta.stale);
    assert_eq!(gaps(&stage, &absent).await, 4);
    stage.assert_sync_log_is_correct(&absent).await;

    let ten_days_ago = now().date_naive() - Days::new(10);
    let recent = request_day(ten_days_ago, RefreshMode::Auto).await;
    assert!(!recent.meta.stale && recent.cycle.is_some());
}
