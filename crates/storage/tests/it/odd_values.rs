//! Law 1: a value outside its usual range is stored as WHOOP sends it.

use serde_json::{Value, json};
use whoop_core::{
    UserId,
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::{PooledConnection, page::StoreCounts};

use crate::test_env::{self, TestEnv, connect, store};

/// Builds `{"score": {"strain": 3}}` from `score.strain` and 3.
fn nested(field: &str, value: Value) -> Value {
    let steps = field.rsplit('.');
    steps.fold(value, |inner, step| json!({step: inner}))
}

async fn stored(
    conn: &mut PooledConnection,
    member: &UserId,
    number: i64,
    (data_type, field): (&str, &str),
    value: Value,
) -> StoreCounts {
    let id = number.to_string();
    let fields = nested(field, value);
    match data_type {
        "cycle" => store::<Cycle>(conn, member, &[test_env::cycle(number, fields)]).await,
        "recovery" => {
            store::<Recovery>(conn, member, &[test_env::recovery(number, "a", fields)]).await
        }
        "sleep" => store::<Sleep>(conn, member, &[test_env::sleep(&id, 1, fields)]).await,
        _ => store::<Workout>(conn, member, &[test_env::workout(&id, fields)]).await,
    }
}

#[tokio::test]
async fn a_record_with_any_figure_is_stored() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let floats = [
        ("cycle", "score.strain"),
        ("cycle", "score.kilojoule"),
        ("cycle", "score.average_heart_rate"),
        ("cycle", "score.max_heart_rate"),
        ("recovery", "score.recovery_score"),
        ("recovery", "score.resting_heart_rate"),
        ("recovery", "score.hrv_rmssd_milli"),
        ("recovery", "score.spo2_percentage"),
        ("recovery", "score.skin_temp_celsius"),
        ("sleep", "score.respiratory_rate"),
        ("sleep", "score.sleep_performance_percentage"),
        ("sleep", "score.sleep_consistency_percentage"),
        ("sleep", "score.sleep_efficiency_percentage"),
        ("workout", "score.strain"),
        ("workout", "score.kilojoule"),
        ("workout", "score.average_heart_rate"),
        ("workout", "score.max_heart_rate"),
        ("workout", "score.percent_recorded"),
        ("workout", "score.distance_meter"),
        ("workout", "score.altitude_gain_meter"),
        ("workout", "score.altitude_change_meter"),
    ]
    .map(|field| (field, [json!(-1.5), json!(101.2), json!(1.0e9)]));
    let integers = [
        ("cycle", "step_count"),
        ("sleep", "score.stage_summary.total_in_bed_time_milli"),
        ("sleep", "score.stage_summary.total_awake_time_milli"),
        ("sleep", "score.stage_summary.total_no_data_time_milli"),
        ("sleep", "score.stage_summary.total_light_sleep_time_milli"),
        (
            "sleep",
            "score.stage_summary.total_slow_wave_sleep_time_milli",
        ),
        ("sleep", "score.stage_summary.total_rem_sleep_time_milli"),
        ("sleep", "score.stage_summary.sleep_cycle_count"),
        ("sleep", "score.stage_summary.disturbance_count"),
        ("sleep", "score.sleep_needed.baseline_milli"),
        ("sleep", "score.sleep_needed.need_from_sleep_debt_milli"),
        ("sleep", "score.sleep_needed.need_from_recent_strain_milli"),
        ("sleep", "score.sleep_needed.need_from_recent_nap_milli"),
        ("workout", "score.zone_durations.zone_zero_milli"),
        ("workout", "score.zone_durations.zone_five_milli"),
    ]
    .map(|field| {
        let max = i64::MAX / 4;
        (field, [json!(-1), json!(max), json!(-max)])
    });
    let text = [
        ("cycle", "score_state"),
        ("recovery", "score_state"),
        ("sleep", "score_state"),
        ("workout", "score_state"),
        ("workout", "sport_name"),
        ("cycle", "timezone_offset"),
        ("sleep", "timezone_offset"),
        ("workout", "timezone_offset"),
    ]
    .map(|field| (field, [json!(""), json!("CET"), json!("ü".repeat(1000))]));
    let early = "2026-01-01T00:00:00.000Z";
    let times = ["cycle", "sleep", "workout"].map(|data_type| {
        let ends = [json!(early), json!("2027-01-01T00:00:00Z"), Value::Null];
        ((data_type, "end"), ends)
    });

    let mut number = 0;
    for (field, values) in floats.into_iter().chain(integers).chain(text).chain(times) {
        for value in values {
            number += 1;
            let stored = stored(&mut conn, &member, number, field, value.clone()).await;
            assert_eq!(stored.inserted, 1, "{field:?} = {value}: {stored:?}");
        }
    }
}

#[tokio::test]
async fn the_record_tables_have_no_check_constraints_on_figures() {
    let env = TestEnv::new().await;

    let checks = env
        .rows(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname NOT LIKE '%_extra_check' \
               AND conrelid IN ('whoop_cycle'::regclass, 'whoop_recovery'::regclass, \
                                'whoop_sleep'::regclass, 'whoop_workout'::regclass)",
        )
        .await;

    assert_eq!(checks, Vec::<Vec<Option<String>>>::new());
}

/// Two naps in a real export have an efficiency above 100 %; one of them was entered by hand.
#[tokio::test]
async fn a_nap_with_an_efficiency_over_100_replaces_its_older_version() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let nap = |efficiency: f64, updated_at: &str| {
        let score = json!({"sleep_efficiency_percentage": efficiency});
        test_env::sleep(
            "nap",
            1,
            json!({"nap": true, "score": score, "updated_at": updated_at}),
        )
    };
    store(&mut conn, &member, &[nap(90.5, "2026-05-02T09:00:00.000Z")]).await;

    store(
        &mut conn,
        &member,
        &[nap(101.2, "2026-05-02T10:00:00.000Z")],
    )
    .await;

    let row = env
        .rows("SELECT sleep_efficiency_percentage::text FROM whoop_sleep WHERE id = 'nap'")
        .await;
    assert_eq!(row, [[Some("101.2".to_owned())]]);
}
