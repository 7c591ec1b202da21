//! Webhooks as WHOOP sends them, with valid or invalid signatures.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{APP_SECRET, Answer, Client, Stage, until};

pub(crate) const PATH: &str = "/webhooks/whoop";

/// A webhook that is valid unless a test changes it.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    body: Vec<u8>,
    timestamp: Option<String>,
    signature: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
}

/// Returns the signature with which WHOOP signs a webhook: it covers the text of the timestamp and
/// the raw body.
fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[timestamp.as_bytes(), body].concat());
    STANDARD.encode(tag.as_ref())
}

impl Webhook {
    pub(crate) fn of_bytes(body: impl Into<Vec<u8>>, at: DateTime<Utc>) -> Self {
        let body = body.into();
        let timestamp = at.timestamp_millis().to_string();
        Self {
            signature: Some(signature(APP_SECRET, &timestamp, &body)),
            timestamp: Some(timestamp),
            content_type: Some("application/json".to_owned()),
            content_encoding: None,
            body,
        }
    }

    pub(crate) fn of(event: &Value, at: DateTime<Utc>) -> Self {
        Self::of_bytes(event.to_string(), at)
    }

    pub(crate) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn with_timestamp(mut self, timestamp: Option<&str>) -> Self {
        self.timestamp = timestamp.map(str::to_owned);
        self
    }

    pub(crate) fn with_signature(mut self, signature: Option<&str>) -> Self {
        self.signature = signature.map(str::to_owned);
        self
    }

    pub(crate) fn signed_with(mut self, secret: &str) -> Self {
        let timestamp = self.timestamp.clone().unwrap_or_default();
        self.signature = Some(signature(secret, &timestamp, &self.body));
        self
    }

    pub(crate) fn with_content_type(mut self, content_type: Option<&str>) -> Self {
        self.content_type = content_type.map(str::to_owned);
        self
    }

    pub(crate) fn with_content_encoding(mut self, encoding: &str) -> Self {
        self.content_encoding = Some(encoding.to_owned());
        self
    }

    pub(crate) async fn send(&self, client: &Client) -> Answer {
        let mut ask = client.post(PATH);
        for (name, value) in [
            ("x-whoop-signature", &self.signature),
            ("x-whoop-signature-timestamp", &self.timestamp),
            ("content-type", &self.content_type),
            ("content-encoding", &self.content_encoding),
        ] {
            if let Some(value) = value {
                ask = ask.with_header(name, value);
            }
        }
        ask.with_raw_body(self.body.clone()).send().await
    }
}

/// Returns an event in WHOOP's format.
pub(crate) fn event(whoop_user_id: i64, kind: &str, id: &str, trace: &str) -> Value {
    json!({"user_id": whoop_user_id, "id": id, "type": kind, "trace_id": trace})
}

impl Stage {
    /// Configures the simulated WHOOP to send its webhooks to this API. `switches` configures
    /// faults of the delivery, such as lost events.
    pub(crate) async fn hook_up(&self, switches: &Value) {
        let url = format!("http://{}{PATH}", self.client.address);
        let change = json!({"url": url, "switches": switches});
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .post(format!("{}/_sim/webhooks", self.sim.base_url()))
            .json(&change)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// Returns the states of all webhook events in alphabetical order, except for the events that
    /// [`Stage::nudge`] sends.
    pub(crate) async fn inbox(&self) -> Vec<String> {
        let sql = "SELECT state FROM whoop_webhook_event WHERE event_type <> 'nudge' ORDER BY 1";
        let rows = self.db.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until every webhook event that is due has been processed or deferred.
    pub(crate) async fn is_drained(&self) {
        let sql = "SELECT 1 FROM whoop_webhook_event WHERE state = 'pending' AND due_at <= $1::TEXT::TIMESTAMPTZ";
        let db = self.db.client().await;
        until("every event that is due has been processed", || async {
            let now = self.clock_now().to_rfc3339();
            db.query(sql, &[&now]).await.unwrap().is_empty()
        })
        .await;
    }

    /// Makes the API process the webhook inbox now instead of at its next check, by sending it an
    /// event without meaning.
    pub(crate) async fn nudge(&self) {
        let nudge = event(1, "nudge", "-", &self.clock_now().to_rfc3339());
        let nudge = Webhook::of(&nudge, self.clock_now());
        nudge.send(&self.client).await.assert_status(204);
        self.is_drained().await;
    }

    /// Makes WHOOP deliver its outstanding webhooks, and waits until the API has processed them.
    pub(crate) async fn hear(&self) {
        self.sim.deliver_webhooks().await;
        self.is_drained().await;
    }
}
