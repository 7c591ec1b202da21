//! Lenient parsing of whole numbers.

use serde::{Deserialize, Deserializer, de::Error};

/// Parses a whole number. A number with a decimal point is accepted if its decimals are zero, such
/// as `13.0`.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum LenientNumber {
        Whole(i64),
        Float(f64),
    }
    match Option::<LenientNumber>::deserialize(from)
        .map_err(|_| D::Error::custom("expected a whole number"))?
    {
        None => Ok(None),
        Some(LenientNumber::Whole(number)) => Ok(Some(number)),
        // Below 2^53, every float without decimals represents exactly one integer.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and below 2^53"
        )]
        Some(LenientNumber::Float(float)) if float.fract() == 0.0 && float.abs() < 9.0e15 => {
            Ok(Some(float as i64))
        }
        Some(LenientNumber::Float(float)) => Err(D::Error::custom(format!(
            "expected a whole number, found {float}"
        ))),
    }
}
