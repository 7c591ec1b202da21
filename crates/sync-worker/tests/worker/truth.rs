//! The simulator's records, and the stored rows that must equal them.
//!
//! The SQL in this file converts the rows to WHOOP's shape independently of the service, so that a
//! field that the service stores in the wrong column is noticed.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use crate::house::House;

const TABLES: [(&str, &str); 4] = [
    ("cycles", CYCLES),
    ("recoveries", RECOVERIES),
    ("sleeps", SLEEPS),
    ("workouts", WORKOUTS),
];

const CYCLES: &str = "
    SELECT jsonb_build_object(
        'id', id::bigint, 'created_at', created_at, 'updated_at', updated_at,
        'start', start_time, 'end', end_time, 'timezone_offset', timezone_offset,
        'score_state', score_state, 'step_count', step_count,
        'score', jsonb_build_object(
            'strain', day_strain, 'kilojoule', kilojoule,
            'average_heart_rate', average_heart_rate, 'max_heart_rate', max_heart_rate),
        'unknown', extra)
    FROM whoop_cycle WHERE user_id = $1";

const RECOVERIES: &str = "
    SELECT jsonb_build_object(
        'cycle_id', cycle_id::bigint, 'sleep_id', sleep_id, 'created_at', created_at,
        'updated_at', updated_at, 'score_state', score_state,
        'score', jsonb_build_object(
            'user_calibrating', user_calibrating, 'recovery_score', recovery_score,
            'resting_heart_rate', resting_heart_rate, 'hrv_rmssd_milli', hrv_rmssd_milli,
            'spo2_percentage', spo2_percentage, 'skin_temp_celsius', skin_temp_celsius),
        'unknown', extra)
    FROM whoop_recovery WHERE user_id = $1";

const SLEEPS: &str = "
    SELECT jsonb_build_object(
        'id', id, 'cycle_id', cycle_id::bigint, 'v1_id', v1_id, 'created_at', created_at,
        'updated_at', updated_at, 'start', start_time, 'end', end_time,
        'timezone_offset', timezone_offset, 'nap', nap, 'score_state', score_state,
        'score', jsonb_build_object(
            'stage_summary', jsonb_build_object(
                'total_in_bed_time_milli', total_in_bed_time_milli,
                'total_awake_time_milli', total_awake_time_milli,
                'total_no_data_time_milli', total_no_data_time_milli,
                'total_light_sleep_time_milli', total_light_sleep_time_milli,
                'total_slow_wave_sleep_time_milli', total_slow_wave_sleep_time_milli,
                'total_rem_sleep_time_milli', total_rem_sleep_time_milli,
                'sleep_cycle_count', sleep_cycle_count,
                'disturbance_count', disturbance_count),
            'sleep_needed', jsonb_build_object(
                'baseline_milli', baseline_milli,
                'need_from_sleep_debt_milli', need_from_sleep_debt_milli,
                'need_from_recent_strain_milli', need_from_recent_strain_milli,
                'need_from_recent_nap_milli', need_from_recent_nap_milli),
            'respiratory_rate', respiratory_rate,
            'sleep_performance_percentage', sleep_performance_percentage,
            'sleep_consistency_percentage', sleep_consistency_percentage,
            'sleep_efficiency_percentage', sleep_efficiency_percentage),
        'unknown', extra)
    FROM whoop_sleep WHERE user_id = $1";

const WORKOUTS: &str = "
    SELECT jsonb_build_object(
        'id', id, 'v1_id', v1_id, 'created_at', created_at, 'updated_at', updated_at,
        'start', start_time, 'end', end_time, 'timezone_offset', timezone_offset,
        'sport_name', sport_name, 'sport_id', sport_id, 'score_state', score_state,
        'score', jsonb_build_object(
            'strain', strain_score, 'average_heart_rate', average_heart_rate,
            'max_heart_rate', max_heart_rate, 'kilojoule', kilojoule,
            'percent_recorded', percent_recorded, 'distance_meter', distance_meter,
            'altitude_gain_meter', altitude_gain_meter,
            'altitude_change_meter', altitude_change_meter,
            'zone_durations', jsonb_build_object(
                'zone_zero_milli', zone_zero_milli, 'zone_one_milli', zone_one_milli,
                'zone_two_milli', zone_two_milli, 'zone_three_milli', zone_three_milli,
                'zone_four_milli', zone_four_milli, 'zone_five_milli', zone_five_milli)),
        'unknown', extra)
    FROM whoop_workout WHERE user_id = $1";

impl House {
    /// Asserts that a member's rows are the simulator's records: all of them, no others, and every
    /// field to the last digit.
    pub(crate) async fn expect_truth(&self, user: &str, whoop_user_id: i64) {
        let truth = self.world().records().truth(whoop_user_id);
        for (list, sql) in TABLES {
            let mut wanted: Vec<Value> = truth[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| {
                    assert_eq!(record["user_id"], whoop_user_id);
                    let mut record = record.clone();
                    record.as_object_mut().unwrap().remove("user_id");
                    plain(&record)
                })
                .collect();
            let client = self.db.client().await;
            let sql = format!("SELECT record::text FROM ({sql}) AS shaped (record)");
            let mut stored: Vec<Value> = client
                .query(&sql, &[&user])
                .await
                .unwrap()
                .iter()
                .map(|row| plain(&serde_json::from_str(row.get(0)).unwrap()))
                .collect();
            wanted.sort_by_key(id);
            stored.sort_by_key(id);

            assert_eq!(
                stored.iter().map(id).collect::<Vec<_>>(),
                wanted.iter().map(id).collect::<Vec<_>>(),
                "the {list} of {user}"
            );
            for (stored, wanted) in stored.iter().zip(&wanted) {
                assert_eq!(stored, wanted, "one of the {list} of {user}");
            }
        }
    }

    /// Returns texts that change whenever a row is written, even with the same values.
    pub(crate) async fn row_versions(&self) -> Vec<String> {
        self.texts(
            "SELECT 'cycle ' || id || ' ' || xmin FROM whoop_cycle UNION ALL
             SELECT 'recovery ' || id || ' ' || xmin FROM whoop_recovery UNION ALL
             SELECT 'sleep ' || id || ' ' || xmin FROM whoop_sleep UNION ALL
             SELECT 'workout ' || id || ' ' || xmin FROM whoop_workout ORDER BY 1",
        )
        .await
    }
}

fn id(record: &Value) -> String {
    match (&record["id"], &record["cycle_id"]) {
        (Value::Null, cycle_id) => cycle_id.to_string(),
        (id, _) => id.to_string(),
    }
}

/// Normalizes a record: null fields are removed, 5.0 becomes 5, and instants have six decimals and
/// a Z.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept: Map<String, Value> = map
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .filter(|(_, value)| match value {
                    Value::Null => false,
                    Value::Object(map) => !map.is_empty(),
                    _ => true,
                })
                .collect();
            Value::Object(kept)
        }
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap();
            if float.fract() == 0.0 {
                Value::from(format!("{float}").parse::<i64>().unwrap())
            } else {
                value.clone()
            }
        }
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => {
                let utc = instant.to_utc();
                utc.to_rfc3339_opts(SecondsFormat::Micros, true).into()
            }
            Err(_) => value.clone(),
        },
        other => other.clone(),
    }
}
