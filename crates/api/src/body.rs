//! Reads request bodies exactly as they were sent, with a maximum size and a timeout.
//!
//! Compressed bodies are refused instead of decompressed. A few hundred bytes of Brotli can expand
//! to a gigabyte, and a decoder would write this gigabyte to memory before any limit or signature
//! is checked.

use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{
    Error, FromRequest, HttpRequest,
    body::{self, BodyStream, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
    middleware::Next,
    web::Bytes,
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{parameters::shortened, problem::Problem};

/// Maximum time that a caller may take to send a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a request body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 16 * 1024;

/// Extractor for a request body that must be a JSON object. An empty body counts as an empty
/// object.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read_body(payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Self(T::default()));
            }
            // An array is refused here, because serde would deserialize it into a struct, element
            // by element.
            if bytes.trim_ascii_start().first() != Some(&b'{') {
                return Err(Problem::invalid(
                    "invalid-body",
                    "body",
                    "the body is not a JSON object",
                ));
            }
            serde_json::from_slice(&bytes).map(Self).map_err(|error| {
                // The error message repeats unknown field names from the body, which may be long.
                let error = shortened(&error.to_string(), 200);
                Problem::invalid(
                    "invalid-body",
                    "body",
                    format!("the body is not valid for this route: {error}"),
                )
            })
        })
    }
}

/// Reads a request body to its end, and returns exactly the bytes that were sent.
pub(crate) fn read_body(
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    // The extractor `Bytes` of actix-web is not used, because it decompresses the body.
    let stream = BodyStream::new(payload.take());
    async move {
        let bytes = body::to_bytes_limited(stream, MAX_BODY_BYTES);
        match timeout(BODY_TIMEOUT, bytes).await {
            Ok(Ok(Ok(bytes))) => Ok(bytes),
            Ok(Ok(Err(_))) => Err(Problem::invalid(
                "invalid-body",
                "body",
                "the body could not be read completely",
            )),
            Ok(Err(_)) => Err(body_too_large()),
            Err(_) => Err(Problem::invalid(
                "invalid-body",
                "body",
                format!(
                    "the body did not arrive within {} s",
                    BODY_TIMEOUT.as_secs()
                ),
            )),
        }
    }
}

fn body_too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "The body is too large",
        format!("a request body may have at most {MAX_BODY_BYTES} bytes"),
    )
    .with_field("body")
}

/// Middleware that refuses every request with an encoded (compressed) body, before any of the body
/// is read.
pub(crate) async fn refuse_encoded(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if is_encoded(request.headers()) {
        return Err(encoded().into());
    }
    next.call(request).await
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).any(|value| {
        // A header value that is not text counts as an unknown encoding.
        let codings = value.to_str().unwrap_or("unknown").split(',');
        codings
            .map(str::trim)
            .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    })
}

fn encoded() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "encoded-body",
        "The body is encoded",
        "request bodies are not decompressed; send the body without Content-Encoding",
    )
    .with_field("body")
}
