//! A sleep or a nap as WHOOP scores it.

use super::{
    Chance,
    person::Physique,
    plan::Span,
    wire::{SleepNeeded, SleepScore, StageSummary},
};
use crate::number::{Float, whole};

/// What the night before and the day ask of this sleep.
pub(crate) struct Need {
    pub(crate) debt_milli: i64,
    pub(crate) nap_milli: i64,
}

/// The kinds of sleep that WHOOP scores differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Night,
    /// One of a member's first nights, which WHOOP cannot compare with nights before.
    FirstNights,
    /// The second main sleep of a cycle.
    LaterPart,
    Nap,
    /// A nap that the member entered in the app.
    EnteredByHand,
}

impl Kind {
    pub(crate) fn is_nap(self) -> bool {
        matches!(self, Self::Nap | Self::EnteredByHand)
    }
}

pub(crate) fn score(
    chance: &mut Chance,
    body: &Physique,
    span: Span,
    kind: Kind,
    need: &Need,
) -> SleepScore {
    let length = (span.end - span.start).num_milliseconds();
    let stages = stages(chance, length, kind.is_nap());
    let asleep = stages.total_light_sleep_time_milli
        + stages.total_slow_wave_sleep_time_milli
        + stages.total_rem_sleep_time_milli;
    let needed = SleepNeeded {
        baseline_milli: body.need_milli,
        need_from_sleep_debt_milli: need.debt_milli,
        need_from_recent_strain_milli: chance.int(20_000, 2_100_000),
        need_from_recent_nap_milli: -need.nap_milli,
    };
    let whole_need = needed.baseline_milli
        + needed.need_from_sleep_debt_milli
        + needed.need_from_recent_strain_milli
        + needed.need_from_recent_nap_milli;
    // A 512th breath a minute is the step that live values have.
    let breaths = (body.respiratory_rate + chance.real(-0.8, 0.8)) * 512.0;
    SleepScore {
        respiratory_rate: Some(Float::new(breaths.round() / 512.0)),
        sleep_performance_percentage: matches!(kind, Kind::Night | Kind::FirstNights)
            .then(|| Float::new((share(asleep, whole_need) * 100.0).round().min(100.0))),
        sleep_consistency_percentage: (kind == Kind::Night)
            .then(|| Float::new(chance.real(48.0, 96.0).round())),
        sleep_efficiency_percentage: Some(Float::new(match kind {
            Kind::EnteredByHand => 100.0 + chance.real(0.0, 1.5),
            _ => share(asleep, stages.total_in_bed_time_milli) * 100.0,
        })),
        stage_summary: stages,
        sleep_needed: needed,
    }
}

/// The stages sum to the time in bed; time without data is not part of it, so that it is
/// shorter than end minus start.
fn stages(chance: &mut Chance, length: i64, nap: bool) -> StageSummary {
    let awake = chance.real(0.03, 0.13);
    let no_data = if chance.odds(0.08) {
        length / 25 / 1_000 * 1_000
    } else {
        0
    };
    let in_bed = length - no_data;
    let part = |share: f64| whole(share * 1e-3 * milli(in_bed)) * 1_000;
    let awake = part(awake);
    let slow_wave = part(chance.real(0.12, 0.25));
    let rem = if nap && in_bed < 3_600_000 {
        0
    } else {
        part(chance.real(0.15, 0.29))
    };
    StageSummary {
        total_in_bed_time_milli: in_bed,
        total_awake_time_milli: awake,
        total_no_data_time_milli: no_data,
        total_light_sleep_time_milli: in_bed - awake - slow_wave - rem,
        total_slow_wave_sleep_time_milli: slow_wave,
        total_rem_sleep_time_milli: rem,
        sleep_cycle_count: in_bed / 5_400_000,
        disturbance_count: chance.int(0, 3) + in_bed / 3_000_000,
    }
}

pub(crate) fn share(part: i64, of: i64) -> f64 {
    milli(part) / milli(of.max(1))
}

/// Exact: no duration here comes near 2^53 milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "durations are far below 2^53 milliseconds"
)]
pub(crate) fn milli(value: i64) -> f64 {
    value as f64
}
