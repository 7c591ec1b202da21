//! `/_sim/protocol`: how to answer where WHOOP's own answer is not known.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::respond;
use crate::{edit::EditError, handle::WorldHandle, protocol::ProtocolChange, reply::Reply};

type Handle = web::Data<WorldHandle>;

pub(super) async fn show(world: Handle) -> HttpResponse {
    let protocol = serde_json::json!(world.lock().config.protocol);
    respond(Reply::value(&protocol))
}

pub(super) async fn change(world: Handle, body: web::Bytes) -> HttpResponse {
    let change: ProtocolChange = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return respond(Reply::refused(400, &error.to_string())),
    };
    let changed = world.lock().config.protocol.with(&change);
    if let Err(reason) = changed.check() {
        return respond(Reply::refused(400, reason));
    }
    world.lock().set_protocol(changed);
    show(world).await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expire {
    whoop_user_id: Option<i64>,
}

/// Access tokens end now, one person's or all; refresh tokens stay good.
pub(super) async fn expire(world: Handle, body: web::Bytes) -> HttpResponse {
    let expire = match body.as_ref() {
        b"" => Ok(Expire::default()),
        body => serde_json::from_slice(body),
    };
    match expire {
        Ok(expire) => {
            let mut world = world.lock();
            let now = world.now();
            let whose = expire.whoop_user_id;
            if whose.is_some_and(|id| !world.people.knows(id)) {
                return respond(Reply::refused(404, &EditError::NoSuchPerson.to_string()));
            }
            world.grants.expire_access_tokens(whose, now);
            respond(Reply::empty(204))
        }
        Err(error) => respond(Reply::refused(400, &error.to_string())),
    }
}
