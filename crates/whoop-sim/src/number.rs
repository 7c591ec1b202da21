//! Numbers in WHOOP's format.

use serde::{Serialize, Serializer};

/// A single-precision value. It is sent with the digits of single precision.
///
/// For example, WHOOP sends `33.841667`, never `33.84166666666667`. It sends whole values without a
/// fraction, such as `1` or `88`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SinglePrecision(f32);

impl SinglePrecision {
    pub(crate) const ZERO: Self = Self(0.0);

    #[expect(
        clippy::cast_possible_truncation,
        reason = "losing digits is what this type is for"
    )]
    pub(crate) fn new(value: f64) -> Self {
        Self(value as f32)
    }

    /// Creates a value rounded to a number of decimals, for values that WHOOP measures coarsely.
    pub(crate) fn rounded(value: f64, decimals: i32) -> Self {
        let factor = 10f64.powi(decimals);
        Self::new((value * factor).round() / factor)
    }
}

impl Serialize for SinglePrecision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            return serializer.serialize_i64(round_to_int(f64::from(self.0)));
        }
        // Formats the f32 with as few digits as possible, then parses the text as an f64, which is
        // sent with the same digits.
        let shortest = self.0.to_string().parse::<f64>();
        serializer.serialize_f64(shortest.unwrap_or_else(|_| f64::from(self.0)))
    }
}

/// Returns the nearest integer. A value out of range gives the limit of `i64`, NaN gives 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded first, and `as` saturates"
)]
pub(crate) fn round_to_int(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_has_the_digits_of_single_precision() {
        let printed = serde_json::to_string(&SinglePrecision::new(33.841_666_666_666_67)).unwrap();
        assert_eq!(printed, "33.841667");
    }

    #[test]
    fn a_whole_float_prints_as_an_integer() {
        assert_eq!(
            serde_json::to_string(&SinglePrecision::new(88.0)).unwrap(),
            "88"
        );
    }
}
