//! A cycle's own score: strain and energy from one sleep's onset to the next.

use chrono::{DateTime, Utc};

use super::{Chance, person::Physique, sleep::milli, wire::CycleScore, workout::Load};
use crate::number::{Float, whole};

pub(crate) fn score(
    chance: &mut Chance,
    body: &Physique,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    loads: &[Load],
) -> CycleScore {
    let hours = milli((end - start).num_milliseconds()) / 3_600_000.0;
    let trained: f64 = loads.iter().map(|load| load.strain).sum();
    // Strain does not add up; it crowds towards 21.
    let exertion = hours.min(30.0) * chance.real(0.012, 0.022) + trained * 0.045;
    let burnt: f64 = loads.iter().map(|load| load.kilojoule).sum();
    let highest = loads.iter().map(|load| load.max_heart_rate).max();
    CycleScore {
        strain: Float::new(20.95 * (1.0 - (-exertion).exp())),
        kilojoule: Float::new(hours * body.kilojoule_per_hour + burnt),
        average_heart_rate: whole(body.resting_heart_rate + chance.real(9.0, 19.0)),
        max_heart_rate: highest.unwrap_or(0).max(chance.int(108, 141)),
    }
}
