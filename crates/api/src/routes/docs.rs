//! Browsable documentation of the API at `/docs`. All files of the page are embedded in this
//! binary.

use std::{collections::BTreeMap, sync::Arc, sync::LazyLock};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header::{self, HeaderValue},
    web,
};
use utoipa_swagger_ui::{Config, serve};

use super::{get_or_head, wrong_method};
use crate::{problem::Problem, static_file::StaticFile};

/// Content security policy of the documentation page: it loads nothing from other hosts. Inline
/// styles are allowed, because the page sets them while it runs.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

/// Names of the files that the documentation page loads.
const NAMES: [&str; 8] = [
    "index.html",
    "index.css",
    "favicon-16x16.png",
    "favicon-32x32.png",
    "swagger-initializer.js",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
];

/// Files of the documentation page.
///
/// They are compressed only once, at the first request: the page needs no credentials, so every
/// caller can request it.
static FILES: LazyLock<BTreeMap<&str, StaticFile>> = LazyLock::new(|| {
    let config = Arc::new(
        Config::from("/openapi.json")
            // With this setting, users can share links to single operations.
            .deep_linking(true)
            .display_request_duration(true)
            // The browser stores neither the token nor other input.
            .persist_authorization(false),
    );
    let file = |name| {
        let file = serve(name, Arc::clone(&config)).ok().flatten()?;
        Some((name, StaticFile::new(name, file.bytes.into_owned())))
    };
    NAMES.into_iter().filter_map(file).collect()
});

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/docs")
                .route(get_or_head().to(redirect_to_index))
                .default_service(web::to(|| wrong_method("GET, HEAD"))),
        )
        .service(
            web::resource("/docs/{file:.*}")
                .route(get_or_head().to(serve_file))
                .default_service(web::to(|| wrong_method("GET, HEAD"))),
        );
}

/// Redirects `/docs` to `/docs/`, because the page names its files relative to the path with the
/// slash.
async fn redirect_to_index() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

async fn serve_file(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let name = match name.as_str() {
        "" => "index.html",
        name => name,
    };
    let Some(file) = FILES.get(name) else {
        return Problem::not_found().error_response();
    };
    let mut response = file.answer(&request);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}
