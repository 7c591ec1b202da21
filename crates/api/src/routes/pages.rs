//! The Health page, the operator's page, and what opens them without a network.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header::{self, AcceptEncoding, Encoding, EntityTag, Header},
    web,
};

use super::{get_or_head, wrong_method};
use crate::{json, problem::Problem, state::AppState};

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for (path, file) in [
        ("/", "index.html"),
        ("/admin", "admin.html"),
        // Here, as a worker has to lie at the root of what it opens.
        ("/sw.js", "sw.js"),
    ] {
        config.service(
            web::resource(path)
                .route(get_or_head().to(move |request, state| send(request, state, file)))
                .default_service(web::to(|| wrong_method("GET, HEAD"))),
        );
    }
    config.service(
        web::resource("/page/{file:.*}")
            .route(get_or_head().to(named))
            .default_service(web::to(|| wrong_method("GET, HEAD"))),
    );
}

async fn named(
    request: HttpRequest,
    state: web::Data<AppState>,
    file: web::Path<String>,
) -> HttpResponse {
    answer(&request, &state, &file)
}

async fn send(
    request: HttpRequest,
    state: web::Data<AppState>,
    file: &'static str,
) -> HttpResponse {
    answer(&request, &state, file)
}

fn answer(request: &HttpRequest, state: &AppState, name: &str) -> HttpResponse {
    let Some(file) = state.pages.file(name) else {
        return Problem::not_found().error_response();
    };
    let tag = EntityTag::new_weak(file.tag.clone());
    let is_known = json::is_known(request, &tag);
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(header::ETag(tag))
        // Asked each time whether it is still the one of this build.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, state.pages.policy()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((
            header::PERMISSIONS_POLICY,
            "camera=(), geolocation=(), microphone=()",
        ))
        .content_type(file.content_type.clone());
    if is_known {
        return response.finish();
    }
    match &file.gzip {
        Some(gzip) if takes_gzip(request) => {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
            response.body(gzip.clone())
        }
        _ => response.body(file.bytes.clone()),
    }
}

fn takes_gzip(request: &HttpRequest) -> bool {
    AcceptEncoding::parse(request).is_ok_and(|accepted| {
        let both = [Encoding::gzip(), Encoding::identity()];
        accepted.negotiate(both.iter()) == Some(Encoding::gzip())
    })
}
