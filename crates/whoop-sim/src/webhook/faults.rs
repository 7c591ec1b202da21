//! What goes wrong with webhooks on purpose.

use serde::{Deserialize, Serialize};

/// WHOOP promises neither that an event comes, nor that it comes once or in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// How likely an event is never sent, from 0 to 1.
    pub lose: f64,
    /// How likely an event is sent twice with the same trace id, from 0 to 1.
    pub duplicate: f64,
    /// Each delivery waits a random time of at most so long.
    pub delay_seconds: u64,
    /// What is due together is sent in a random order.
    pub reorder: bool,
    /// A retry carries its own time; without this it repeats that of the first
    /// try. What WHOOP does is not known.
    pub fresh_timestamp_on_retry: bool,
}

impl WebhookFaults {
    pub(crate) fn validate(&self) -> Result<(), String> {
        for (name, odds) in [("lose", self.lose), ("duplicate", self.duplicate)] {
            if !(0.0..=1.0).contains(&odds) {
                return Err(format!("{name} must be from 0 to 1"));
            }
        }
        if self.delay_seconds > 86_400 {
            return Err("delay_seconds must be a day (86400) at most".to_owned());
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
