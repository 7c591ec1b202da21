//! `/_sim/webhooks`: the webhook deliveries and the settings of their faults.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::to_http_response;
use crate::{
    handle::WorldHandle,
    reply::HttpReply,
    webhook::{DeliveryState, WebhookFaults, check_webhook_url},
};

/// Maximum number of deliveries in the reply. If there are more, the newest ones are in the reply.
const MAX_SHOWN_DELIVERIES: usize = 200;

type WorldData = web::Data<WorldHandle>;

pub(super) async fn show(world: WorldData) -> HttpResponse {
    let world = world.lock();
    let all = world.outbox.list();
    let mut counts = BTreeMap::<DeliveryState, usize>::new();
    for delivery in &all {
        *counts.entry(delivery.state).or_default() += 1;
    }
    let page = json!({
        "url": world.outbox.url,
        "switches": world.outbox.faults,
        "counts": counts,
        "deliveries": &all[all.len().saturating_sub(MAX_SHOWN_DELIVERIES)..],
    });
    to_http_response(HttpReply::json_value(&page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookSettingsRequest {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    switches: Option<WebhookFaults>,
}

pub(super) async fn change(world: WorldData, body: web::Bytes) -> HttpResponse {
    if let Err(reason) = apply_settings(&world, &body) {
        return to_http_response(HttpReply::sim_error(400, &reason));
    }
    show(world).await
}

/// Applies all settings of a request, or none of them if one is invalid.
///
/// If the request has `switches`, a switch that is missing in it is reset to off.
fn apply_settings(world: &WorldHandle, body: &[u8]) -> Result<(), String> {
    let change: WebhookSettingsRequest =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    change.url.as_deref().map_or(Ok(()), check_webhook_url)?;
    if let Some(switches) = &change.switches {
        switches.validate()?;
    }
    let mut world = world.lock();
    if let Some(url) = change.url {
        world.outbox.url = Some(url);
    }
    if let Some(switches) = change.switches {
        world.outbox.faults = switches;
    }
    world.delivery_wakeup.notify_one();
    Ok(())
}

pub(super) async fn clear(world: WorldData) -> HttpResponse {
    world.lock().outbox.clear();
    to_http_response(HttpReply::empty(204))
}
