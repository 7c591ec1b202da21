//! Tests of validation: a record is rejected only if it has no id, no times or no readable
//! structure. A figure outside its usual range is stored.

use serde_json::{Value, json};
use whoop_core::record::{Cycle, Record, Recovery, Sleep, Workout, parse_record};

fn common(start: &str) -> Value {
    json!({
        "user_id": 1, "created_at": "2026-01-02T08:00:00.000Z",
        "updated_at": "2026-01-02T08:00:00.000Z", "score_state": "SCORED",
        "start": start, "end": "2026-01-02T07:00:00.000Z",
    })
}

/// Creates a record with the required fields and one additional field.
fn record(data_type: &str, field: &str, value: Value) -> Value {
    let mut record = common("2026-01-01T22:00:00.000Z");
    let identity = match data_type {
        "cycle" => json!({"id": 10}),
        "recovery" => json!({"cycle_id": 10, "sleep_id": "a"}),
        _ => json!({"id": "a"}),
    };
    let fields = record.as_object_mut().unwrap();
    fields.extend(identity.as_object().unwrap().clone());
    let mut target = fields;
    let steps: Vec<&str> = field.split('.').collect();
    let (last, path) = steps.split_last().unwrap();
    for step in path {
        target = target
            .entry(*step)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .unwrap();
    }
    target.insert((*last).to_owned(), value);
    record
}

fn rejection(data_type: &str, record: &Value) -> Option<String> {
    fn of<R: Record>(record: &Value) -> Option<String> {
        let raw = serde_json::value::to_raw_value(record).unwrap();
        parse_record::<R>(&raw)
            .err()
            .map(|rejected| rejected.reason)
    }
    match data_type {
        "cycle" => of::<Cycle>(record),
        "recovery" => of::<Recovery>(record),
        "sleep" => of::<Sleep>(record),
        _ => of::<Workout>(record),
    }
}

fn assert_kept(data_type: &str, field: &str, value: Value) {
    let rejected = rejection(data_type, &record(data_type, field, value.clone()));
    assert_eq!(rejected, None, "{data_type}.{field} = {value}");
}

fn assert_refused(data_type: &str, field: &str, value: Value) {
    let reason = rejection(data_type, &record(data_type, field, value.clone()))
        .unwrap_or_else(|| panic!("{data_type}.{field} = {value} was kept"));
    assert!(
        reason.starts_with(&format!("{field}: ")),
        "{data_type}.{field} = {value}: {reason}"
    );
}

#[test]
fn a_figure_outside_its_usual_range_is_kept() {
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
        ("workout", "score.percent_recorded"),
        ("workout", "score.distance_meter"),
        ("workout", "score.altitude_change_meter"),
    ];
    for (data_type, field) in floats {
        for value in [-1.0, 101.2, 1.0e9] {
            assert_kept(data_type, field, json!(value));
        }
    }
    let integers = [
        ("cycle", "step_count"),
        ("sleep", "score.stage_summary.total_in_bed_time_milli"),
        ("sleep", "score.stage_summary.total_rem_sleep_time_milli"),
        ("sleep", "score.stage_summary.disturbance_count"),
        ("sleep", "score.sleep_needed.need_from_recent_nap_milli"),
        ("workout", "score.zone_durations.zone_zero_milli"),
    ];
    for (data_type, field) in integers {
        for value in [-1, 8_640_000_001_i64] {
            assert_kept(data_type, field, json!(value));
        }
    }
}

#[test]
fn a_duration_that_cannot_be_summed_is_refused_by_name() {
    for field in [
        "score.stage_summary.total_light_sleep_time_milli",
        "score.stage_summary.total_slow_wave_sleep_time_milli",
        "score.stage_summary.total_rem_sleep_time_milli",
        "score.sleep_needed.baseline_milli",
    ] {
        assert_kept("sleep", field, json!(i64::MAX / 4));
        assert_refused("sleep", field, json!(i64::MAX / 4 + 1));
        assert_refused("sleep", field, json!(i64::MIN));
    }
}

#[test]
fn an_instant_outside_the_calendar_is_refused_by_name() {
    let fields = [
        ("cycle", &["created_at", "updated_at", "start", "end"][..]),
        ("recovery", &["created_at", "updated_at"]),
        ("sleep", &["created_at", "updated_at", "start", "end"]),
        ("workout", &["created_at", "updated_at", "start", "end"]),
    ];
    for (data_type, fields) in fields {
        for field in fields {
            for impossible in ["1969-12-31T23:59:59.999Z", "+10000-01-01T00:00:00Z"] {
                assert_refused(data_type, field, json!(impossible));
            }
            for unreadable in [json!("yesterday"), json!(1_767_225_600), json!({})] {
                assert_refused(data_type, field, unreadable);
            }
        }
        assert_kept(data_type, "created_at", json!("1970-01-01T00:00:00.000Z"));
        assert_kept(data_type, "updated_at", json!("9999-12-31T23:59:59.000Z"));
    }
}

#[test]
fn an_end_before_its_start_and_an_invalid_offset_are_kept() {
    for data_type in ["cycle", "sleep", "workout"] {
        assert_kept(data_type, "end", json!("2026-01-01T21:59:59.999Z"));
        for offset in ["+02:00", "Z", "+18:59", "", "+2:00", "+19:00", "CET"] {
            assert_kept(data_type, "timezone_offset", json!(offset));
        }
        assert_refused(data_type, "timezone_offset", json!("\0"));
    }
}

#[test]
fn an_id_has_1_to_200_characters_and_other_text_may_be_anything_but_nul() {
    for (data_type, field) in [("sleep", "id"), ("workout", "id"), ("recovery", "sleep_id")] {
        assert_kept(data_type, field, json!("ü".repeat(200)));
        assert_refused(data_type, field, json!("ü".repeat(201)));
        assert_refused(data_type, field, json!(""));
        assert_refused(data_type, field, json!("a\0b"));
    }
    for (data_type, field) in [
        ("workout", "sport_name"),
        ("cycle", "score_state"),
        ("recovery", "score_state"),
        ("sleep", "score_state"),
        ("workout", "score_state"),
    ] {
        assert_kept(data_type, field, json!("ü".repeat(1000)));
        assert_kept(data_type, field, json!(""));
        assert_refused(data_type, field, json!("a\0b"));
    }
}

#[test]
fn a_nul_in_an_unknown_field_is_refused_at_every_depth() {
    let fields = [
        ("cycle", "added"),
        ("cycle", "score.added"),
        ("recovery", "added"),
        ("recovery", "score.added"),
        ("sleep", "added"),
        ("sleep", "score.added"),
        ("sleep", "score.stage_summary.added"),
        ("sleep", "score.sleep_needed.added"),
        ("workout", "added"),
        ("workout", "score.added"),
        ("workout", "score.zone_durations.added"),
    ];
    for (data_type, field) in fields {
        for nul in [json!("\0"), json!([["x\0"]]), json!({"a": {"b\0": 1}})] {
            let record = record(data_type, field, nul);
            let reason = rejection(data_type, &record).unwrap();
            assert!(
                reason.starts_with("extra: "),
                "{data_type}.{field}: {reason}"
            );
        }
        assert_kept(data_type, field, json!({"a": ["\u{1}", "\u{ffff}"]}));
    }
}
