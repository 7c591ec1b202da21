//! Routes for the Health page, for the operator's page, and for the service worker, which opens the
//! Health page without a network.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

use super::{ServedRoutes, get_or_head, wrong_method};
use crate::{pages::WebPages, problem::Problem, state::AppState};

pub(crate) fn configure(config: &mut web::ServiceConfig, served: ServedRoutes) {
    let members = [
        ("/", "index.html"),
        // The service worker is at the root, because a service worker controls only pages below its
        // own path.
        ("/sw.js", "sw.js"),
    ];
    let operations = [("/admin", "admin.html")];
    let members = members.into_iter().filter(|_| served.members);
    let operations = operations.into_iter().filter(|_| served.operations);
    for (path, file) in members.chain(operations) {
        config.service(
            web::resource(path)
                .route(get_or_head().to(move |request, state| serve_fixed(request, state, file)))
                .default_service(web::to(|| wrong_method("GET, HEAD"))),
        );
    }
    config.service(
        web::resource("/page/{file:.*}")
            .route(
                get_or_head()
                    .to(move |request, state, file| serve_named(request, state, file, served)),
            )
            .default_service(web::to(|| wrong_method("GET, HEAD"))),
    );
}

async fn serve_named(
    request: HttpRequest,
    state: web::Data<AppState>,
    file: web::Path<String>,
    served: ServedRoutes,
) -> HttpResponse {
    if WebPages::is_operator_file(&file) && !served.operations {
        return Problem::not_found().error_response();
    }
    page_response(&request, &state, &file)
}

async fn serve_fixed(
    request: HttpRequest,
    state: web::Data<AppState>,
    file: &'static str,
) -> HttpResponse {
    page_response(&request, &state, file)
}

fn page_response(request: &HttpRequest, state: &AppState, name: &str) -> HttpResponse {
    let Some(file) = WebPages::file(name) else {
        return Problem::not_found().error_response();
    };
    let page_headers = state.pages.headers_for(name);
    let mut response = file.answer(request);
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    add(header::REFERRER_POLICY, "no-referrer");
    add(
        header::PERMISSIONS_POLICY,
        "camera=(), geolocation=(), microphone=()",
    );
    if !page_headers.may_be_framed {
        // This header is for browsers that do not support `frame-ancestors` in the policy.
        add(header::X_FRAME_OPTIONS, "DENY");
    }
    match HeaderValue::try_from(page_headers.policy) {
        Ok(policy) => {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        // The policy contains an origin that is not valid in a header. A page must not be served
        // without its policy.
        Err(_) => Problem::not_found().error_response(),
    }
}
