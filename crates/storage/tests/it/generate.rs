//! Generators for records with any values that WHOOP could send and that can be stored.

use proptest::{option, prelude::*};
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{
        Cycle, CycleScore, Recovery, RecoveryScore, Sleep, SleepNeeded, SleepScore, StageSummary,
        Workout, WorkoutScore, ZoneDurations,
    },
};

use crate::{
    test_env::WHOOP_USER,
    values::{extra, instant, integer, number, offset, span, state, unless_empty, word},
};

const LONGEST_MILLI: i64 = 8_640_000_000;

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
    let specific = (
        any::<i64>(),
        span(),
        option::of(offset()),
        integer(0, i64::MAX),
    );
    (specific, instant(), instant(), state(), score, extra())
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
    let milli = || integer(0, LONGEST_MILLI);
    let stages = (
        (milli(), milli(), milli()),
        (milli(), milli(), milli()),
        integer(0, i64::MAX),
        integer(0, i64::MAX),
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
    let change = || integer(-LONGEST_MILLI, LONGEST_MILLI);
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
    let specific = (
        word(),
        option::of(any::<i64>()),
        option::of(any::<i64>()),
        span(),
        option::of(offset()),
        option::of(any::<bool>()),
    );
    (
        specific,
        instant(),
        instant(),
        state(),
        sleep_score(),
        extra(),
    )
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
            integer(0, i64::MAX),
            integer(0, i64::MAX),
            integer(0, i64::MAX),
            integer(0, i64::MAX),
            integer(0, i64::MAX),
            integer(0, i64::MAX),
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
    let specific = (
        word(),
        option::of(any::<i64>()),
        option::of(any::<i64>()),
        span(),
        option::of(offset()),
        option::of(word()),
    );
    (
        specific,
        instant(),
        instant(),
        state(),
        workout_score(),
        extra(),
    )
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
