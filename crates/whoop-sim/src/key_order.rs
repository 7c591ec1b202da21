//! Prints edited records with WHOOP's order of keys.
//!
//! A map of `serde_json` sorts its keys, but WHOOP does not sort them. If the simulator sorted them
//! too, no test would detect a client that depends on sorted keys.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// The keys that WHOOP is known to send, in an order that fits all data types.
const KEY_ORDER: &[&str] = &[
    "records",
    "next_token",
    "id",
    "cycle_id",
    "sleep_id",
    "v1_id",
    "user_id",
    "created_at",
    "updated_at",
    "start",
    "end",
    "timezone_offset",
    "nap",
    "sport_name",
    "score_state",
    "score",
    "sport_id",
    "step_count",
    "stage_summary",
    "sleep_needed",
    "total_in_bed_time_milli",
    "total_awake_time_milli",
    "total_no_data_time_milli",
    "total_light_sleep_time_milli",
    "total_slow_wave_sleep_time_milli",
    "total_rem_sleep_time_milli",
    "sleep_cycle_count",
    "disturbance_count",
    "baseline_milli",
    "need_from_sleep_debt_milli",
    "need_from_recent_strain_milli",
    "need_from_recent_nap_milli",
    "respiratory_rate",
    "sleep_performance_percentage",
    "sleep_consistency_percentage",
    "sleep_efficiency_percentage",
    "strain",
    "user_calibrating",
    "recovery_score",
    "resting_heart_rate",
    "hrv_rmssd_milli",
    "spo2_percentage",
    "skin_temp_celsius",
    "average_heart_rate",
    "max_heart_rate",
    "kilojoule",
    "percent_recorded",
    "distance_meter",
    "altitude_gain_meter",
    "altitude_change_meter",
    "zone_durations",
    "zone_zero_milli",
    "zone_one_milli",
    "zone_two_milli",
    "zone_three_milli",
    "zone_four_milli",
    "zone_five_milli",
    "email",
    "first_name",
    "last_name",
    "height_meter",
    "weight_kilogram",
];

pub(crate) fn to_ordered_json(value: &Value) -> String {
    serde_json::to_string(&OrderedJson(value)).expect("a JSON value has string keys only")
}

struct OrderedJson<'a>(&'a Value);

impl Serialize for OrderedJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut sorted: Vec<_> = members.iter().collect();
                // The sort is stable: unknown keys come last and keep their order.
                sorted.sort_by_key(|(key, _)| key_rank(key));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, member) in sorted {
                    map.serialize_entry(key, &OrderedJson(member))?;
                }
                map.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(OrderedJson)),
            plain => plain.serialize(serializer),
        }
    }
}

fn key_rank(key: &str) -> usize {
    KEY_ORDER
        .iter()
        .position(|known| *known == key)
        .unwrap_or(KEY_ORDER.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_have_the_order_of_whoops_replies() {
        let value = serde_json::json!({
            "zebra": 1, "sport_id": 0, "end": null, "id": "a", "alpha": [{"start": 2, "id": 1}]
        });
        assert_eq!(
            to_ordered_json(&value),
            r#"{"id":"a","end":null,"sport_id":0,"alpha":[{"id":1,"start":2}],"zebra":1}"#
        );
    }
}
