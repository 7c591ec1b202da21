//! A workout as WHOOP scores it.

use super::{
    Chance,
    person::Physique,
    plan::Span,
    sleep::milli,
    sport::Sport,
    wire::{WorkoutScore, ZoneDurations, Zones},
};
use crate::number::{Float, whole};

/// WHOOP measures nothing in a workout that is not longer.
const SHORTEST_MEASURED_MILLI: i64 = 60_000;

/// What the cycle's own score takes over from its workouts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) strain: f64,
    pub(crate) kilojoule: f64,
    pub(crate) max_heart_rate: i64,
}

pub(crate) fn score(
    chance: &mut Chance,
    body: &Physique,
    span: Span,
    sport: Sport,
) -> (WorkoutScore, Load) {
    let length = (span.end - span.start).num_milliseconds();
    if length <= SHORTEST_MEASURED_MILLI {
        // Seen live: a workout of a minute is scored, with zeros.
        let score = WorkoutScore {
            distance_meter: Some(Float::ZERO),
            ..WorkoutScore::zero()
        };
        return (score, Load::default());
    }
    let minutes = milli(length) / 60_000.0;
    let effort = sport.effort + chance.real(-0.06, 0.06);
    let heart = milli(body.max_heart_rate);
    let average = whole(heart * effort);
    let highest = whole(heart * (effort + chance.real(0.1, 0.18)).min(1.0));
    let load = Load {
        strain: 20.9 * (1.0 - (-minutes * effort.powi(4) / 28.0).exp()),
        kilojoule: minutes * (effort - 0.3).max(0.05) * 95.0 * chance.real(0.9, 1.1),
        max_heart_rate: highest,
    };
    let distance = (sport.meters_per_minute > 0.0)
        .then(|| minutes * sport.meters_per_minute * chance.real(0.85, 1.15));
    let climb = distance.map(|meters| meters * chance.real(0.001, 0.02));
    let score = WorkoutScore {
        strain: Float::new(load.strain),
        average_heart_rate: average,
        max_heart_rate: highest.max(average),
        kilojoule: Float::new(load.kilojoule),
        // A fraction, whatever the documentation says of 0 to 100.
        percent_recorded: Float::new(if chance.odds(0.4) {
            1.0
        } else {
            1.0 - chance.real(0.0, 1.0).powi(8)
        }),
        distance_meter: distance.map(Float::new),
        altitude_gain_meter: climb.map(Float::new),
        altitude_change_meter: climb.map(|meters| Float::new(meters * chance.real(-0.4, 0.4))),
        zone_durations: Zones::Durations(zones(chance, length, effort)),
    };
    (score, load)
}

/// Time in the six zones; together they are the whole workout.
fn zones(chance: &mut Chance, length: i64, effort: f64) -> ZoneDurations {
    let centre = ((effort - 0.4) / 0.1).clamp(0.0, 4.5);
    let mut weights = [0.0; 6];
    for (zone, weight) in (0i32..).zip(weights.iter_mut()) {
        let away = (f64::from(zone) - centre).abs();
        *weight = (1.0 - away / 2.5).max(0.0) * chance.real(0.7, 1.3);
    }
    let total: f64 = weights.iter().sum::<f64>().max(0.01);
    let mut parts = weights.map(|weight| whole(milli(length) * weight / total / 10.0) * 10);
    // What rounding left over goes to the longest, which can take it.
    let left = length - parts.iter().sum::<i64>();
    if let Some(longest) = parts.iter_mut().max() {
        *longest += left;
    }
    let [zero, one, two, three, four, five] = parts;
    ZoneDurations {
        zone_zero_milli: zero,
        zone_one_milli: one,
        zone_two_milli: two,
        zone_three_milli: three,
        zone_four_milli: four,
        zone_five_milli: five,
    }
}
