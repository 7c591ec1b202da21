//! Instants as WHOOP writes them: UTC, always three decimals.
//!
//! chrono's own form drops the decimals of a whole second, so a record would
//! not leave as it came. Use with `#[serde(with = "instant")]`.

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// `2026-09-30T05:21:07.412Z`; six decimals where there really are six.
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

/// The same for an instant that may be absent.
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
