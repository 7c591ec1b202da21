//! The tables' checks and `Record::check` are twins: what one refuses the
//! other refuses, so that neither can drift from the other unseen.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use whoop_core::{
    UserId,
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::{Connection, table::RecordTable};

use crate::stand::{self, Stand, connect, store};

const LONGEST: f64 = 8_640_000_000.0;

/// `{"score": {"strain": 3}}` out of `score.strain` and 3.
fn nested(field: &str, value: Value) -> Value {
    let steps = field.rsplit('.');
    steps.fold(value, |inner, step| json!({step: inner}))
}

/// Stores one record with one value, unchecked, and asks both for their verdict.
async fn verdicts<R: RecordTable>(
    conn: &mut Connection,
    member: &UserId,
    record: R,
) -> (bool, bool) {
    let core = record.check().is_ok();
    let stored = store(conn, member, &[record]).await;
    (core, stored.rejected == 0)
}

async fn assert_agree(
    conn: &mut Connection,
    member: &UserId,
    number: i64,
    (data_type, field): (&str, &str),
    value: &Value,
) {
    // Each value is a record of its own, so that none is an older version.
    let id = number.to_string();
    let fields = nested(field, value.clone());
    let (core, sql) = match data_type {
        "cycle" => verdicts::<Cycle>(conn, member, stand::cycle(number, fields)).await,
        "recovery" => {
            verdicts::<Recovery>(conn, member, stand::recovery(number, "a", fields)).await
        }
        "sleep" => verdicts::<Sleep>(conn, member, stand::sleep(&id, 1, fields)).await,
        _ => verdicts::<Workout>(conn, member, stand::workout(&id, fields)).await,
    };
    assert_eq!(
        core, sql,
        "{data_type}.{field} = {value}: core admits {core}, PostgreSQL {sql}"
    );
}

/// Values at the edges of a range of floats, and just past them.
fn around(low: f64, high: f64) -> Vec<Value> {
    let mut values = vec![low, f64::next_down(low), low - 1.0, high];
    if high < f64::MAX {
        values.extend([f64::next_up(high), high + 1.0, f64::MAX]);
    }
    values.into_iter().map(Value::from).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "literals below 2^53")]
fn whole_around(low: f64, high: Option<f64>) -> Vec<Value> {
    let low = low as i64;
    let mut values = vec![low, low - 1, i64::MIN];
    match high {
        Some(high) => values.extend([high as i64, high as i64 + 1, i64::MAX]),
        None => values.push(i64::MAX),
    }
    values.into_iter().map(Value::from).collect()
}

fn every_value() -> Vec<(&'static str, String, Vec<Value>)> {
    let mut all = Vec::new();
    let mut add = |data_type, field: &str, values| all.push((data_type, field.to_owned(), values));
    for data_type in ["cycle", "workout"] {
        add(data_type, "score.strain", around(0.0, 21.0));
        add(data_type, "score.kilojoule", around(0.0, f64::MAX));
        add(data_type, "score.average_heart_rate", around(0.0, 300.0));
        add(data_type, "score.max_heart_rate", around(0.0, 300.0));
    }
    add("cycle", "step_count", whole_around(0.0, None));
    add("workout", "score.percent_recorded", around(0.0, 100.0));
    add("workout", "score.distance_meter", around(0.0, f64::MAX));
    add(
        "workout",
        "score.altitude_gain_meter",
        around(-1.0e9, 1.0e9),
    );
    add(
        "workout",
        "score.altitude_change_meter",
        around(-1.0e9, 1.0e9),
    );
    for zone in ["zero", "one", "two", "three", "four", "five"] {
        let field = format!("score.zone_durations.zone_{zone}_milli");
        add("workout", &field, whole_around(0.0, None));
    }
    add("recovery", "score.recovery_score", around(0.0, 100.0));
    add("recovery", "score.resting_heart_rate", around(0.0, 300.0));
    add("recovery", "score.hrv_rmssd_milli", around(0.0, 1000.0));
    add("recovery", "score.spo2_percentage", around(0.0, 100.0));
    add("recovery", "score.skin_temp_celsius", around(-50.0, 100.0));
    for field in [
        "respiratory_rate",
        "sleep_performance_percentage",
        "sleep_consistency_percentage",
        "sleep_efficiency_percentage",
    ] {
        add("sleep", &format!("score.{field}"), around(0.0, 100.0));
    }
    for stage in [
        "in_bed",
        "awake",
        "no_data",
        "light_sleep",
        "slow_wave_sleep",
        "rem_sleep",
    ] {
        let field = format!("score.stage_summary.total_{stage}_time_milli");
        add("sleep", &field, whole_around(0.0, Some(LONGEST)));
    }
    for count in ["sleep_cycle_count", "disturbance_count"] {
        let field = format!("score.stage_summary.{count}");
        add("sleep", &field, whole_around(0.0, None));
    }
    add(
        "sleep",
        "score.sleep_needed.baseline_milli",
        whole_around(0.0, Some(LONGEST)),
    );
    for part in ["sleep_debt", "recent_strain", "recent_nap"] {
        let field = format!("score.sleep_needed.need_from_{part}_milli");
        add("sleep", &field, whole_around(-LONGEST, Some(LONGEST)));
    }
    for data_type in ["cycle", "recovery", "sleep", "workout"] {
        let words = ["", "x", &"ü".repeat(200), &"ü".repeat(201)];
        add(data_type, "score_state", words.map(Value::from).to_vec());
    }
    for data_type in ["cycle", "sleep", "workout"] {
        let start = if data_type == "workout" {
            "2026-05-02T17:00:00"
        } else {
            "2026-05-01T22:00:00"
        };
        let before = if data_type == "workout" {
            "2026-05-02T16:59:59"
        } else {
            "2026-05-01T21:59:59"
        };
        let ends = [
            format!("{start}.000Z"),
            format!("{start}.001Z"),
            format!("{before}.999Z"),
        ];
        add(data_type, "end", ends.map(Value::from).to_vec());
        let offsets = [
            "Z",
            "z",
            "+00:00",
            "-12:00",
            "+14:00",
            "+05:45",
            "+18:59",
            "",
            "+19:00",
            "+99:00",
            "+02:60",
            "+2:00",
            "02:00",
            " +02:00",
            "+02:00 ",
            "+02:00\n",
            "\n+02:00",
            "Zz",
            "CET",
            "+٠٢:٠٠",
            "−02:00",
        ];
        add(
            data_type,
            "timezone_offset",
            offsets.map(Value::from).to_vec(),
        );
    }
    all
}

#[tokio::test]
async fn what_a_record_check_refuses_a_table_check_refuses_and_nothing_else() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;

    for (number, (data_type, field, values)) in every_value().into_iter().enumerate() {
        let member = connect(&mut conn, &format!("member {number}")).await;
        for (id, value) in (1..).zip(values) {
            assert_agree(&mut conn, &member, id, (data_type, &field), &value).await;
        }
    }

    // Every check of the four tables has refused something by now, so none is
    // without its twin. What core cannot even express cannot be tried.
    let refusals = stand
        .rows("SELECT DISTINCT reason FROM whoop_rejected_record")
        .await;
    let refusals: Vec<String> = refusals
        .into_iter()
        .filter_map(|mut row| row.remove(0))
        .collect();
    let checks = stand
        .rows(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid IN (
                 'whoop_cycle'::regclass, 'whoop_recovery'::regclass,
                 'whoop_sleep'::regclass, 'whoop_workout'::regclass)",
        )
        .await;
    let untried: BTreeSet<String> = checks
        .into_iter()
        .filter_map(|mut row| row.remove(0))
        .filter(|name| !name.ends_with("_extra_check"))
        .filter(|name| name != "whoop_recovery_timezone_offset_check")
        .filter(|name| {
            !refusals
                .iter()
                .any(|reason| reason.contains(&format!("\"{name}\"")))
        })
        .collect();
    assert!(untried.is_empty(), "{untried:?}");
}
