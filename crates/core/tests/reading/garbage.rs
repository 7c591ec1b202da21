//! Tests that parsing handles arbitrary JSON, which WHOOP would not send.

use proptest::prelude::*;
use serde_json::{Value, json};
use whoop_core::record::{Cycle, Record, Recovery, Sleep, Workout};

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("2026-05-05T06:10:00.000Z")),
        Just(json!("+262142-12-31T23:59:60Z")),
        Just(json!("-14:00")),
        Just(json!(i64::MIN)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_measurement_keeps_every_digit(
        hrv in 0.0..=1000.0_f64, strain in 0.0..=21.0_f64, kilojoule in 0.0..=f64::MAX,
    ) {
        let sent = with(&recovery(), "/score/hrv_rmssd_milli", json!(hrv));
        prop_assert_eq!(to_json(&read_json::<Recovery>(&sent).unwrap()), sent);
        let sent = with(&cycle(), "/score/strain", json!(strain));
        let sent = with(&sent, "/score/kilojoule", json!(kilojoule));
        prop_assert_eq!(to_json(&read_json::<Cycle>(&sent).unwrap()), sent);
    }

    #[test]
    fn garbage_is_rejected_or_read_and_never_panics(garbage in any_json()) {
        let text = garbage.to_string();
        for rejected in [
            read_json::<Cycle>(&garbage).err(),
            read_json::<Recovery>(&garbage).err(),
            read_json::<Sleep>(&garbage).err(),
            read_json::<Workout>(&garbage).err(),
        ].into_iter().flatten() {
            prop_assert_eq!(&rejected.raw, &text);
            prop_assert!(!rejected.reason.is_empty());
        }
    }

    #[test]
    fn garbage_in_one_field_is_read_or_rejected_and_never_panics(
        index in any::<prop::sample::Index>(), garbage in any_json(),
    ) {
        fn check<R: Record>(complete: &Value, index: prop::sample::Index, garbage: &Value) {
            let pointers = pointers(complete);
            let index = &pointers[index.index(pointers.len())];
            let sent = with(complete, index, garbage.clone());
            match read_json::<R>(&sent) {
                Ok(record) => assert!(record.validate().is_ok()),
                Err(rejected) => assert_eq!(rejected.raw, sent.to_string()),
            }
        }
        check::<Cycle>(&cycle(), index, &garbage);
        check::<Recovery>(&recovery(), index, &garbage);
        check::<Sleep>(&sleep(), index, &garbage);
        check::<Workout>(&workout(), index, &garbage);
    }
}
