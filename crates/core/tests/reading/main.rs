//! Tests of parsing WHOOP's JSON: lenient where WHOOP deviates from its documentation, and strict
//! if a wrong value would otherwise be stored.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod garbage;
mod lenient;
mod validation;

use serde_json::{Value, json, value::RawValue};
use whoop_core::record::{Record, RejectedRecord, parse_record};

fn raw(json: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(json).unwrap()
}

fn read_json<R: Record>(json: &Value) -> Result<R, RejectedRecord> {
    parse_record(&raw(json))
}

fn to_json<R: Record>(record: &R) -> Value {
    serde_json::to_value(record).unwrap()
}

fn cycle() -> Value {
    json!({
        "id": 2_400_000_017_i64, "user_id": 4711,
        "created_at": "2026-05-04T21:10:00.250Z", "updated_at": "2026-05-05T20:01:02.003Z",
        "start": "2026-05-04T21:03:11.480Z", "end": "2026-05-05T20:47:00.000Z",
        "timezone_offset": "+02:00", "score_state": "SCORED", "step_count": 8123,
        "score": {"strain": 11.73, "kilojoule": 9321.5, "average_heart_rate": 71.0, "max_heart_rate": 154.0},
    })
}

fn recovery() -> Value {
    json!({
        "cycle_id": 2_400_000_017_i64, "sleep_id": "5d1c0a5e-3b8c-4a52-8c77-0f3f6f0d2a11",
        "user_id": 4711, "created_at": "2026-05-05T06:10:00.000Z",
        "updated_at": "2026-05-05T06:10:00.000Z", "score_state": "SCORED",
        "score": {"user_calibrating": false, "recovery_score": 61.0, "resting_heart_rate": 52.0,
                  "hrv_rmssd_milli": 48.192_837, "spo2_percentage": 96.4, "skin_temp_celsius": 33.9},
    })
}

fn sleep() -> Value {
    json!({
        "id": "5d1c0a5e-3b8c-4a52-8c77-0f3f6f0d2a11", "cycle_id": 2_400_000_017_i64, "v1_id": 99_001,
        "user_id": 4711, "created_at": "2026-05-05T05:40:00.000Z",
        "updated_at": "2026-05-05T05:41:00.000Z", "start": "2026-05-04T21:03:11.480Z",
        "end": "2026-05-05T05:12:09.120Z", "timezone_offset": "+02:00", "nap": false,
        "score_state": "SCORED",
        "score": {
            "stage_summary": {
                "total_in_bed_time_milli": 29_337_640, "total_awake_time_milli": 2_137_640,
                "total_no_data_time_milli": 0, "total_light_sleep_time_milli": 14_200_000,
                "total_slow_wave_sleep_time_milli": 6_000_000, "total_rem_sleep_time_milli": 7_000_000,
                "sleep_cycle_count": 5, "disturbance_count": 9,
            },
            "sleep_needed": {
                "baseline_milli": 27_500_000, "need_from_sleep_debt_milli": 1_200_000,
                "need_from_recent_strain_milli": 600_000, "need_from_recent_nap_milli": -900_000,
            },
            "respiratory_rate": 15.234_375, "sleep_performance_percentage": 88.0,
            "sleep_consistency_percentage": 74.0, "sleep_efficiency_percentage": 92.713_81,
        },
    })
}

fn workout() -> Value {
    json!({
        "id": "0b7e6a3c-74b4-4d0e-9f0b-6f0f84f5c0de", "v1_id": null, "user_id": 4711,
        "created_at": "2026-05-05T17:00:00.000Z", "updated_at": "2026-05-05T17:02:00.000Z",
        "start": "2026-05-05T16:00:00.000Z", "end": "2026-05-05T16:52:30.000Z",
        "timezone_offset": "+02:00", "sport_name": "mountain-biking", "score_state": "SCORED",
        "sport_id": 57,
        "score": {
            "strain": 9.012_345, "average_heart_rate": 133.0, "max_heart_rate": 171.0,
            "kilojoule": 1834.25, "percent_recorded": 0.999_995_95, "distance_meter": 17_204.8,
            "altitude_gain_meter": 311.5, "altitude_change_meter": -4.25,
            "zone_durations": {
                "zone_zero_milli": 60_000, "zone_one_milli": 610_000, "zone_two_milli": 1_200_000,
                "zone_three_milli": 900_000, "zone_four_milli": 370_000, "zone_five_milli": 10_000,
            },
        },
    })
}

/// Returns the JSON pointers of all values within a JSON value, except of the JSON value itself.
fn pointers(json: &Value) -> Vec<String> {
    let Value::Object(map) = json else {
        return Vec::new();
    };
    map.iter()
        .flat_map(|(name, inner)| {
            let pointer_here = format!("/{name}");
            let deeper = pointers(inner).into_iter().map({
                let pointer_here = pointer_here.clone();
                move |pointer| pointer_here.clone() + &pointer
            });
            std::iter::once(pointer_here).chain(deeper.collect::<Vec<_>>())
        })
        .collect()
}

fn without(json: &Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut copy = json.clone();
    copy.pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .unwrap()
        .remove(name);
    copy
}

fn with(json: &Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut copy = json.clone();
    copy.pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .unwrap()
        .insert(name.to_owned(), value);
    copy
}
