//! Cross-origin requests (CORS) from web apps, and the setting that lists the origins of these web
//! apps.

use actix_cors::Cors;
use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};
use url::Url;

use crate::problem::Problem;

/// Time for which a browser may cache the response to a preflight request, in seconds.
const PREFLIGHT_MAX_AGE_SECONDS: usize = 3600;

/// Returns the CORS middleware, which allows browsers to send requests from web apps of these
/// origins. `*` allows any origin.
///
/// A foreign web page cannot use a member's session: callers send their credentials in the header
/// `Authorization`, which a browser never adds by itself.
pub(crate) fn build_cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::HeaderName::from_static("last-event-id"),
            header::HeaderName::from_static("x-request-id"),
        ])
        .expose_headers(["etag", "location", "retry-after", "x-request-id"])
        .max_age(PREFLIGHT_MAX_AGE_SECONDS);
    // If an origin were added after `allow_any_origin`, only that origin would be allowed.
    if origins.iter().any(|origin| origin == ANY_ORIGIN) {
        return cors.allow_any_origin();
    }
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Element of `CORS_ALLOWED_ORIGINS` that allows every origin.
const ANY_ORIGIN: &str = "*";

const EXAMPLE: &str = "example: CORS_ALLOWED_ORIGINS=https://app.example,https://admin.example";

/// Parses one element of `CORS_ALLOWED_ORIGINS`, and returns it as browsers send an origin: in
/// lower case, without the default port and without a slash at the end.
///
/// # Errors
///
/// Returns the reason with an example if the element is not an origin.
pub(crate) fn parse_origin(text: &str) -> Result<String, String> {
    if text == ANY_ORIGIN {
        return Ok(text.to_owned());
    }
    if text.is_empty() {
        return Err(format!("an element of the list is empty; {EXAMPLE}"));
    }
    let invalid = |reason: &str| Err(format!("`{text}` {reason}; {EXAMPLE}"));
    let Ok(url) = Url::parse(text) else {
        return invalid("is not an origin: it needs a scheme and a host");
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return invalid("is not an origin: it needs a scheme, `://` and a host");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The error does not repeat the element, because it may contain a password.
        return Err(format!(
            "an origin contains a user name or a password; {EXAMPLE}"
        ));
    }
    if host.contains('*') {
        return invalid("has a wildcard, which matches no origin: list every host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return invalid("has more than scheme, host and port");
    }
    // The origin is assembled from its parts, because the crate `url` treats the origin of an app's
    // own scheme (`capacitor://localhost`) as opaque.
    let port = url.port().map(|port| format!(":{port}"));
    Ok(format!(
        "{}://{host}{}",
        url.scheme(),
        port.unwrap_or_default()
    ))
}

/// Middleware that answers a refused preflight request with a problem (`application/problem+json`)
/// instead of the plain text of `actix_cors`.
pub(crate) async fn explain_refusal<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let response = next.call(request).await?;
    if !is_preflight || response.status() != StatusCode::BAD_REQUEST {
        return Ok(response.map_into_left_body());
    }
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "cors-refused",
        "A browser may not send this request from this web page",
        "the origin is not one of CORS_ALLOWED_ORIGINS, or the method or a header of the request is \
         not allowed from a browser",
    );
    let mut answer = problem.error_response();
    // The response depends on the origin, so a cache must not use it for other origins.
    answer
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Origin"));
    Ok(response.into_response(answer).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, sent) in [
            ("*", "*"),
            ("https://app.example", "https://app.example"),
            ("https://App.Example:443/", "https://app.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(sent));
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_an_example() {
        for bad in [
            "",
            " ",
            "null",
            "app.example",
            "app.example:443",
            "//app.example",
            "https://",
            "https://*.app.example",
            "https://*",
            "https://app.example/path",
            "https://app.example?x=1",
            "https://app.example/#x",
            "https://user:hunter2@app.example",
            "mailto:app@app.example",
        ] {
            let refusal = parse_origin(bad).unwrap_err();

            assert!(refusal.contains("https://app.example,"), "{bad}: {refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }
}
