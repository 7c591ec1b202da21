//! Values that cannot be true are named and set aside; those at the edge of
//! what can be are kept.

use serde_json::{Value, json};
use whoop_core::record::{Cycle, Record, Recovery, Sleep, Workout, read};

const LONGEST: i64 = 8_640_000_000;

fn common(start: &str) -> Value {
    json!({
        "user_id": 1, "created_at": "2026-01-02T08:00:00.000Z",
        "updated_at": "2026-01-02T08:00:00.000Z", "score_state": "SCORED",
        "start": start, "end": "2026-01-02T07:00:00.000Z",
    })
}

/// A record that says only what it must, with one field set.
fn record(data_type: &str, field: &str, value: Value) -> Value {
    let mut whole = common("2026-01-01T22:00:00.000Z");
    let needed = match data_type {
        "cycle" => json!({"id": 10}),
        "recovery" => json!({"cycle_id": 10, "sleep_id": "a"}),
        _ => json!({"id": "a"}),
    };
    let fields = whole.as_object_mut().unwrap();
    fields.extend(needed.as_object().unwrap().clone());
    let mut place = fields;
    let steps: Vec<&str> = field.split('.').collect();
    let (last, path) = steps.split_last().unwrap();
    for step in path {
        place = place
            .entry(*step)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .unwrap();
    }
    place.insert((*last).to_owned(), value);
    whole
}

fn rejection(data_type: &str, whole: &Value) -> Option<String> {
    fn of<R: Record>(whole: &Value) -> Option<String> {
        let raw = serde_json::value::to_raw_value(whole).unwrap();
        read::<R>(&raw).err().map(|rejected| rejected.reason)
    }
    match data_type {
        "cycle" => of::<Cycle>(whole),
        "recovery" => of::<Recovery>(whole),
        "sleep" => of::<Sleep>(whole),
        _ => of::<Workout>(whole),
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
fn a_measurement_outside_its_range_is_refused_by_name() {
    let ranges = [
        ("cycle", "score.strain", 0.0, 21.0),
        ("cycle", "score.kilojoule", 0.0, f64::MAX),
        ("cycle", "score.average_heart_rate", 0.0, 300.0),
        ("cycle", "score.max_heart_rate", 0.0, 300.0),
        ("recovery", "score.recovery_score", 0.0, 100.0),
        ("recovery", "score.resting_heart_rate", 0.0, 300.0),
        ("recovery", "score.hrv_rmssd_milli", 0.0, 1000.0),
        ("recovery", "score.spo2_percentage", 0.0, 100.0),
        ("recovery", "score.skin_temp_celsius", -50.0, 100.0),
        ("sleep", "score.respiratory_rate", 0.0, 100.0),
        ("sleep", "score.sleep_performance_percentage", 0.0, 100.0),
        ("sleep", "score.sleep_consistency_percentage", 0.0, 100.0),
        ("sleep", "score.sleep_efficiency_percentage", 0.0, 100.0),
        ("workout", "score.strain", 0.0, 21.0),
        ("workout", "score.kilojoule", 0.0, f64::MAX),
        ("workout", "score.average_heart_rate", 0.0, 300.0),
        ("workout", "score.max_heart_rate", 0.0, 300.0),
        ("workout", "score.percent_recorded", 0.0, 100.0),
        ("workout", "score.distance_meter", 0.0, f64::MAX),
    ];
    for (data_type, field, low, high) in ranges {
        assert_kept(data_type, field, json!(low));
        assert_kept(data_type, field, json!(high));
        assert_refused(data_type, field, json!(f64::next_down(low)));
        if high < f64::MAX {
            assert_refused(data_type, field, json!(f64::next_up(high)));
        }
    }
    // Downhill is no nonsense.
    assert_kept("workout", "score.altitude_change_meter", json!(-812.5));
}

#[test]
fn a_count_or_a_duration_outside_its_range_is_refused_by_name() {
    let stages = "score.stage_summary";
    let need = "score.sleep_needed";
    let zones = "score.zone_durations";
    let ranges = [
        ("cycle", "step_count".to_owned(), 0, i64::MAX),
        (
            "sleep",
            format!("{stages}.total_in_bed_time_milli"),
            0,
            LONGEST,
        ),
        (
            "sleep",
            format!("{stages}.total_awake_time_milli"),
            0,
            LONGEST,
        ),
        (
            "sleep",
            format!("{stages}.total_no_data_time_milli"),
            0,
            LONGEST,
        ),
        (
            "sleep",
            format!("{stages}.total_light_sleep_time_milli"),
            0,
            LONGEST,
        ),
        (
            "sleep",
            format!("{stages}.total_slow_wave_sleep_time_milli"),
            0,
            LONGEST,
        ),
        (
            "sleep",
            format!("{stages}.total_rem_sleep_time_milli"),
            0,
            LONGEST,
        ),
        ("sleep", format!("{stages}.sleep_cycle_count"), 0, i64::MAX),
        ("sleep", format!("{stages}.disturbance_count"), 0, i64::MAX),
        ("sleep", format!("{need}.baseline_milli"), 0, LONGEST),
        (
            "sleep",
            format!("{need}.need_from_sleep_debt_milli"),
            -LONGEST,
            LONGEST,
        ),
        (
            "sleep",
            format!("{need}.need_from_recent_strain_milli"),
            -LONGEST,
            LONGEST,
        ),
        (
            "sleep",
            format!("{need}.need_from_recent_nap_milli"),
            -LONGEST,
            LONGEST,
        ),
        ("workout", format!("{zones}.zone_zero_milli"), 0, i64::MAX),
        ("workout", format!("{zones}.zone_one_milli"), 0, i64::MAX),
        ("workout", format!("{zones}.zone_two_milli"), 0, i64::MAX),
        ("workout", format!("{zones}.zone_three_milli"), 0, i64::MAX),
        ("workout", format!("{zones}.zone_four_milli"), 0, i64::MAX),
        ("workout", format!("{zones}.zone_five_milli"), 0, i64::MAX),
    ];
    for (data_type, field, low, high) in ranges {
        assert_kept(data_type, &field, json!(low));
        assert_kept(data_type, &field, json!(high));
        assert_refused(data_type, &field, json!(low - 1));
        if high < i64::MAX {
            assert_refused(data_type, &field, json!(high + 1));
        }
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
fn an_end_before_its_start_is_refused_and_one_at_its_start_is_not() {
    for data_type in ["cycle", "sleep", "workout"] {
        assert_refused(data_type, "end", json!("2026-01-01T21:59:59.999Z"));
        assert_kept(data_type, "end", json!("2026-01-01T22:00:00.000Z"));
    }
}

#[test]
fn an_offset_that_is_none_is_refused_by_name() {
    for data_type in ["cycle", "sleep", "workout"] {
        for offset in ["+02:00", "-12:00", "+14:00", "+05:45", "Z", "z", "+18:59"] {
            assert_kept(data_type, "timezone_offset", json!(offset));
        }
        for offset in [
            "", "+2:00", "02:00", "+02:60", "+19:00", "CET", "+02:00\n", "\0",
        ] {
            assert_refused(data_type, "timezone_offset", json!(offset));
        }
    }
}

#[test]
fn a_word_must_fit_its_column() {
    let words = [
        ("sleep", "id"),
        ("workout", "id"),
        ("recovery", "sleep_id"),
        ("workout", "sport_name"),
        ("cycle", "score_state"),
        ("recovery", "score_state"),
        ("sleep", "score_state"),
        ("workout", "score_state"),
    ];
    for (data_type, field) in words {
        assert_kept(data_type, field, json!("ü".repeat(200)));
        assert_refused(data_type, field, json!("ü".repeat(201)));
        assert_refused(data_type, field, json!(""));
        assert_refused(data_type, field, json!("a\0b"));
    }
}

#[test]
fn a_nul_in_a_field_that_whoop_added_is_refused_however_deep() {
    let places = [
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
    for (data_type, place) in places {
        for nul in [json!("\0"), json!([["x\0"]]), json!({"a": {"b\0": 1}})] {
            let whole = record(data_type, place, nul);
            let reason = rejection(data_type, &whole).unwrap();
            assert!(
                reason.starts_with("extra: "),
                "{data_type}.{place}: {reason}"
            );
        }
        assert_kept(data_type, place, json!({"a": ["\u{1}", "\u{ffff}"]}));
    }
}
