//! Generators for all kinds of values that a record contains.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{option, prelude::*};
use serde_json::{Map, Value};
use whoop_core::record::{ExtraFields, ScoreState};

/// Generates instants from 1970 to 2100 in microseconds, which is PostgreSQL's precision.
pub(crate) fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (86_400_000_000_i64..4_102_444_800_000_000, any::<bool>()).prop_map(
        |(micros, has_milliseconds)| {
            // WHOOP sends milliseconds.
            let micros = if has_milliseconds {
                micros / 1000 * 1000
            } else {
                micros
            };
            DateTime::from_timestamp_micros(micros).unwrap()
        },
    )
}

/// Generates offsets from −12:00 to +14:00 in steps of 15 minutes, and `Z`.
pub(crate) fn offset() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => (-48_i32..=56).prop_map(|quarters| {
            let sign = if quarters < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", quarters.abs() / 4, quarters.abs() % 4 * 15)
        }),
        1 => Just("Z".to_owned()),
    ]
}

/// Generates any text that a column can store.
fn text() -> BoxedStrategy<String> {
    any::<String>()
        .prop_map(|text| text.replace('\0', "0"))
        .boxed()
}

pub(crate) fn word() -> BoxedStrategy<String> {
    prop_oneof!["[A-Z_]{1,12}", "\\PC{1,200}"].boxed()
}

pub(crate) fn state() -> BoxedStrategy<ScoreState> {
    prop_oneof![
        3 => Just(ScoreState::Scored),
        1 => Just(ScoreState::PendingScore),
        1 => Just(ScoreState::Unscorable),
        1 => word().prop_map(ScoreState::from),
    ]
    .boxed()
}

/// Whether JSONB returns this number as a float. JSON has only one kind of number, so `1e16` comes
/// back as an integer of the same value, and JSONB has no negative zero.
fn is_written_as_a_float(float: f64) -> bool {
    float.is_finite()
        && (float.fract() != 0.0 || float.abs() < 1.0e15 || float.abs() > 1.0e20)
        && (float != 0.0 || float.is_sign_positive())
}

fn unknown() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("a float", |float| is_written_as_a_float(*float))
            .prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Generates unknown fields, which do not collide with known ones.
pub(crate) fn extra() -> BoxedStrategy<ExtraFields> {
    prop_oneof![
        Just(Map::new()),
        prop::collection::btree_map(text().prop_map(|name| format!("x{name}")), unknown(), 1..3)
            .prop_map(|map| map.into_iter().collect()),
    ]
    .boxed()
}

pub(crate) fn number(low: f64, high: f64) -> BoxedStrategy<Option<f64>> {
    option::weighted(0.8, prop_oneof![low..=high, Just(low), Just(high)]).boxed()
}

pub(crate) fn integer(low: i64, high: i64) -> BoxedStrategy<Option<i64>> {
    option::weighted(0.8, prop_oneof![low..=high, Just(low), Just(high)]).boxed()
}

/// Returns `None` for an object without values, which is read back as absent.
pub(crate) fn unless_empty<T: Default + PartialEq>(part: T) -> Option<T> {
    (part != T::default()).then_some(part)
}

pub(crate) fn span() -> BoxedStrategy<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    (instant(), option::weighted(0.8, 0_i64..400_000_000))
        .prop_map(|(start, duration)| {
            (
                start,
                duration.map(|milli| start + TimeDelta::milliseconds(milli)),
            )
        })
        .boxed()
}
