//! Adds `X-Content-Type-Options: nosniff` to responses. With this header, a browser uses the
//! declared content type and does not guess another type.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};

/// Middleware that adds `X-Content-Type-Options: nosniff` to every response.
pub(crate) async fn add_nosniff_header<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}
