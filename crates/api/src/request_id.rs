//! Id of a request. It is in the response header `X-Request-Id` and in the log lines of the
//! request.
//!
//! A caller or a proxy can send the id in `X-Request-Id`. The service generates an id if this
//! header is missing, or is not 1 to 64 letters, digits, dots, underscores and hyphens.

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id that a caller sends, in characters.
const MAX_LENGTH: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn of(request: &ServiceRequest) -> Self {
        let sent = request
            .headers()
            .get(HEADER)
            .filter(|value| is_acceptable_id(value));
        Self(sent.cloned().unwrap_or_else(Self::random))
    }

    fn random() -> HeaderValue {
        let mut text = Uuid::encode_buffer();
        let text = Uuid::new_v4().simple().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unnamed"))
    }
}

fn is_acceptable_id(value: &HeaderValue) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=MAX_LENGTH).contains(&value.len()) && value.as_bytes().iter().all(is_allowed)
}

/// Middleware that assigns an id to each request before the request is logged, and that adds the id
/// to the response.
pub(crate) async fn assign_request_id<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let mut response = next.call(request).await?;
    response.headers_mut().insert(HEADER, id.0);
    Ok(response)
}
