//! From HTTP to the world and back; nothing here decides what WHOOP says.

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

/// A page of 25 records is some 25 kB; nobody sends us more than that.
const MAX_BODY_BYTES: usize = 256 * 1024;

pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        // Before the rest of `/_sim/`, which refuses what it does not know.
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
