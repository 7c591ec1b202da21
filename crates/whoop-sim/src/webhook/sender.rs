//! Carries webhooks to the receiver.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};

use super::{outbox::OutgoingWebhook, signature};
use crate::handle::WorldHandle;

/// How many receivers' answers are awaited at once.
const MAX_CONCURRENT: usize = 32;

/// With a clock that runs, webhooks fall due without anybody moving it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// One round at a time: who waits for a round waits for the one under way too.
pub(crate) type DeliveryLock = Arc<tokio::sync::Mutex<()>>;

/// Sends what is due now and returns when each is answered.
pub(crate) async fn deliver_due(
    world: &WorldHandle,
    http: &reqwest::Client,
    gate: &DeliveryLock,
) -> usize {
    let _round = gate.lock().await;
    let Some((url, secret, shipments)) = world.take_due_webhooks() else {
        return 0;
    };
    let count = shipments.len();
    stream::iter(shipments)
        .for_each_concurrent(MAX_CONCURRENT, |shipment| {
            let (url, secret) = (&url, &secret);
            async move {
                let answer = send_webhook(http, url, secret, &shipment).await;
                world.lock().outbox.record_answer(shipment.seq, answer);
            }
        })
        .await;
    count
}

async fn send_webhook(
    http: &reqwest::Client,
    url: &str,
    secret: &str,
    shipment: &OutgoingWebhook,
) -> Result<u16, String> {
    let timestamp = shipment.timestamp_ms.to_string();
    let signature = signature::sign(secret, &timestamp, shipment.body.as_bytes());
    let answer = http
        .post(url)
        .header("content-type", "application/json")
        .header("X-WHOOP-Signature", signature)
        .header("X-WHOOP-Signature-Timestamp", timestamp)
        .body(shipment.body.clone())
        .send()
        .await;
    answer
        .map(|answer| answer.status().as_u16())
        .map_err(|error| error.to_string())
}

/// A redirect is no 2xx, so it is a failure and is not followed.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// Runs until it is dropped; sleeps for good while there is no receiver.
pub(crate) async fn run_delivery(world: WorldHandle, gate: DeliveryLock) {
    let kick = Arc::clone(&world.lock().delivery_wakeup);
    let mut http = None;
    loop {
        let has_receiver = world.lock().outbox.url.is_some();
        if !has_receiver {
            kick.notified().await;
            continue;
        }
        if http.is_none() {
            match http_client() {
                Ok(client) => http = Some(client),
                Err(error) => {
                    tracing::error!(%error, "webhooks cannot be sent");
                    return;
                }
            }
        }
        if let Some(http) = &http {
            deliver_due(&world, http, &gate).await;
        }
        // Either way it is time to look again.
        let _ = tokio::time::timeout(POLL_INTERVAL, kick.notified()).await;
    }
}
