//! The score of a workout.

use super::{
    SeededRng,
    person::BodyBaseline,
    plan::TimeSpan,
    sleep::to_f64,
    sport::Sport,
    wire::{WorkoutScoreJson, ZoneDurationsJson, ZonesJson},
};
use crate::number::{SinglePrecision, round_to_int};

/// Maximum length of a workout for which WHOOP measures nothing, in milliseconds: one minute.
const MAX_UNMEASURED_MILLI: i64 = 60_000;

/// Values of a workout that add to the score of its cycle.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WorkoutLoad {
    pub(crate) strain: f64,
    pub(crate) kilojoule: f64,
    pub(crate) max_heart_rate: i64,
}

pub(crate) fn score(
    rng: &mut SeededRng,
    body: &BodyBaseline,
    span: TimeSpan,
    sport: Sport,
) -> (WorkoutScoreJson, WorkoutLoad) {
    let length = (span.end - span.start).num_milliseconds();
    if length <= MAX_UNMEASURED_MILLI {
        // Observed at WHOOP: a workout of one minute is scored with zeros.
        let score = WorkoutScoreJson {
            distance_meter: Some(SinglePrecision::ZERO),
            ..WorkoutScoreJson::zero()
        };
        return (score, WorkoutLoad::default());
    }
    let minutes = to_f64(length) / 60_000.0;
    let effort = sport.effort + rng.float_between(-0.06, 0.06);
    let max_heart_rate = to_f64(body.max_heart_rate);
    let average = round_to_int(max_heart_rate * effort);
    let highest = round_to_int(max_heart_rate * (effort + rng.float_between(0.1, 0.18)).min(1.0));
    let load = WorkoutLoad {
        strain: 20.9 * (1.0 - (-minutes * effort.powi(4) / 28.0).exp()),
        kilojoule: minutes * (effort - 0.3).max(0.05) * 95.0 * rng.float_between(0.9, 1.1),
        max_heart_rate: highest,
    };
    let distance = (sport.meters_per_minute > 0.0)
        .then(|| minutes * sport.meters_per_minute * rng.float_between(0.85, 1.15));
    let altitude_gain = distance.map(|meters| meters * rng.float_between(0.001, 0.02));
    let score = WorkoutScoreJson {
        strain: SinglePrecision::new(load.strain),
        average_heart_rate: average,
        max_heart_rate: highest.max(average),
        kilojoule: SinglePrecision::new(load.kilojoule),
        // WHOOP sends a fraction, although its documentation describes values from 0 to 100.
        percent_recorded: SinglePrecision::new(if rng.random_bool(0.4) {
            1.0
        } else {
            1.0 - rng.float_between(0.0, 1.0).powi(8)
        }),
        distance_meter: distance.map(SinglePrecision::new),
        altitude_gain_meter: altitude_gain.map(SinglePrecision::new),
        altitude_change_meter: altitude_gain
            .map(|meters| SinglePrecision::new(meters * rng.float_between(-0.4, 0.4))),
        zone_durations: ZonesJson::Durations(draw_zone_durations(rng, length, effort)),
    };
    (score, load)
}

/// Draws the times in the six heart rate zones, which add up to the length of the workout.
fn draw_zone_durations(rng: &mut SeededRng, length: i64, effort: f64) -> ZoneDurationsJson {
    let centre = ((effort - 0.4) / 0.1).clamp(0.0, 4.5);
    let mut weights = [0.0; 6];
    for (zone, weight) in (0i32..).zip(weights.iter_mut()) {
        let distance_from_centre = (f64::from(zone) - centre).abs();
        *weight = (1.0 - distance_from_centre / 2.5).max(0.0) * rng.float_between(0.7, 1.3);
    }
    let total: f64 = weights.iter().sum::<f64>().max(0.01);
    let mut parts = weights.map(|weight| round_to_int(to_f64(length) * weight / total / 10.0) * 10);
    // The rounding error is added to the longest zone.
    let remainder = length - parts.iter().sum::<i64>();
    if let Some(longest) = parts.iter_mut().max() {
        *longest += remainder;
    }
    let [zero, one, two, three, four, five] = parts;
    ZoneDurationsJson {
        zone_zero_milli: zero,
        zone_one_milli: one,
        zone_two_milli: two,
        zone_three_milli: three,
        zone_four_milli: four,
        zone_five_milli: five,
    }
}
