//! The score of a recovery.

use super::{SeededRng, person::BodyBaseline, wire::RecoveryScoreJson};
use crate::number::SinglePrecision;

/// Draws the score of a recovery.
///
/// `calibrating` is true for the first nights of a new member. WHOOP then sends a score without
/// values.
pub(crate) fn score(
    rng: &mut SeededRng,
    body: &BodyBaseline,
    calibrating: bool,
) -> RecoveryScoreJson {
    // The values depend on a common random number, so that they fit together.
    let condition = rng.float_between(-1.0, 1.0);
    let noise = rng.float_between(-0.2, 0.2);
    let unless_calibrating = |value: SinglePrecision| (!calibrating).then_some(value);
    RecoveryScoreJson {
        user_calibrating: calibrating,
        recovery_score: unless_calibrating(SinglePrecision::new(
            (56.0 + 42.0 * (condition + noise) / 1.2).round(),
        )),
        resting_heart_rate: unless_calibrating(SinglePrecision::new(
            (body.resting_heart_rate - 5.0 * condition).round(),
        )),
        hrv_rmssd_milli: unless_calibrating(SinglePrecision::new(
            body.hrv_milli * (1.0 + 0.4 * (condition - noise)),
        )),
        spo2_percentage: unless_calibrating(SinglePrecision::rounded(
            rng.float_between(93.1, 98.4),
            3,
        ))
        .filter(|_| body.has_new_strap),
        skin_temp_celsius: unless_calibrating(SinglePrecision::new(rng.float_between(32.6, 35.2)))
            .filter(|_| body.has_new_strap),
    }
}
