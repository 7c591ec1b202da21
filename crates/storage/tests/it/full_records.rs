//! One record of each data type, with every possible field set.

use serde_json::{Value, json};
use whoop_core::record::{Cycle, Recovery, Sleep, Workout};

use crate::test_env::WHOOP_USER;

pub(crate) fn records() -> (Cycle, Recovery, Sleep, Workout) {
    let added = |name: &str| json!({"name": name, "list": [1, 0.1, null, {"deep": "ü🙂"}]});
    let common = json!({
        "user_id": WHOOP_USER, "created_at": "2026-05-02T06:31:00.001Z",
        "updated_at": "2026-05-02T07:02:03.004Z", "start": "2026-05-01T21:58:10.250Z",
        "end": "2026-05-02T06:04:05.750Z", "timezone_offset": "-03:30", "score_state": "SCORED",
        "added": added("top"),
    });
    let with = |specific: Value| {
        let mut record = common.clone();
        record
            .as_object_mut()
            .unwrap()
            .extend(specific.as_object().unwrap().clone());
        record
    };
    let cycle = with(json!({
        "id": 9_007_199_254_740_993_i64, "step_count": 10_457,
        "score": {"strain": 13.370_01, "kilojoule": 10_237.812_5, "average_heart_rate": 67.5,
                  "max_heart_rate": 166.0, "added": added("score")},
    }));
    let mut recovery = with(json!({
        "cycle_id": 9_007_199_254_740_993_i64, "sleep_id": "a-night",
        "score": {"user_calibrating": true, "recovery_score": 57.25, "resting_heart_rate": 51.5,
                  "hrv_rmssd_milli": 31.813_562, "spo2_percentage": 95.625,
                  "skin_temp_celsius": 33.123_456_789, "added": added("score")},
    }));
    for field in ["start", "end", "timezone_offset"] {
        recovery.as_object_mut().unwrap().remove(field);
    }
    let sleep = with(json!({
        "id": "a-night", "cycle_id": 9_007_199_254_740_993_i64, "v1_id": 77_001, "nap": false,
        "score": {
            "stage_summary": {
                "total_in_bed_time_milli": 29_155_501, "total_awake_time_milli": 2_000_002,
                "total_no_data_time_milli": 3, "total_light_sleep_time_milli": 14_000_004,
                "total_slow_wave_sleep_time_milli": 6_000_005, "total_rem_sleep_time_milli": 7_155_006,
                "sleep_cycle_count": 5, "disturbance_count": 11, "added": added("stages"),
            },
            "sleep_needed": {
                "baseline_milli": 27_000_007, "need_from_sleep_debt_milli": 1_000_008,
                "need_from_recent_strain_milli": 500_009, "need_from_recent_nap_milli": -700_010,
                "added": added("need"),
            },
            "respiratory_rate": 14.765_625, "sleep_performance_percentage": 91.0,
            "sleep_consistency_percentage": 72.0, "sleep_efficiency_percentage": 93.141_592_653_589,
            "added": added("score"),
        },
    }));
    let workout = with(json!({
        "id": "a-climb", "v1_id": 77_002, "sport_id": 84, "sport_name": "rock_climbing",
        "score": {
            "strain": 8.642, "average_heart_rate": 121.0, "max_heart_rate": 158.5, "kilojoule": 1511.25,
            "percent_recorded": 0.999_995_95, "distance_meter": 1204.125, "altitude_gain_meter": 88.5,
            "altitude_change_meter": -12.75, "added": added("score"),
            "zone_durations": {
                "zone_zero_milli": 10_001, "zone_one_milli": 20_002, "zone_two_milli": 30_003,
                "zone_three_milli": 40_004, "zone_four_milli": 50_005, "zone_five_milli": 60_006,
                "added": added("zones"),
            },
        },
    }));
    (
        serde_json::from_value(cycle).unwrap(),
        serde_json::from_value(recovery).unwrap(),
        serde_json::from_value(sleep).unwrap(),
        serde_json::from_value(workout).unwrap(),
    )
}
