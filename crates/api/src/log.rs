use std::fmt::Write as _;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use sha2::{Digest, Sha256};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::request_id::RequestId;

/// One line a request: the route's pattern, never the path or the query.
///
/// A path names a member, and the callback's query holds a code.
pub(crate) struct RequestLine;

/// Who it is about, as a word that is always the same and says nothing about them:
/// the beginning of the SHA-256 of their id.
fn member_of(request: &ServiceRequest) -> Option<String> {
    let user_id = request.match_info().get("user_id")?;
    let digest = Sha256::digest(user_id);
    Some(digest.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

impl RootSpanBuilder for RequestLine {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let extensions = request.extensions();
        let id = extensions.get::<RequestId>().map(RequestId::as_str);
        tracing::info_span!(
            "request",
            id = id.unwrap_or_default(),
            method = %request.method(),
            route = request.match_pattern().as_deref().unwrap_or("none"),
            member = member_of(request),
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.in_scope(|| tracing::info!(status = status.as_u16(), "answered"));
    }
}
