//! Records with anything in them that WHOOP could send and the rules admit.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{option, prelude::*};
use serde_json::{Map, Value};
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{
        Cycle, CycleScore, Extra, Recovery, RecoveryScore, ScoreState, Sleep, SleepNeeded,
        SleepScore, StageSummary, Workout, WorkoutScore, ZoneDurations,
    },
};

use crate::stand::WHOOP_USER;

const LONGEST_MILLI: i64 = 8_640_000_000;

/// 1970 to 2100, to the microsecond: PostgreSQL keeps no more.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (86_400_000_000_i64..4_102_444_800_000_000, any::<bool>()).prop_map(|(micros, is_whoops)| {
        // WHOOP sends milliseconds.
        let micros = if is_whoops {
            micros / 1000 * 1000
        } else {
            micros
        };
        DateTime::from_timestamp_micros(micros).unwrap()
    })
}

/// −12:00 to +14:00 by quarter hours, and `Z`.
pub(crate) fn offset() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => (-48_i32..=56).prop_map(|quarters| {
            let sign = if quarters < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", quarters.abs() / 4, quarters.abs() % 4 * 15)
        }),
        1 => Just("Z".to_owned()),
    ]
}

/// Any text that a column holds.
fn text() -> BoxedStrategy<String> {
    any::<String>()
        .prop_map(|text| text.replace('\0', "0"))
        .boxed()
}

fn word() -> BoxedStrategy<String> {
    prop_oneof!["[A-Z_]{1,12}", "\\PC{1,200}"].boxed()
}

fn state() -> BoxedStrategy<ScoreState> {
    prop_oneof![
        3 => Just(ScoreState::Scored),
        1 => Just(ScoreState::PendingScore),
        1 => Just(ScoreState::Unscorable),
        1 => word().prop_map(ScoreState::from),
    ]
    .boxed()
}

/// JSON keeps one kind of number, so `1e16` comes back from JSONB as a whole
/// one, the same in value; and there is no zero below zero.
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

/// Fields of tomorrow; none is one of today's.
fn extra() -> BoxedStrategy<Extra> {
    prop_oneof![
        Just(Map::new()),
        prop::collection::btree_map(text().prop_map(|name| format!("x{name}")), unknown(), 1..3)
            .prop_map(|map| map.into_iter().collect()),
    ]
    .boxed()
}

fn number(low: f64, high: f64) -> BoxedStrategy<Option<f64>> {
    option::weighted(0.8, prop_oneof![low..=high, Just(low), Just(high)]).boxed()
}

fn whole(low: i64, high: i64) -> BoxedStrategy<Option<i64>> {
    option::weighted(0.8, prop_oneof![low..=high, Just(low), Just(high)]).boxed()
}

/// An object of which nothing is left is no object: it reads as absent.
fn unless_empty<T: Default + PartialEq>(part: T) -> Option<T> {
    (part != T::default()).then_some(part)
}

fn span() -> BoxedStrategy<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    (instant(), option::weighted(0.8, 0_i64..400_000_000))
        .prop_map(|(start, lasts)| {
            (
                start,
                lasts.map(|milli| start + TimeDelta::milliseconds(milli)),
            )
        })
        .boxed()
}

pub(crate) fn cycle() -> BoxedStrategy<Cycle> {
    let score = (
        number(0.0, 21.0),
        number(0.0, 1.0e300),
        number(0.0, 300.0),
        number(0.0, 300.0),
        extra(),
    )
        .prop_map(
            |(strain, kilojoule, average_heart_rate, max_heart_rate, extra)| CycleScore {
                strain,
                kilojoule,
                average_heart_rate,
                max_heart_rate,
                extra,
            },
        );
    let own = (
        any::<i64>(),
        span(),
        option::of(offset()),
        whole(0, i64::MAX),
    );
    (own, instant(), instant(), state(), score, extra())
        .prop_map(
            |(
                (id, (start, end), timezone_offset, step_count),
                created_at,
                updated_at,
                state,
                score,
                extra,
            )| {
                Cycle {
                    id: CycleId(id),
                    user_id: WHOOP_USER,
                    created_at,
                    updated_at,
                    start,
                    end,
                    timezone_offset,
                    score_state: state,
                    score: unless_empty(score),
                    step_count,
                    extra,
                }
            },
        )
        .boxed()
}

pub(crate) fn recovery() -> BoxedStrategy<Recovery> {
    let score = (
        option::of(any::<bool>()),
        number(0.0, 100.0),
        number(0.0, 300.0),
        number(0.0, 1000.0),
        number(0.0, 100.0),
        number(-50.0, 100.0),
        extra(),
    )
        .prop_map(
            |(user_calibrating, score, heart_rate, hrv, spo2, skin_temp, extra)| RecoveryScore {
                user_calibrating,
                recovery_score: score,
                resting_heart_rate: heart_rate,
                hrv_rmssd_milli: hrv,
                spo2_percentage: spo2,
                skin_temp_celsius: skin_temp,
                extra,
            },
        );
    (
        any::<i64>(),
        word(),
        instant(),
        instant(),
        state(),
        score,
        extra(),
    )
        .prop_map(
            |(cycle, sleep, created_at, updated_at, state, score, extra)| Recovery {
                cycle_id: CycleId(cycle),
                sleep_id: SleepId(sleep),
                user_id: WHOOP_USER,
                created_at,
                updated_at,
                score_state: state,
                score: unless_empty(score),
                extra,
            },
        )
        .boxed()
}

fn sleep_score() -> BoxedStrategy<SleepScore> {
    let milli = || whole(0, LONGEST_MILLI);
    let stages = (
        (milli(), milli(), milli()),
        (milli(), milli(), milli()),
        whole(0, i64::MAX),
        whole(0, i64::MAX),
        extra(),
    )
        .prop_map(
            |((in_bed, awake, no_data), (light, slow_wave, rem), cycles, disturbances, extra)| {
                StageSummary {
                    total_in_bed_time_milli: in_bed,
                    total_awake_time_milli: awake,
                    total_no_data_time_milli: no_data,
                    total_light_sleep_time_milli: light,
                    total_slow_wave_sleep_time_milli: slow_wave,
                    total_rem_sleep_time_milli: rem,
                    sleep_cycle_count: cycles,
                    disturbance_count: disturbances,
                    extra,
                }
            },
        );
    let change = || whole(-LONGEST_MILLI, LONGEST_MILLI);
    let need = (milli(), change(), change(), change(), extra()).prop_map(
        |(baseline_milli, debt, strain, nap, extra)| SleepNeeded {
            baseline_milli,
            need_from_sleep_debt_milli: debt,
            need_from_recent_strain_milli: strain,
            need_from_recent_nap_milli: nap,
            extra,
        },
    );
    let percentage = || number(0.0, 100.0);
    (
        stages,
        need,
        percentage(),
        percentage(),
        percentage(),
        percentage(),
        extra(),
    )
        .prop_map(
            |(stages, need, respiratory_rate, performance, consistency, efficiency, extra)| {
                SleepScore {
                    stage_summary: unless_empty(stages),
                    sleep_needed: unless_empty(need),
                    respiratory_rate,
                    sleep_performance_percentage: performance,
                    sleep_consistency_percentage: consistency,
                    sleep_efficiency_percentage: efficiency,
                    extra,
                }
            },
        )
        .boxed()
}

pub(crate) fn sleep() -> BoxedStrategy<Sleep> {
    let own = (
        word(),
        option::of(any::<i64>()),
        option::of(any::<i64>()),
        span(),
        option::of(offset()),
        option::of(any::<bool>()),
    );
    (own, instant(), instant(), state(), sleep_score(), extra())
        .prop_map(
            |(
                (id, cycle, v1_id, (start, end), timezone_offset, nap),
                created_at,
                updated_at,
                state,
                score,
                extra,
            )| {
                Sleep {
                    id: SleepId(id),
                    cycle_id: cycle.map(CycleId),
                    v1_id,
                    user_id: WHOOP_USER,
                    created_at,
                    updated_at,
                    start,
                    end,
                    timezone_offset,
                    nap,
                    score_state: state,
                    score: unless_empty(score),
                    extra,
                }
            },
        )
        .boxed()
}

fn workout_score() -> BoxedStrategy<WorkoutScore> {
    let zones = (
        [
            whole(0, i64::MAX),
            whole(0, i64::MAX),
            whole(0, i64::MAX),
            whole(0, i64::MAX),
            whole(0, i64::MAX),
            whole(0, i64::MAX),
        ],
        extra(),
    )
        .prop_map(
            |([zero, one, two, three, four, five], extra)| ZoneDurations {
                zone_zero_milli: zero,
                zone_one_milli: one,
                zone_two_milli: two,
                zone_three_milli: three,
                zone_four_milli: four,
                zone_five_milli: five,
                extra,
            },
        );
    let hearts = (number(0.0, 300.0), number(0.0, 300.0));
    let metres = (
        number(0.0, 1.0e300),
        number(-9.0e9, 9.0e9),
        number(-9.0e9, 9.0e9),
    );
    let effort = (number(0.0, 21.0), number(0.0, 1.0e300), number(0.0, 100.0));
    (effort, hearts, metres, zones, extra())
        .prop_map(
            |(
                (strain, kilojoule, recorded),
                (average, max),
                (distance, gain, change),
                zones,
                extra,
            )| {
                WorkoutScore {
                    strain,
                    average_heart_rate: average,
                    max_heart_rate: max,
                    kilojoule,
                    percent_recorded: recorded,
                    distance_meter: distance,
                    altitude_gain_meter: gain,
                    altitude_change_meter: change,
                    zone_durations: unless_empty(zones),
                    extra,
                }
            },
        )
        .boxed()
}

pub(crate) fn workout() -> BoxedStrategy<Workout> {
    let own = (
        word(),
        option::of(any::<i64>()),
        option::of(any::<i64>()),
        span(),
        option::of(offset()),
        option::of(word()),
    );
    (own, instant(), instant(), state(), workout_score(), extra())
        .prop_map(
            |(
                (id, v1_id, sport_id, (start, end), timezone_offset, sport_name),
                created_at,
                updated_at,
                state,
                score,
                extra,
            )| {
                Workout {
                    id: WorkoutId(id),
                    v1_id,
                    user_id: WHOOP_USER,
                    created_at,
                    updated_at,
                    start,
                    end,
                    timezone_offset,
                    sport_name,
                    score_state: state,
                    score: unless_empty(score),
                    sport_id,
                    extra,
                }
            },
        )
        .boxed()
}
