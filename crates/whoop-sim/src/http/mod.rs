//! The HTTP layer. It converts requests and replies; other modules decide WHOOP's answers.

mod broken_reply;
mod consent;
mod control;
mod front;
mod protocol;
mod state;
mod webhooks;
mod whoop_routes;

use actix_web::{HttpResponse, http::StatusCode, http::header, web};

use crate::reply::HttpReply;

/// Maximum size of a request body. For comparison, a page of 25 records has about 25 kB.
const MAX_BODY_BYTES: usize = 256 * 1024;

pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        // These two are registered before `control`, which answers 404 to unknown paths under
        // `/_sim/`.
        .configure(front::configure)
        .route("/_sim/state", web::get().to(state::show))
        .configure(control::configure)
        .configure(whoop_routes::configure);
}

fn to_http_response(reply: HttpReply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(content_type) = reply.content_type {
        response.insert_header((header::CONTENT_TYPE, content_type));
    }
    if let Some(location) = reply.location {
        response.insert_header((header::LOCATION, location));
    }
    response.body(reply.body)
}
