//! Which web apps may ask from a browser.

use actix_cors::Cors;
use actix_web::http::{Method, header};

/// How long a browser remembers what it was told, in seconds.
const REMEMBERED: usize = 3600;

/// Lets these origins ask; `*` stands for any. Tokens travel in a header that no
/// browser adds by itself, so no origin can ride on a session.
pub(crate) fn allow(origins: &[String]) -> Cors {
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
        .max_age(REMEMBERED);
    origins
        .iter()
        .fold(cors, |cors, origin| match origin.as_str() {
            "*" => cors.allow_any_origin(),
            origin => cors.allowed_origin(origin.trim_end_matches('/')),
        })
}
