//! Serialization of instants in WHOOP's format: UTC with three decimals.
//!
//! chrono's default format drops the decimals of a whole second, so a record would be written in
//! another form than WHOOP sent it. Use with `#[serde(with = "instant")]`.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// Formats an instant, such as `2026-09-30T05:21:07.412Z`; with six decimals if it has
/// microseconds.
pub fn to_text(instant: DateTime<Utc>) -> String {
    let precision = if instant.nanosecond().is_multiple_of(1_000_000) {
        SecondsFormat::Millis
    } else {
        SecondsFormat::Micros
    };
    instant.to_rfc3339_opts(precision, true)
}

pub fn serialize<S: Serializer>(instant: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&to_text(*instant))
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(from)
}

/// Serialization of an optional instant in the same format.
pub mod option {
    use super::{DateTime, Deserialize, Deserializer, Serializer, Utc, to_text};

    pub fn serialize<S: Serializer>(
        instant: &Option<DateTime<Utc>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => to.serialize_str(&to_text(*instant)),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<DateTime<Utc>>::deserialize(from)
    }
}
