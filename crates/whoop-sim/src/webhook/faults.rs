//! Faults that a test adds to the delivery of webhooks.

use serde::{Deserialize, Serialize};

/// Faults in the delivery of webhooks.
///
/// WHOOP guarantees neither the delivery nor the order of events, and may send an event more than
/// once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Probability that an event is never sent, from 0 to 1.
    pub lose: f64,
    /// Probability that an event is sent twice with the same trace id, from 0 to 1.
    pub duplicate: f64,
    /// Maximum random delay of a delivery, in seconds.
    pub delay_seconds: u64,
    /// Whether events that are due together are sent in a random order.
    pub reorder: bool,
    /// Whether a retry has a new timestamp. Otherwise, it has the timestamp of the first attempt.
    ///
    /// WHOOP's own behaviour is not known.
    pub fresh_timestamp_on_retry: bool,
}

impl WebhookFaults {
    pub(crate) fn validate(&self) -> Result<(), String> {
        for (name, probability) in [("lose", self.lose), ("duplicate", self.duplicate)] {
            if !(0.0..=1.0).contains(&probability) {
                return Err(format!("{name} must be from 0 to 1"));
            }
        }
        if self.delay_seconds > 86_400 {
            return Err("delay_seconds must be at most 86400, one day".to_owned());
        }
        Ok(())
    }
}

pub(crate) fn check_webhook_url(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => Err("the webhook URL must be an http or https URL".to_owned()),
    }
}
