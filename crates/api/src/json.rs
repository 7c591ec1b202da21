//! JSON as JavaScript writes it: a whole number has no decimal point.
//!
//! Scores are floats from WHOOP to the database and stay so; an app that reads
//! `82` gets the same number as from `82.0`, and many typed readers insist on
//! the former.

use std::io;

use actix_web::{HttpResponse, HttpResponseBuilder, http::header};
use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

struct PlainNumbers;

/// Below this every whole float is one integer exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Formatter for PlainNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value.fract() == 0.0 && value.abs() < EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            return self.write_i64(writer, value as i64);
        }
        // serde_json's own: the shortest text that reads back as the same float.
        serde_json::ser::CompactFormatter.write_f64(writer, value)
    }
}

/// A value as such text.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut text, PlainNumbers))?;
    Ok(text)
}

/// A body that nobody but the caller may keep.
pub(crate) fn respond<T: Serialize>(mut response: HttpResponseBuilder, body: &T) -> HttpResponse {
    match to_vec(body) {
        Ok(text) => response
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .body(text),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a body could not be written"
            );
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Serialize) -> String {
        let mut text = Vec::new();
        value
            .serialize(&mut Serializer::with_formatter(&mut text, PlainNumbers))
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_are_written_to_the_last_digit_and_no_further() {
        assert_eq!(
            text([82.0, -0.5, 31.813_562, 11912.0]),
            "[82,-0.5,31.813562,11912]"
        );
        assert_eq!(text(1e300).parse(), Ok(1e300));
        assert_eq!(text(None::<f64>), "null");
        assert_eq!(text(i64::MAX), "9223372036854775807");
    }
}
