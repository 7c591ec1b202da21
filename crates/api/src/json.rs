//! JSON in which a whole number has no decimal point, as in JavaScript.
//!
//! Scores are floating-point numbers in WHOOP's API and in the database. JavaScript reads the same
//! number from `82` and from `82.0`, but many typed JSON readers accept only `82` as an integer.

use std::io;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{self, EntityTag, Header as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};
use sha2::{Digest, Sha256};

use crate::cause::ResponseCause;

/// Value of `Cache-Control` with which only the caller may cache the response, and must revalidate
/// it before each use.
const PRIVATE_CACHE_CONTROL: &str = "private, no-cache";

struct PlainNumberFormatter;

/// Limit below which each whole floating-point number represents exactly one integer: 2^53.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

impl Formatter for PlainNumberFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value.fract() == 0.0 && value.abs() < MAX_EXACT_INTEGER {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            return self.write_i64(writer, value as i64);
        }
        // The formatter of serde_json writes the shortest text from which the same floating-point
        // number can be read.
        serde_json::ser::CompactFormatter.write_f64(writer, value)
    }
}

/// Serializes a value to JSON in which whole numbers have no decimal point.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(
        &mut text,
        PlainNumberFormatter,
    ))?;
    Ok(text)
}

/// Returns a JSON response that only the caller may cache. `response` determines its status and
/// headers.
pub(crate) fn respond<T: Serialize>(mut response: HttpResponseBuilder, body: &T) -> HttpResponse {
    match to_vec(body) {
        Ok(text) => response
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, PRIVATE_CACHE_CONTROL))
            .body(text),
        Err(error) => serialization_failure(&error),
    }
}

fn serialization_failure(error: &serde_json::Error) -> HttpResponse {
    let mut response = HttpResponse::InternalServerError().finish();
    let cause = ResponseCause::error("response could not be serialized", error);
    response.extensions_mut().insert(cause);
    response
}

/// Returns a JSON response with an `ETag`, or 304 without a body if the caller already has this
/// version.
///
/// The tag is weak, because the body may be compressed on the way to the caller.
pub(crate) fn respond_unless_cached<T: Serialize>(request: &HttpRequest, body: &T) -> HttpResponse {
    let text = match to_vec(body) {
        Ok(text) => text,
        Err(error) => return serialization_failure(&error),
    };
    let tag = EntityTag::new_weak(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&text)));
    let is_known = matches_etag(request, &tag);
    let mut response = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    response
        .insert_header((header::CACHE_CONTROL, PRIVATE_CACHE_CONTROL))
        .insert_header(header::ETag(tag));
    if is_known {
        return response.finish();
    }
    response.content_type("application/json").body(text)
}

pub(crate) fn matches_etag(request: &HttpRequest, tag: &EntityTag) -> bool {
    // Most requests have no `If-None-Match` header, and nothing has to be parsed.
    if !request.headers().contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    match header::IfNoneMatch::parse(request) {
        Ok(header::IfNoneMatch::Any) => true,
        Ok(header::IfNoneMatch::Items(known_tags)) => {
            known_tags.iter().any(|known| known.weak_eq(tag))
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Serialize) -> String {
        let mut text = Vec::new();
        value
            .serialize(&mut Serializer::with_formatter(
                &mut text,
                PlainNumberFormatter,
            ))
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_are_exact_and_whole_numbers_have_no_decimal_point() {
        assert_eq!(
            text([82.0, -0.5, 31.813_562, 11912.0]),
            "[82,-0.5,31.813562,11912]"
        );
        assert_eq!(text(1e300).parse(), Ok(1e300));
        assert_eq!(text(None::<f64>), "null");
        assert_eq!(text(i64::MAX), "9223372036854775807");
    }
}
