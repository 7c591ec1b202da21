//! A recovery, of a main sleep.

use super::{Chance, person::Physique, wire::RecoveryScore};
use crate::number::Float;

/// `calibrating` is WHOOP's first days with a member: scored, with holes.
pub(crate) fn score(chance: &mut Chance, body: &Physique, calibrating: bool) -> RecoveryScore {
    // One dice for the morning's form, so that the measures agree.
    let form = chance.real(-1.0, 1.0);
    let wobble = chance.real(-0.2, 0.2);
    let known = |value: Float| (!calibrating).then_some(value);
    RecoveryScore {
        user_calibrating: calibrating,
        recovery_score: known(Float::new((56.0 + 42.0 * (form + wobble) / 1.2).round())),
        resting_heart_rate: known(Float::new((body.resting_heart_rate - 5.0 * form).round())),
        hrv_rmssd_milli: known(Float::new(body.hrv_milli * (1.0 + 0.4 * (form - wobble)))),
        spo2_percentage: known(Float::rounded(chance.real(93.1, 98.4), 3))
            .filter(|_| body.has_new_strap),
        skin_temp_celsius: known(Float::new(chance.real(32.6, 35.2)))
            .filter(|_| body.has_new_strap),
    }
}
