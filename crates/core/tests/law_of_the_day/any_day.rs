//! Properties that every day has, tested with generated records.

use proptest::prelude::*;
use serde_json::Value;
use whoop_core::{
    SleepId,
    day::{DayRecords, DaySleep, MissingReason},
};

use super::{cycle, day, recovery, sleep, workout};

/// Returns whether a JSON value contains a number equal to zero at any depth.
fn has_zero(json: &Value) -> bool {
    match json {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.iter().any(has_zero),
        Value::Object(map) => map.values().any(has_zero),
        _ => false,
    }
}

/// Generates a duration in milliseconds that may be absent. No duration is zero.
fn any_duration() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(3_i64..90)
}

fn figure() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(3.0..90.0)
}

fn any_state() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("SCORED".to_owned()),
        1 => Just("PENDING_SCORE".to_owned()),
        1 => Just("UNSCORABLE".to_owned()),
        1 => Just("SOMETHING_ELSE".to_owned()),
    ]
}

fn any_sleep() -> impl Strategy<Value = DaySleep> {
    (
        "[a-d]",
        1_i64..4,
        -6_i64..20,
        1_i64..9,
        any::<[bool; 2]>(),
        any_state(),
        prop::array::uniform8(any_duration()),
    )
        .prop_map(
            |(id, cycle, from, hours, [nap, in_others], state, milli)| DaySleep {
                nap,
                in_others: in_others && !nap,
                score_state: state.into(),
                light_milli: milli[0],
                slow_wave_milli: milli[1],
                rem_milli: milli[2],
                awake_milli: milli[3],
                needed_milli: [milli[4], milli[5], milli[6], milli[7]],
                ..sleep(&id, cycle, from, from + hours)
            },
        )
}

fn any_records() -> impl Strategy<Value = DayRecords> {
    let cycles = (
        1_i64..4,
        -6_i64..20,
        any_state(),
        figure(),
        figure(),
        any::<bool>(),
    )
        .prop_map(|(id, from, state, strain, kilojoule, in_others)| {
            let mut cycle = cycle(id, from);
            cycle.score_state = state.into();
            cycle.strain = strain;
            cycle.kilojoule = kilojoule;
            cycle.in_others = in_others;
            cycle
        });
    let recoveries = (1_i64..4, "[a-d]", any_state(), figure(), any::<bool>()).prop_map(
        |(id, sleep, state, score, in_others)| {
            let mut recovery = recovery(id, &sleep);
            recovery.score_state = state.into();
            recovery.recovery_score = score;
            recovery.in_others = in_others;
            recovery
        },
    );
    let workouts = ("[a-d]", -6_i64..20).prop_map(|(id, from)| workout(&id, from));
    (
        prop::collection::vec(any_sleep(), 0..5),
        prop::collection::vec(cycles, 0..4),
        prop::collection::vec(recoveries, 0..4),
        prop::collection::vec(workouts, 0..4),
    )
        .prop_map(|(mut sleeps, mut cycles, mut recoveries, mut workouts)| {
            // Removes records with the same id, because ids are unique.
            sleeps.sort_by(|one, other| one.id.cmp(&other.id));
            sleeps.dedup_by(|one, other| one.id == other.id);
            cycles.sort_by_key(|one| one.id);
            cycles.dedup_by_key(|one| one.id);
            recoveries.sort_by_key(|one| one.cycle_id);
            recoveries.dedup_by_key(|one| one.cycle_id);
            workouts.sort_by(|one, other| one.id.cmp(&other.id));
            workouts.dedup_by(|one, other| one.id == other.id);
            DayRecords {
                recoveries,
                sleeps,
                cycles,
                workouts,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn absent_is_never_zero(records in any_records()) {
        let day = serde_json::to_value(day(&records)).unwrap();

        prop_assert!(!has_zero(&day), "{}", day);
    }

    #[test]
    fn a_part_has_a_reason_exactly_when_it_has_no_score(records in any_records()) {
        let day = day(&records);

        let scored = [
            ("recovery", day.recovery.as_ref().map(|part| part.state.as_str())),
            ("sleep", day.sleep.as_ref().map(|part| part.state.as_str())),
            ("cycle", day.cycle.as_ref().map(|part| part.state.as_str())),
            ("workouts", day.workouts.first().map(|_| "SCORED")),
        ];
        for (part, state) in scored {
            prop_assert_eq!(state == Some("SCORED"), !day.missing.contains_key(part), "{}", part);
        }
    }

    #[test]
    fn every_record_is_shown_except_a_recovery_without_a_score(records in any_records()) {
        let day = day(&records);

        let others = day.others.unwrap_or_default();
        let night = day.sleep.map_or_else(Vec::new, |sleep| match sleep.parts.len() {
            0 => vec![sleep.id],
            _ => sleep.parts,
        });
        let other_ids = day.naps.iter().chain(&others.sleeps).map(|sleep| sleep.id.clone());
        let mut ids: Vec<SleepId> = night.into_iter().chain(other_ids).collect();
        ids.sort();
        let stored_ids: Vec<SleepId> = records.sleeps.iter().map(|sleep| sleep.id.clone()).collect();
        prop_assert_eq!(ids, stored_ids);
        prop_assert_eq!(usize::from(day.cycle.is_some()) + others.cycles.len(), records.cycles.len());
        prop_assert_eq!(day.workouts.len(), records.workouts.len());
        let shown = usize::from(day.recovery.is_some()) + others.recoveries.len();
        let is_unscored = matches!(
            day.missing.get("recovery"),
            Some(MissingReason::PendingScore | MissingReason::Unscorable)
        );
        prop_assert_eq!(shown + usize::from(is_unscored), records.recoveries.len());
    }

    #[test]
    fn the_order_of_the_records_does_not_matter(records in any_records(), rotation in 0_usize..4) {
        let mut reordered = records.clone();
        reordered.sleeps.reverse();
        reordered.cycles.reverse();
        reordered.recoveries.reverse();
        reordered.workouts.reverse();
        if reordered.sleeps.len() > 1 {
            let by = rotation % reordered.sleeps.len();
            reordered.sleeps.rotate_left(by);
        }

        prop_assert_eq!(day(&records), day(&reordered));
    }
}
