//! The API, browsable. Everything the page needs is in this binary.

use actix_web::{
    HttpResponse,
    http::header,
    middleware::{Compress, DefaultHeaders},
    web,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Nothing from another host. The page styles itself as it goes.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let page = SwaggerUi::new("/{_:.*}").config(
        Config::from("/openapi.json")
            // A link to an operation is worth sending to somebody.
            .deep_linking(true)
            .display_request_duration(true)
            // Neither token nor anything else stays in the browser.
            .persist_authorization(false),
    );
    let headers = DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, POLICY))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "no-referrer"));
    config
        .service(web::resource("/docs").route(web::get().to(to_the_page)))
        .service(
            web::scope("/docs")
                .wrap(Compress::default())
                .wrap(headers)
                .service(page),
        );
}

/// Its files are named relative to it.
async fn to_the_page() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}
