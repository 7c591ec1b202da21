//! `GET /`: a web page to watch and to control the simulator.
//!
//! The page uses only the routes under `/_sim/` that tests use too.

use actix_web::{HttpResponse, http::header, web};

/// Content security policy: no resources from other hosts, no inline scripts, no framing.
const PAGE_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.route("/", web::get().to(page))
        .route("/_sim/page.css", web::get().to(css))
        .route("/_sim/page.js", web::get().to(js));
}

async fn page() -> HttpResponse {
    static_file("text/html; charset=utf-8", include_str!("front/page.html"))
}

async fn css() -> HttpResponse {
    static_file("text/css; charset=utf-8", include_str!("front/page.css"))
}

async fn js() -> HttpResponse {
    static_file(
        "text/javascript; charset=utf-8",
        include_str!("front/page.js"),
    )
}

fn static_file(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
