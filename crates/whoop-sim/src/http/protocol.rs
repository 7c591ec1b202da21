//! `/_sim/protocol`: options for cases in which WHOOP's own answer is not known.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::to_http_response;
use crate::{edit::EditError, handle::WorldHandle, protocol::ProtocolChange, reply::HttpReply};

type WorldData = web::Data<WorldHandle>;

pub(super) async fn show(world: WorldData) -> HttpResponse {
    let protocol = serde_json::json!(world.lock().config.protocol);
    to_http_response(HttpReply::json_value(&protocol))
}

pub(super) async fn change(world: WorldData, body: web::Bytes) -> HttpResponse {
    let change: ProtocolChange = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return to_http_response(HttpReply::sim_error(400, &error.to_string())),
    };
    let changed = world.lock().config.protocol.with_change(&change);
    if let Err(reason) = changed.validate() {
        return to_http_response(HttpReply::sim_error(400, reason));
    }
    world.lock().set_protocol(changed);
    show(world).await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExpireTokensRequest {
    whoop_user_id: Option<i64>,
}

/// Expires the access tokens of one person, or of all people if the request names no person.
///
/// Refresh tokens stay valid.
pub(super) async fn expire_tokens(world: WorldData, body: web::Bytes) -> HttpResponse {
    let expire = match body.as_ref() {
        b"" => Ok(ExpireTokensRequest::default()),
        body => serde_json::from_slice(body),
    };
    match expire {
        Ok(expire) => {
            let mut world = world.lock();
            let now = world.now();
            let whoop_user_id = expire.whoop_user_id;
            if whoop_user_id.is_some_and(|id| !world.people.contains(id)) {
                return to_http_response(HttpReply::sim_error(
                    404,
                    &EditError::NoSuchPerson.to_string(),
                ));
            }
            world.grants.expire_access_tokens(whoop_user_id, now);
            to_http_response(HttpReply::empty(204))
        }
        Err(error) => to_http_response(HttpReply::sim_error(400, &error.to_string())),
    }
}
