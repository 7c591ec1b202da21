//! The score of a recovery.

use super::{SeededRng, person::BodyBaseline, wire::RecoveryScoreJson};
use crate::number::SinglePrecision;

/// Draws the score of a recovery. `calibrating` is true in the first days of a member: WHOOP then
/// sends a score without values.
pub(crate) fn score(
    chance: &mut SeededRng,
    body: &BodyBaseline,
    calibrating: bool,
) -> RecoveryScoreJson {
    // All values depend on the same random number, so that they are consistent.
    let form = chance.float_between(-1.0, 1.0);
    let wobble = chance.float_between(-0.2, 0.2);
    let known = |value: SinglePrecision| (!calibrating).then_some(value);
    RecoveryScoreJson {
        user_calibrating: calibrating,
        recovery_score: known(SinglePrecision::new(
            (56.0 + 42.0 * (form + wobble) / 1.2).round(),
        )),
        resting_heart_rate: known(SinglePrecision::new(
            (body.resting_heart_rate - 5.0 * form).round(),
        )),
        hrv_rmssd_milli: known(SinglePrecision::new(
            body.hrv_milli * (1.0 + 0.4 * (form - wobble)),
        )),
        spo2_percentage: known(SinglePrecision::rounded(
            chance.float_between(93.1, 98.4),
            3,
        ))
        .filter(|_| body.has_new_strap),
        skin_temp_celsius: known(SinglePrecision::new(chance.float_between(32.6, 35.2)))
            .filter(|_| body.has_new_strap),
    }
}
