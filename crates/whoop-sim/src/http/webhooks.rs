//! `/_sim/webhooks`: the deliveries, and the switches that spoil them.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::respond;
use crate::{
    handle::WorldHandle,
    reply::Reply,
    webhook::{DeliveryState, WebhookMischief, check_url},
};

/// So many deliveries fit on a page that somebody reads.
const SHOWN: usize = 200;

type Handle = web::Data<WorldHandle>;

pub(super) async fn show(world: Handle) -> HttpResponse {
    let world = world.lock();
    let all = world.outbox.list();
    let mut counts = BTreeMap::<DeliveryState, usize>::new();
    for delivery in &all {
        *counts.entry(delivery.state).or_default() += 1;
    }
    let page = json!({
        "url": world.outbox.url,
        "switches": world.outbox.mischief,
        "counts": counts,
        "deliveries": &all[all.len().saturating_sub(SHOWN)..],
    });
    respond(Reply::value(&page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    switches: Option<WebhookMischief>,
}

pub(super) async fn change(world: Handle, body: web::Bytes) -> HttpResponse {
    if let Err(reason) = apply(&world, &body) {
        return respond(Reply::refused(400, &reason));
    }
    show(world).await
}

/// All of it or nothing. Switches that are not named go back to off.
fn apply(world: &WorldHandle, body: &[u8]) -> Result<(), String> {
    let change: Change = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    change.url.as_deref().map_or(Ok(()), check_url)?;
    if let Some(switches) = &change.switches {
        switches.check()?;
    }
    let mut world = world.lock();
    if let Some(url) = change.url {
        world.outbox.url = Some(url);
    }
    if let Some(switches) = change.switches {
        world.outbox.mischief = switches;
    }
    world.kick.notify_one();
    Ok(())
}

pub(super) async fn forget(world: Handle) -> HttpResponse {
    world.lock().outbox.clear();
    respond(Reply::empty(204))
}
