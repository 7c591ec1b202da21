use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::StatusCode,
    web::{self, Bytes},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{parameters::shortened, problem::Problem};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest body any route takes, in bytes.
pub(crate) const LARGEST_BODY: usize = 16 * 1024;

/// A JSON object, or nothing at all, which stands for an empty one.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = whole(request, payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Self(T::default()));
            }
            // serde reads an array into a struct as well, member after member.
            if bytes.trim_ascii_start().first() != Some(&b'{') {
                return Err(Problem::invalid(
                    "invalid-body",
                    "body",
                    "the body is not a JSON object",
                ));
            }
            serde_json::from_slice(&bytes).map(Self).map_err(|error| {
                // It names what it does not know, which may be long.
                let error = shortened(&error.to_string(), 200);
                Problem::invalid(
                    "invalid-body",
                    "body",
                    format!("the body is not the JSON expected: {error}"),
                )
            })
        })
    }
}

/// A body to its end. Whoever sends it byte by byte must not hold a place for long.
pub(crate) fn whole(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let bytes = Bytes::from_request(request, payload);
    async move {
        match timeout(PATIENCE, bytes).await {
            Ok(bytes) => bytes.map_err(|error| too_large_or_broken(&error)),
            Err(_) => Err(Problem::invalid(
                "invalid-body",
                "body",
                format!("the body did not arrive within {} s", PATIENCE.as_secs()),
            )),
        }
    }
}

fn too_large_or_broken(error: &actix_web::Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
            format!("a body has at most {LARGEST_BODY} bytes"),
        )
        .with_field("body"),
        _ if error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
                format!("a body has at most {LARGEST_BODY} bytes"),
            )
            .with_field("body")
        }
        _ => Problem::invalid(
            "invalid-body",
            "body",
            "the body could not be read to its end",
        ),
    }
}

pub(crate) fn limit() -> web::PayloadConfig {
    web::PayloadConfig::new(LARGEST_BODY)
}
