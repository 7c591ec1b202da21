//! Serialization of points in time (instants) in WHOOP's format: UTC with three decimals.
//!
//! Use this module with `#[serde(with = "instant")]`. chrono's default format omits the decimals if
//! the time is a whole second, so the text would differ from the text that WHOOP sent.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// Formats an instant in UTC, for example `2026-09-30T05:21:07.412Z`.
///
/// The text has three decimals, or six if the instant is not a whole number of milliseconds.
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

/// Serialization of an optional instant: the format of the parent module, or `null`.
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
