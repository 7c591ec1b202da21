//! Tests of law 10 (always a reason, never a guess): a request for a day reads from WHOOP only the
//! data that is missing, and the answer has a reason for each part that is absent.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use chrono::{Days, NaiveDate, TimeDelta};
use whoop_core::{
    DataType,
    day::{AnswerSource, ConnectionStatus, Day, MissingReason, SyncOutcome},
    plan::{LOOK_BACK, RefreshMode},
    quota::QuotaLimits,
};
use whoop_sim::{Fault, FaultKind, SimConfig};

use crate::harness::{Member, Stage, all_missing, half_a_year, history, list_of, now};

fn today() -> NaiveDate {
    now().date_naive()
}

/// Clears the simulator's log of calls, then requests a day.
async fn request_day(stage: &Stage, member: &Member, date: NaiveDate, refresh: RefreshMode) -> Day {
    stage.world().reset_calls();
    let day = stage.engine.days.day(&member.user_id, date, refresh).await;
    day.unwrap()
}

#[tokio::test]
async fn a_stored_day_is_answered_without_a_call() {
    let (stage, member) = Stage::with_member().await;

    for back in [0, 1, 2, 9, 20] {
        let day = request_day(
            &stage,
            &member,
            today() - Days::new(back),
            RefreshMode::Auto,
        )
        .await;

        assert_eq!(stage.world().call_count(), 0, "{back} days ago");
        assert_eq!(day.meta.sync, SyncOutcome::NotNeeded);
        assert_eq!(day.meta.source, AnswerSource::Database);
        assert_eq!(day.meta.connection, ConnectionStatus::Connected);
        assert_eq!(day.meta.last_synced_at, Some(now()));
        assert!(!day.meta.stale);
    }
}

#[tokio::test]
async fn a_day_shows_the_records_that_whoop_has() {
    let (stage, member) = Stage::with_member().await;
    let sleep = stage.newest_before(&member, DataType::Sleep, now() - TimeDelta::days(2));
    let ended_at: chrono::DateTime<chrono::FixedOffset> =
        sleep["end"].as_str().unwrap().parse().unwrap();
    let offset: chrono::FixedOffset = sleep["timezone_offset"].as_str().unwrap().parse().unwrap();
    let date = ended_at.with_timezone(&offset).date_naive();

    let day = request_day(&stage, &member, date, RefreshMode::Auto).await;

    let shown = day.sleep.into_iter().chain(day.naps);
    let same = shown
        .filter(|one| one.id.0 == sleep["id"].as_str().unwrap())
        .count();
    assert_eq!(same, 1);
}

#[tokio::test]
async fn today_is_read_again_after_the_freshness_interval() {
    let (stage, member) = Stage::with_member().await;

    stage.advance(TimeDelta::minutes(14));
    let fresh = request_day(&stage, &member, today(), RefreshMode::Auto).await;
    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(fresh.meta.sync, SyncOutcome::NotNeeded);

    stage.advance(TimeDelta::minutes(2));
    let old = request_day(&stage, &member, today(), RefreshMode::Auto).await;
    let requested: HashSet<String> = stage
        .api_calls()
        .into_iter()
        .map(|call| call.path)
        .collect();
    let lists: HashSet<String> = DataType::ALL
        .into_iter()
        .map(|data_type| list_of(data_type).to_owned())
        .collect();
    assert_eq!(requested, lists);
    assert_eq!(
        stage.world().call_count(),
        4,
        "one call per list, and no other"
    );
    assert_eq!(old.meta.sync, SyncOutcome::Done);
    assert_eq!(old.meta.source, AnswerSource::Whoop);
    assert_eq!(
        old.meta.last_synced_at,
        Some(now() + TimeDelta::minutes(16))
    );
}

#[tokio::test]
async fn a_day_before_yesterday_is_never_read_again() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(5));

    let day = request_day(&stage, &member, today() - Days::new(2), RefreshMode::Auto).await;

    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(day.meta.sync, SyncOutcome::NotNeeded);
}

#[tokio::test]
async fn an_empty_day_inside_the_coverage_is_known_to_be_empty() {
    let stage = Stage::with(SimConfig {
        people: 9,
        ..half_a_year()
    })
    .await;
    let member = stage.connect_person(8).await;
    stage.read_whole_history(&member).await;

    for back in [20, 25, 100, 1_000] {
        let day = request_day(
            &stage,
            &member,
            today() - Days::new(back),
            RefreshMode::Auto,
        )
        .await;

        assert_eq!(stage.world().call_count(), 0, "{back} days ago");
        assert_eq!(all_missing(&day), Some(MissingReason::NotRecorded));
        assert_eq!(day.meta.sync, SyncOutcome::NotNeeded);
        assert!(!day.meta.stale);
    }
}

#[tokio::test]
async fn an_old_day_before_the_coverage_is_read_by_the_backfill_only() {
    let (stage, member) = Stage::with_member().await;

    let day = request_day(&stage, &member, today() - Days::new(60), RefreshMode::Auto).await;

    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(all_missing(&day), Some(MissingReason::NotSynced));
    assert!(day.meta.stale);

    stage.sync(&member, &history(&DataType::ALL)).await;
    let day = request_day(&stage, &member, today() - Days::new(60), RefreshMode::Auto).await;
    assert_ne!(all_missing(&day), Some(MissingReason::NotSynced));
    assert!(!day.meta.stale);
}

#[tokio::test]
async fn a_recent_day_that_was_never_read_is_read_immediately() {
    for back in [0, 1, 5, 17] {
        let (stage, member) = Stage::with_member().await;
        stage.forget(&member).await;

        let date = today() - Days::new(back);
        let day = request_day(&stage, &member, date, RefreshMode::Auto).await;

        assert_eq!(day.meta.sync, SyncOutcome::Done, "{back} days ago");
        assert!(!day.meta.stale);
        assert_ne!(all_missing(&day), Some(MissingReason::NotSynced));
        for data_type in DataType::ALL {
            assert_eq!(stage.list_reads(data_type), 1);
        }
        stage.assert_sync_log_is_correct(&member).await;
        let again = request_day(&stage, &member, date, RefreshMode::Auto).await;
        assert_eq!(stage.world().call_count(), 0);
        assert_eq!(again.sleep, day.sleep);
    }
}

#[tokio::test]
async fn refresh_never_makes_no_call_and_refresh_force_makes_four() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::minutes(40));

    let never = request_day(&stage, &member, today(), RefreshMode::Never).await;
    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(never.meta.sync, SyncOutcome::Off);
    assert!(never.meta.stale);

    for _ in 0..2 {
        let force = request_day(&stage, &member, today(), RefreshMode::Force).await;
        assert_eq!(stage.world().call_count(), 4);
        assert_eq!(force.meta.sync, SyncOutcome::Done);
    }
}

#[tokio::test]
async fn a_forced_read_of_an_old_day_does_not_make_the_present_fresh() {
    let (stage, member) = Stage::with_member().await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    let date = (now() - LOOK_BACK * 3).date_naive();
    let night = stage.newest_before(&member, DataType::Recovery, now() - LOOK_BACK * 3);
    let score = serde_json::json!({"score_state": "SCORED", "score": {"recovery_score": 3.0}});
    stage.advance(TimeDelta::minutes(40));
    stage.change(&member, DataType::Recovery, &night, score);
    let before = stage.log_of(&member, DataType::Recovery).await;

    let day = request_day(&stage, &member, date, RefreshMode::Force).await;

    assert_eq!(day.meta.sync, SyncOutcome::Done);
    assert_eq!(stage.world().call_count(), 4);
    stage.assert_stored_is_truth(&member).await;
    assert_eq!(stage.log_of(&member, DataType::Recovery).await, before);
}

#[tokio::test]
async fn the_four_calls_run_concurrently() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    let late = Duration::from_millis(800);
    stage.world().add_fault(Fault {
        millis: u64::try_from(late.as_millis()).ok(),
        ..Fault::new("*", FaultKind::Latency)
    });

    let started = Instant::now();
    let day = request_day(&stage, &member, today(), RefreshMode::Auto).await;

    assert_eq!(day.meta.sync, SyncOutcome::Done);
    assert_eq!(stage.world().call_count(), 4);
    assert!(started.elapsed() < late * 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_scored_night_is_not_read_again_if_calls_are_scarce() {
    let (stage, member) = Stage::with_member().await;
    let date = stage.latest_day(&member).await;
    for _ in 0..4 {
        request_day(&stage, &member, date, RefreshMode::Force).await;
    }
    stage.advance(TimeDelta::hours(1));
    let spent = 1_000_000 - stage.engine.quota.remaining_quota().await.unwrap().day;
    let engine = stage.engine_within(QuotaLimits {
        per_minute: 1_000,
        per_day: spent + 2,
    });
    let before = stage.api_calls().len();

    let day = engine
        .days
        .day(&member.user_id, date, RefreshMode::Auto)
        .await
        .unwrap();

    let mut requested: Vec<String> = stage.api_calls()[before..]
        .iter()
        .map(|call| call.path.clone())
        .collect();
    requested.sort();
    assert_eq!(
        requested,
        [list_of(DataType::Workout), list_of(DataType::Cycle)]
    );
    assert_eq!(day.meta.sync, SyncOutcome::Done);
    assert!(!day.meta.stale);

    let plenty = stage
        .engine
        .days
        .day(&member.user_id, date, RefreshMode::Auto)
        .await
        .unwrap();
    assert_eq!(plenty.meta.sync, SyncOutcome::Done);
    assert_eq!(stage.api_calls().len() - before, 4);
}

/// If calls are scarce, the recovery is read only after the sleep was read and is known to be
/// scored. This happens within the same request.
#[tokio::test]
async fn a_night_that_was_scored_meanwhile_is_read_completely_even_if_calls_are_scarce() {
    let (stage, member) = Stage::with_member().await;
    let date = stage.latest_day(&member).await;
    for _ in 0..6 {
        request_day(&stage, &member, date, RefreshMode::Force).await;
    }
    for sql in [
        format!("DELETE FROM whoop_recovery WHERE user_id = $1 AND local_date = '{date}'"),
        format!(
            "UPDATE whoop_sleep SET score_state = 'PENDING_SCORE', \
             updated_at = updated_at - interval '1 hour' \
             WHERE user_id = $1 AND local_date = '{date}'"
        ),
    ] {
        assert!(stage.execute(&sql, &member).await > 0);
    }
    stage.advance(TimeDelta::hours(1));
    let spent = 1_000_000 - stage.engine.quota.remaining_quota().await.unwrap().day;
    let engine = stage.engine_within(QuotaLimits {
        per_minute: 1_000,
        per_day: spent + 4,
    });
    stage.world().reset_calls();

    let day = engine
        .days
        .day(&member.user_id, date, RefreshMode::Auto)
        .await
        .unwrap();

    let requested: Vec<String> = stage
        .api_calls()
        .iter()
        .map(|call| call.path.clone())
        .collect();
    assert_eq!(requested.len(), 4);
    assert_eq!(requested.last().unwrap(), list_of(DataType::Recovery));
    assert!(day.recovery.is_some(), "{day:?}");
    assert_eq!(day.meta.sync, SyncOutcome::Done);
    assert!(!day.meta.stale);
}

#[tokio::test]
async fn a_cycle_that_a_night_names_is_not_synced_until_it_is_read() {
    let (stage, member) = Stage::with_member().await;
    let date = stage.latest_day(&member).await;
    // A webhook had caused the service to read the night, five minutes after it had read the
    // cycles.
    stage.advance(TimeDelta::minutes(5));
    let night_came = format!(
        "UPDATE whoop_sleep SET synced_at = '{}' WHERE user_id = $1",
        whoop_core::instant::to_text(now() + TimeDelta::minutes(5))
    );
    stage.execute(&night_came, &member).await;
    let no_cycle = "DELETE FROM whoop_cycle WHERE user_id = $1";
    stage.execute(no_cycle, &member).await;

    let unread = request_day(&stage, &member, date, RefreshMode::Never).await;
    assert_eq!(unread.missing["cycle"], MissingReason::NotSynced);
    assert!(unread.sleep.is_some());

    let day = request_day(&stage, &member, date, RefreshMode::Auto).await;
    assert_eq!(stage.world().call_count(), 1, "the list of cycles");
    assert!(day.cycle.is_some());

    // WHOOP's list was read after the night. If the cycle is still absent, the list is not read a
    // second time.
    stage.execute(no_cycle, &member).await;
    let nothing = request_day(&stage, &member, date, RefreshMode::Auto).await;
    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(nothing.cycle, None);
}
