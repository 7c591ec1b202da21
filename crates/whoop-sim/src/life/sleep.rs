//! The score of a sleep or nap.

use super::{
    SeededRng,
    person::BodyBaseline,
    plan::TimeSpan,
    wire::{SleepNeededJson, SleepScoreJson, StageSummaryJson},
};
use crate::number::{SinglePrecision, round_to_int};

/// The two values that change a member's sleep need from day to day: the sleep debt and the naps of
/// the day.
pub(crate) struct SleepNeed {
    pub(crate) debt_milli: i64,
    pub(crate) nap_milli: i64,
}

/// The kinds of sleep that WHOOP scores differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SleepKind {
    Night,
    /// One of a member's first nights, which WHOOP cannot compare with earlier nights.
    FirstNights,
    /// A main sleep of a cycle after the first one, if WHOOP records a night in two parts.
    LaterPart,
    Nap,
    /// A nap that the member entered in WHOOP's app.
    EnteredByHand,
}

impl SleepKind {
    pub(crate) fn is_nap(self) -> bool {
        matches!(self, Self::Nap | Self::EnteredByHand)
    }
}

pub(crate) fn score(
    rng: &mut SeededRng,
    body: &BodyBaseline,
    span: TimeSpan,
    kind: SleepKind,
    need: &SleepNeed,
) -> SleepScoreJson {
    let length = (span.end - span.start).num_milliseconds();
    let stages = draw_stages(rng, length, kind.is_nap());
    let asleep = stages.total_light_sleep_time_milli
        + stages.total_slow_wave_sleep_time_milli
        + stages.total_rem_sleep_time_milli;
    let needed = SleepNeededJson {
        baseline_milli: body.need_milli,
        need_from_sleep_debt_milli: need.debt_milli,
        need_from_recent_strain_milli: rng.int_between(20_000, 2_100_000),
        need_from_recent_nap_milli: -need.nap_milli,
    };
    let total_need = needed.baseline_milli
        + needed.need_from_sleep_debt_milli
        + needed.need_from_recent_strain_milli
        + needed.need_from_recent_nap_milli;
    // WHOOP sends respiratory rates that are multiples of 1/512 breath per minute.
    let breaths = (body.respiratory_rate + rng.float_between(-0.8, 0.8)) * 512.0;
    SleepScoreJson {
        respiratory_rate: Some(SinglePrecision::new(breaths.round() / 512.0)),
        sleep_performance_percentage: matches!(kind, SleepKind::Night | SleepKind::FirstNights)
            .then(|| {
                SinglePrecision::new((fraction(asleep, total_need) * 100.0).round().min(100.0))
            }),
        sleep_consistency_percentage: (kind == SleepKind::Night)
            .then(|| SinglePrecision::new(rng.float_between(48.0, 96.0).round())),
        sleep_efficiency_percentage: Some(SinglePrecision::new(match kind {
            SleepKind::EnteredByHand => 100.0 + rng.float_between(0.0, 1.5),
            _ => fraction(asleep, stages.total_in_bed_time_milli) * 100.0,
        })),
        stage_summary: stages,
        sleep_needed: needed,
    }
}

/// Draws the sleep stages, which add up to the time in bed.
///
/// The time in bed is shorter than the sleep if the strap has no data for a part of the sleep.
fn draw_stages(rng: &mut SeededRng, length: i64, nap: bool) -> StageSummaryJson {
    let awake = rng.float_between(0.03, 0.13);
    let no_data = if rng.random_bool(0.08) {
        length / 25 / 1_000 * 1_000
    } else {
        0
    };
    let in_bed = length - no_data;
    let part = |share: f64| round_to_int(share * 1e-3 * to_f64(in_bed)) * 1_000;
    let awake = part(awake);
    let slow_wave = part(rng.float_between(0.12, 0.25));
    let rem = if nap && in_bed < 3_600_000 {
        0
    } else {
        part(rng.float_between(0.15, 0.29))
    };
    StageSummaryJson {
        total_in_bed_time_milli: in_bed,
        total_awake_time_milli: awake,
        total_no_data_time_milli: no_data,
        total_light_sleep_time_milli: in_bed - awake - slow_wave - rem,
        total_slow_wave_sleep_time_milli: slow_wave,
        total_rem_sleep_time_milli: rem,
        sleep_cycle_count: in_bed / 5_400_000,
        disturbance_count: rng.int_between(0, 3) + in_bed / 3_000_000,
    }
}

pub(crate) fn fraction(part: i64, total: i64) -> f64 {
    to_f64(part) / to_f64(total.max(1))
}

/// Converts a duration in milliseconds without loss, because all durations are far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "durations are far below 2^53 milliseconds"
)]
pub(crate) fn to_f64(value: i64) -> f64 {
    value as f64
}
