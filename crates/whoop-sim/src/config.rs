//! Configuration of a simulator.

use std::net::{Ipv4Addr, SocketAddr};

use chrono::{DateTime, Utc};

use crate::{
    protocol::ProtocolOptions,
    webhook::{WebhookFaults, check_webhook_url},
};

/// Maximum number of people. With more people, cycle ids would not be unique.
pub(crate) const MAX_PEOPLE: usize = 16_384;
pub(crate) const MAX_DAYS: u32 = 3_653;

/// Settings for `SimServer::start`.
///
/// Can be built with struct update syntax:
/// `SimConfig { people: 1, ..SimConfig::default() }`.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Address to listen on. Port 0 picks a free port, which `SimServer::base_url` contains.
    pub listen: SocketAddr,
    pub seed: u64,
    pub people: usize,
    /// Days of history of each person. A `Newcomer` has at most 12, a `Decade` at least 3,653.
    pub days: u32,
    /// Time at which the clock starts; `None` is the machine's time.
    pub now: Option<DateTime<Utc>>,
    /// Simulated seconds per real second; 0 freezes the clock until it is moved.
    pub speed: f64,
    /// Whether records keep their state from the simulator's start while the clock moves, so that
    /// only edits change them. For tests that do not depend on time.
    pub freeze_records: bool,
    pub calls_per_minute: u32,
    pub calls_per_day: u32,
    pub client_id: String,
    pub client_secret: String,
    /// Registered redirect URLs, compared exactly. If empty, every loopback address is registered.
    pub redirect_urls: Vec<String>,
    /// Whether the simulator grants consent without showing the consent page.
    pub auto_consent: bool,
    /// Lifetime of an access token, by the simulator's clock.
    pub token_ttl_seconds: u32,
    /// Options for cases in which WHOOP's own answer is not known for certain.
    pub protocol: ProtocolOptions,
    /// URL of the webhook receiver; if `None`, no webhooks are sent.
    pub webhook_url: Option<String>,
    pub webhook_faults: WebhookFaults,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 7,
            people: 3,
            days: 400,
            now: None,
            speed: 1.0,
            freeze_records: false,
            calls_per_minute: 100,
            calls_per_day: 10_000,
            client_id: "whoop-sim-client".to_owned(),
            client_secret: "whoop-sim-secret".to_owned(),
            redirect_urls: Vec::new(),
            auto_consent: false,
            token_ttl_seconds: 3_600,
            protocol: ProtocolOptions::default(),
            webhook_url: None,
            webhook_faults: WebhookFaults::default(),
        }
    }
}

/// Effect on a member's grant when a spent refresh token is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseMode {
    /// The second refresh is refused; the token pair from the first refresh stays valid.
    #[default]
    LoserRejected,
    /// The grant is revoked, including the token pair from the first refresh.
    FamilyRevoked,
}

/// Reason why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    #[error("{0}")]
    Config(String),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the server's thread did not start")]
    Thread(#[source] std::io::Error),
    #[error("the server's thread ended before it was listening")]
    ServerEnded,
}

impl SimConfig {
    pub(crate) fn validate(&self) -> Result<(), SimError> {
        let invalid = |reason: &str| Err(SimError::Config(reason.to_owned()));
        if !(self.speed.is_finite() && self.speed >= 0.0) {
            return invalid("speed must be 0 or a positive number");
        }
        // Records begin up to ten years before `now` and continue up to twenty years after it.
        let year = |now: DateTime<Utc>| chrono::Datelike::year(&now);
        if self
            .now
            .is_some_and(|now| !(1990..=9_000).contains(&year(now)))
        {
            return invalid("now must be between the years 1990 and 9000");
        }
        if self.calls_per_minute == 0 || self.calls_per_day == 0 {
            return invalid("calls per minute and per day must be at least 1");
        }
        if self.people > MAX_PEOPLE || self.days > MAX_DAYS {
            return Err(SimError::Config(format!(
                "the maximum is {MAX_PEOPLE} people with {MAX_DAYS} days of history"
            )));
        }
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return invalid("client id and client secret must not be empty");
        }
        if let Err(reason) = self.protocol.validate() {
            return invalid(reason);
        }
        if let Some(url) = &self.webhook_url {
            check_webhook_url(url).map_err(SimError::Config)?;
        }
        self.webhook_faults.validate().map_err(SimError::Config)?;
        if let Some(url) = self
            .redirect_urls
            .iter()
            .find(|text| url::Url::parse(text).is_err())
        {
            return Err(SimError::Config(format!("not a valid redirect URL: {url}")));
        }
        Ok(())
    }
}
