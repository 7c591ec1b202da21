//! Sends webhooks to the receiver.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};

use super::{outbox::OutgoingWebhook, signature};
use crate::handle::WorldHandle;

/// Maximum number of webhooks in flight at the same time.
const MAX_CONCURRENT: usize = 32;

/// Interval between two checks for webhooks that have become due as the clock advanced.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Lock that allows one round of deliveries at a time. A second caller waits for the end of the
/// active round.
pub(crate) type DeliveryLock = Arc<tokio::sync::Mutex<()>>;

/// Sends all webhooks that are due now, waits for the answers and returns the number of webhooks.
pub(crate) async fn deliver_due(
    world: &WorldHandle,
    http: &reqwest::Client,
    delivery_lock: &DeliveryLock,
) -> usize {
    let _round = delivery_lock.lock().await;
    let Some((url, secret, webhooks)) = world.take_due_webhooks() else {
        return 0;
    };
    let count = webhooks.len();
    stream::iter(webhooks)
        .for_each_concurrent(MAX_CONCURRENT, |webhook| {
            let (url, secret) = (&url, &secret);
            async move {
                let answer = send_webhook(http, url, secret, &webhook).await;
                world.lock().outbox.record_answer(webhook.seq, answer);
            }
        })
        .await;
    count
}

async fn send_webhook(
    http: &reqwest::Client,
    url: &str,
    secret: &str,
    webhook: &OutgoingWebhook,
) -> Result<u16, String> {
    let timestamp = webhook.timestamp_ms.to_string();
    let signature = signature::sign(secret, &timestamp, webhook.body.as_bytes());
    let response = http
        .post(url)
        .header("content-type", "application/json")
        .header("X-WHOOP-Signature", signature)
        .header("X-WHOOP-Signature-Timestamp", timestamp)
        .body(webhook.body.clone())
        .send()
        .await;
    response
        .map(|response| response.status().as_u16())
        .map_err(|error| error.to_string())
}

/// Creates an HTTP client that does not follow redirects: a redirect counts as a failure.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// Sends due webhooks until the task is dropped.
///
/// If no receiver is configured, the task sleeps until a test sets the receiver's URL.
pub(crate) async fn run_delivery(world: WorldHandle, delivery_lock: DeliveryLock) {
    let wakeup = Arc::clone(&world.lock().delivery_wakeup);
    let mut http = None;
    loop {
        let has_receiver = world.lock().outbox.url.is_some();
        if !has_receiver {
            wakeup.notified().await;
            continue;
        }
        if http.is_none() {
            match http_client() {
                Ok(client) => http = Some(client),
                Err(error) => {
                    tracing::error!(%error, "cannot create the HTTP client for webhooks");
                    return;
                }
            }
        }
        if let Some(http) = &http {
            deliver_due(&world, http, &delivery_lock).await;
        }
        // The loop checks again after the interval, or earlier if it is woken.
        let _ = tokio::time::timeout(POLL_INTERVAL, wakeup.notified()).await;
    }
}
