//! The SQL function for the daily summary returns the same values as the day in Rust.

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;
use serde_json::json;
use whoop_core::{
    day::{
        AnswerSource, ConnectionStatus, DanglingReferences, Day, DayContext, DayMeta, SyncOutcome,
        assemble_day,
    },
    plan::{DayQuery, NightState, RefreshMode},
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::day;

use crate::test_env::{self, TestEnv, at, connect, for_any, now, store};

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 5, 2).unwrap()
}

/// Returns an instant of the test date, in half hours after midnight. There are few values, so that
/// some are equal.
fn half_hour(number: i64) -> String {
    whoop_core::instant::to_text(at("2026-05-02T00:00:00Z") + TimeDelta::minutes(30 * number))
}

fn state() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "SCORED",
        "SCORED",
        "PENDING_SCORE",
        "UNSCORABLE",
        "ELSE",
    ])
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop::option::weighted(0.8, 0.0..100.0_f64)
}

fn any_sleep() -> impl Strategy<Value = Sleep> {
    let asleep = prop::option::weighted(0.7, 0..4_i64);
    (0..4_i64, 1..4_i64, 0..20_i64, 1..20_i64, any::<bool>(), (state(), asleep), number()).prop_map(
        |(id, cycle, from, duration, nap, (state, asleep), performance)| {
            let stages = asleep.map(|hours| {
                json!({"total_light_sleep_time_milli": hours * 3_600_000,
                       "total_slow_wave_sleep_time_milli": 7, "total_rem_sleep_time_milli": 0})
            });
            test_env::sleep(
                &format!("s{id}"),
                cycle,
                json!({"start": half_hour(from), "end": half_hour(from + duration), "nap": nap,
                       "score_state": state, "score": {"stage_summary": stages, "sleep_performance_percentage": performance}}),
            )
        },
    )
}

fn any_cycle() -> impl Strategy<Value = Cycle> {
    (
        1..4_i64,
        -20..20_i64,
        state(),
        prop::option::of(0.0..21.0_f64),
        prop::option::of(prop_oneof![Just(0.0), 0.0..100.0_f64]),
        prop::option::of(1..40_i64),
    )
        .prop_map(|(id, from, state, strain, kilojoule, duration)| {
            test_env::cycle(
                id,
                json!({"start": half_hour(from), "end": duration.map(|duration| half_hour(from + duration)),
                       "score_state": state,
                       "score": {"strain": strain, "kilojoule": kilojoule.map(|kj| kj * 150.0)}}),
            )
        })
}

fn any_recovery() -> impl Strategy<Value = Recovery> {
    (1..4_i64, 0..4_i64, state(), number(), number(), number()).prop_map(
        |(cycle, sleep, state, score, hrv, heart_rate)| {
            test_env::recovery(
                cycle,
                &format!("s{sleep}"),
                json!({"score_state": state, "score": {"recovery_score": score,
                       "hrv_rmssd_milli": hrv, "resting_heart_rate": heart_rate}}),
            )
        },
    )
}

fn any_workouts() -> impl Strategy<Value = Vec<Workout>> {
    (0..4_usize).prop_map(|count| {
        (0..count)
            .map(|id| test_env::workout(&format!("w{id}"), json!({})))
            .collect()
    })
}

async fn day_in_rust(env: &TestEnv, member: &whoop_core::UserId) -> Day {
    let conn = env.connection().await;
    let stored = day::read(&conn, member, date(), now()).await.unwrap();
    let query = DayQuery {
        date: date(),
        today: date(),
        offset_seconds: 0,
        now: now(),
        freshness: TimeDelta::minutes(15),
        refresh: RefreshMode::Never,
        forced_read_interval: TimeDelta::zero(),
        night_state: NightState::default(),
        dangling_references: DanglingReferences::default(),
        conserve_quota: false,
        signals: None,
    };
    let meta = DayMeta {
        source: AnswerSource::Database,
        connection: ConnectionStatus::Connected,
        last_synced_at: None,
        stale: false,
        sync: SyncOutcome::Off,
        detail: None,
    };
    let context = DayContext {
        query: &query,
        coverage: &[],
        connection: ConnectionStatus::Connected,
        quota_exhausted: false,
    };
    assemble_day(member.clone(), &stored.records, context, meta)
}

/// Returns the only row of the function, with its eight values as floats.
async fn summary(env: &TestEnv, member: &str) -> Vec<Option<f64>> {
    let sql = format!("SELECT * FROM get_daily_summary('{member}', '{}')", date());
    let mut rows = env.rows(&sql).await;
    assert_eq!(rows.len(), 1);
    let row = rows.remove(0);
    row.into_iter()
        .map(|text| text.map(|text| text.parse().unwrap()))
        .collect()
}

#[test]
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds and counts of a day"
)]
fn the_summary_in_sql_agrees_with_the_day_in_rust() {
    let days = (
        prop::collection::vec(any_sleep(), 0..5),
        prop::collection::vec(any_cycle(), 0..5),
        prop::collection::vec(any_recovery(), 0..5),
        any_workouts(),
    );
    for_any(
        128,
        days,
        async |env, member, (sleeps, cycles, recoveries, workouts)| {
            let mut conn = env.connection().await;
            store(&mut conn, member, &sleeps).await;
            store(&mut conn, member, &cycles).await;
            store(&mut conn, member, &recoveries).await;
            store(&mut conn, member, &workouts).await;

            let summary = summary(env, member.as_str()).await;

            let day = day_in_rust(env, member).await;
            let recovery = day.recovery.as_ref();
            let sleep = day.sleep.as_ref();
            let cycle = day.cycle.as_ref();
            let expected = [
                recovery.and_then(|part| part.score),
                recovery.and_then(|part| part.hrv),
                recovery.and_then(|part| part.rhr),
                sleep.and_then(|part| part.performance),
                sleep
                    .and_then(|part| part.duration_milli)
                    .map(|milli| milli as f64 / 3_600_000.0),
                cycle.and_then(|part| part.strain),
                cycle
                    .and_then(|part| part.kilojoule)
                    .map(|kilojoule| kilojoule / 4.184),
                Some(day.workouts.len() as f64),
            ];
            assert_eq!(summary, expected, "{day:#?}");
            // The value is also the one that the app shows, rounded to kilocalories.
            let shown = cycle
                .and_then(|part| part.calories)
                .map(|calories| calories as f64);
            assert_eq!(summary[6].map(f64::round), shown);
        },
    );
}

#[tokio::test]
async fn there_is_one_row_even_without_data() {
    let env = TestEnv::new().await;
    connect(&mut env.connection().await, "mara").await;

    for member in ["mara", "nobody", ""] {
        let row = summary(&env, member).await;
        assert_eq!(row, [None, None, None, None, None, None, None, Some(0.0)]);
    }
}

#[tokio::test]
async fn a_scored_recovery_is_shown_before_a_pending_one() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let scored = json!({"score": {"recovery_score": 80.0}});
    let pending = json!({"score_state": "PENDING_SCORE"});
    let page = [
        test_env::recovery(5, "a", scored),
        test_env::recovery(6, "b", pending.clone()),
    ];
    store(&mut conn, &member, &page).await;

    assert_eq!(summary(&env, "mara").await[0], Some(80.0));

    // WHOOP withdraws the score.
    let mut rescored = test_env::recovery(5, "a", pending);
    rescored.updated_at += TimeDelta::hours(1);
    store(&mut conn, &member, &[rescored]).await;

    assert_eq!(day_in_rust(&env, &member).await.recovery, None);
    assert_eq!(summary(&env, "mara").await[0], None);
}
