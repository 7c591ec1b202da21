//! Tests that records in every form that WHOOP sends are parsed and written back unchanged.

use serde_json::{Map, Value, json, value::to_raw_value};
use whoop_client::{BodyMeasurement, MemberProfile};
use whoop_core::record::{Cycle, Record, Recovery, Sleep, Workout, parse_record};

/// Asserts that a record is unchanged after it was parsed and written back.
fn assert_survives<R: Record>(sent: Value) {
    let record: R = parse_record(&to_raw_value(&sent).unwrap()).unwrap();
    let written = serde_json::to_value(&record).unwrap();
    assert!(
        is_same(&sent, &written),
        "sent:    {sent}\nwritten: {written}"
    );
}

/// Returns whether two JSON values have the same meaning for WHOOP. An absent field equals null,
/// and 71 equals 71.0.
pub(crate) fn is_same(sent: &Value, written: &Value) -> bool {
    match (sent, written) {
        (Value::Object(sent), Value::Object(written)) => {
            let value_of =
                |map: &Map<String, Value>, key| map.get(key).cloned().unwrap_or_default();
            let mut keys = sent.keys().chain(written.keys());
            keys.all(|key| is_same(&value_of(sent, key), &value_of(written, key)))
        }
        // Whole numbers, such as ids, must be equal in every digit.
        (Value::Number(sent), Value::Number(written)) => {
            sent == written
                || ((sent.is_f64() || written.is_f64()) && sent.as_f64() == written.as_f64())
        }
        _ => sent == written,
    }
}

#[test]
fn a_closed_cycle_with_steps() {
    assert_survives::<Cycle>(json!({
        "id": 2_204_117_650_i64,
        "user_id": 30_551_208,
        "created_at": "2026-11-02T04:48:19.006Z",
        "updated_at": "2026-11-03T06:02:44.870Z",
        "start": "2026-11-01T22:05:41.330Z",
        "end": "2026-11-02T23:17:08.500Z",
        "timezone_offset": "-05:00",
        "score_state": "SCORED",
        "score": {
            "strain": 9.274611,
            "kilojoule": 8120.1865,
            "average_heart_rate": 68,
            "max_heart_rate": 159
        },
        "step_count": 9312
    }));
}

#[test]
fn a_running_cycle_in_every_score_state() {
    for (state, score) in [
        (
            "SCORED",
            json!({"strain": 0.0131, "kilojoule": 402.5, "average_heart_rate": 52, "max_heart_rate": 80}),
        ),
        ("PENDING_SCORE", Value::Null),
        ("UNSCORABLE", Value::Null),
        ("RESCORING_SOON", Value::Null),
    ] {
        assert_survives::<Cycle>(json!({
            "id": 2_205_000_001_i64,
            "user_id": 30_551_208,
            "created_at": "2026-11-03T06:02:44.870Z",
            "updated_at": "2026-11-03T06:02:44.870Z",
            "start": "2026-11-02T23:17:08.500Z",
            "end": null,
            "timezone_offset": "Z",
            "score_state": state,
            "score": score,
            "step_count": null
        }));
    }
}

#[test]
fn a_recovery_scored_calibrating_or_pending() {
    for (state, score) in [
        (
            "SCORED",
            json!({
                "user_calibrating": false,
                "recovery_score": 37,
                "resting_heart_rate": 49,
                "hrv_rmssd_milli": 31.813562,
                "spo2_percentage": 95.4375,
                "skin_temp_celsius": 34.102833
            }),
        ),
        (
            "SCORED",
            json!({
                "user_calibrating": true,
                "recovery_score": null,
                "resting_heart_rate": 61,
                "hrv_rmssd_milli": 22.09071,
                "spo2_percentage": null,
                "skin_temp_celsius": null
            }),
        ),
        ("PENDING_SCORE", Value::Null),
    ] {
        assert_survives::<Recovery>(json!({
            "cycle_id": 2_204_117_650_i64,
            "sleep_id": "b7a90c11-52e4-4d0f-8d6e-90fb1c44a2d7",
            "user_id": 30_551_208,
            "created_at": "2026-11-02T04:48:19.006Z",
            "updated_at": "2026-11-02T04:51:30.615Z",
            "score_state": state,
            "score": score
        }));
    }
}

#[test]
fn a_night_a_nap_and_a_night_without_its_score() {
    let sleep = |nap: bool, state: &str, score: Value| {
        json!({
            "id": "b7a90c11-52e4-4d0f-8d6e-90fb1c44a2d7",
            "cycle_id": 2_204_117_650_i64,
            "v1_id": null,
            "user_id": 30_551_208,
            "created_at": "2026-11-02T04:48:19.006Z",
            "updated_at": "2026-11-02T04:51:30.615Z",
            "start": "2026-11-01T22:05:41.330Z",
            "end": "2026-11-02T04:40:02.000Z",
            "timezone_offset": "+05:45",
            "nap": nap,
            "score_state": state,
            "score": score
        })
    };
    let night = json!({
        "stage_summary": {
            "total_in_bed_time_milli": 23_660_670,
            "total_awake_time_milli": 1_900_210,
            "total_no_data_time_milli": 0,
            "total_light_sleep_time_milli": 11_020_460,
            "total_slow_wave_sleep_time_milli": 4_800_000,
            "total_rem_sleep_time_milli": 5_940_000,
            "sleep_cycle_count": 4,
            "disturbance_count": 7
        },
        "sleep_needed": {
            "baseline_milli": 28_100_777,
            "need_from_sleep_debt_milli": 920_400,
            "need_from_recent_strain_milli": 310_052,
            "need_from_recent_nap_milli": -1_020_000
        },
        "respiratory_rate": 13.769531,
        "sleep_performance_percentage": 77,
        "sleep_consistency_percentage": 64,
        "sleep_efficiency_percentage": 91.96889
    });
    let mut nap = night.clone();
    for unknown in [
        "respiratory_rate",
        "sleep_performance_percentage",
        "sleep_consistency_percentage",
    ] {
        nap[unknown] = Value::Null;
    }

    assert_survives::<Sleep>(sleep(false, "SCORED", night));
    assert_survives::<Sleep>(sleep(true, "SCORED", nap));
    assert_survives::<Sleep>(sleep(false, "PENDING_SCORE", Value::Null));
}

#[test]
fn a_workout_with_and_without_distance_sport_id_and_score() {
    let workout = |sport: &str, sport_id: Value, score: Value| {
        json!({
            "id": "16b2f0d4-7e7a-4a36-9b0c-2d51e8c9aa03",
            "v1_id": null,
            "user_id": 30_551_208,
            "created_at": "2026-11-02T18:20:00.450Z",
            "updated_at": "2026-11-02T18:22:13.099Z",
            "start": "2026-11-02T17:15:30.000Z",
            "end": "2026-11-02T18:19:48.210Z",
            "timezone_offset": "+01:00",
            "sport_name": sport,
            "score_state": if score.is_null() { "UNSCORABLE" } else { "SCORED" },
            "score": score,
            "sport_id": sport_id
        })
    };
    let ride = json!({
        "strain": 12.900417,
        "average_heart_rate": 139,
        "max_heart_rate": 172,
        "kilojoule": 2755.0288,
        "percent_recorded": 0.99999595,
        "distance_meter": 24_310.25,
        "altitude_gain_meter": 188.75,
        "altitude_change_meter": -4.5,
        "zone_durations": {
            "zone_zero_milli": 33_000,
            "zone_one_milli": 402_000,
            "zone_two_milli": 951_210,
            "zone_three_milli": 1_610_000,
            "zone_four_milli": 800_000,
            "zone_five_milli": 62_000
        }
    });
    let mut indoors = ride.clone();
    for unknown in [
        "distance_meter",
        "altitude_gain_meter",
        "altitude_change_meter",
    ] {
        indoors[unknown] = Value::Null;
    }
    indoors["percent_recorded"] = json!(1);

    assert_survives::<Workout>(workout("cycling", json!(1), ride));
    assert_survives::<Workout>(workout("table-tennis", Value::Null, indoors));
    assert_survives::<Workout>(workout("ice_bath", Value::Null, Value::Null));
}

#[test]
fn unknown_fields_are_kept_at_every_depth() {
    assert_survives::<Cycle>(json!({
        "id": 1,
        "user_id": 2,
        "created_at": "2027-01-01T00:00:00.000Z",
        "updated_at": "2027-01-01T00:00:00.123456Z",
        "start": "2027-01-01T00:00:00.000Z",
        "score_state": "SCORED",
        "mood": {"words": ["calm", null], "exact": 9_007_199_254_740_993_i64},
        "score": {"strain": 3.5, "stress": {"high_milli": 60_000}}
    }));
}

#[test]
fn profile_and_body_measurement_are_parsed() {
    let profile = json!({
        "user_id": 30_551_208,
        "email": "ines.park@example.test",
        "first_name": "Ines",
        "last_name": "Park",
        "avatar": "https://example.test/a.png"
    });
    let profile: MemberProfile = serde_json::from_value(profile).unwrap();
    assert_eq!(profile.email.as_deref(), Some("ines.park@example.test"));
    assert_eq!(profile.last_name.as_deref(), Some("Park"));

    let sent = json!({"height_meter": 1.8034, "weight_kilogram": 80.25, "max_heart_rate": 188});
    let body: BodyMeasurement = serde_json::from_value(sent.clone()).unwrap();
    assert!(is_same(&sent, &serde_json::to_value(body).unwrap()));
}
