//! How a simulator is set up.

use std::net::{Ipv4Addr, SocketAddr};

use chrono::{DateTime, Utc};

use crate::{
    protocol::ProtocolOptions,
    webhook::{WebhookFaults, check_webhook_url},
};

/// Cycle ids of more people would no longer be unique.
pub(crate) const MAX_PEOPLE: usize = 16_384;
pub(crate) const MAX_DAYS: u32 = 3_653;

/// Everything that `Sim::start` can be told.
///
/// Made for struct update syntax:
/// `SimConfig { people: 1, ..SimConfig::default() }`.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Port 0 takes any free one; `Sim::base_url` tells which.
    pub listen: SocketAddr,
    pub seed: u64,
    pub people: usize,
    /// How many days of history everybody has (a newcomer has fewer).
    pub days: u32,
    /// `None` starts at the machine's time.
    pub now: Option<DateTime<Utc>>,
    /// Simulated seconds for each real one; 0 freezes the clock until it is moved.
    pub speed: f64,
    /// Records stay as they are at the start while the clock moves; only edits
    /// change them. For tests of everything but time.
    pub freeze_records: bool,
    pub calls_per_minute: u32,
    pub calls_per_day: u32,
    pub client_id: String,
    pub client_secret: String,
    /// Exact matches. Empty: every loopback address is registered.
    pub redirect_urls: Vec<String>,
    /// The consent page says yes by itself.
    pub auto_consent: bool,
    /// How long an access token lives, by the simulator's clock.
    pub token_ttl_seconds: u32,
    /// How to answer where WHOOP's own answer is not known for sure.
    pub protocol: ProtocolOptions,
    /// Where changes are announced; `None` announces nothing.
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

/// What happens to a member's grant when a spent refresh token comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseMode {
    /// The late one is refused; the winner's new pair stays good.
    #[default]
    LoserRejected,
    /// The whole family of tokens dies, the winner's included.
    FamilyRevoked,
}

/// Why a simulator did not start.
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
        let wrong = |what: &str| Err(SimError::Config(what.to_owned()));
        if !(self.speed.is_finite() && self.speed >= 0.0) {
            return wrong("speed must be 0 or a positive number");
        }
        // Histories reach ten years back, and lives twenty years on.
        let year = |now: DateTime<Utc>| chrono::Datelike::year(&now);
        if self
            .now
            .is_some_and(|now| !(1990..=9_000).contains(&year(now)))
        {
            return wrong("now must lie between the years 1990 and 9000");
        }
        if self.calls_per_minute == 0 || self.calls_per_day == 0 {
            return wrong("calls per minute and per day must be at least 1");
        }
        if self.people > MAX_PEOPLE || self.days > MAX_DAYS {
            return Err(SimError::Config(format!(
                "there can be {MAX_PEOPLE} people with {MAX_DAYS} days of history at most"
            )));
        }
        if self.client_id.is_empty() || self.client_secret.is_empty() {
            return wrong("client id and client secret must not be empty");
        }
        if let Err(reason) = self.protocol.validate() {
            return wrong(reason);
        }
        if let Some(url) = &self.webhook_url {
            check_webhook_url(url).map_err(SimError::Config)?;
        }
        self.webhook_faults.validate().map_err(SimError::Config)?;
        if let Some(bad) = self
            .redirect_urls
            .iter()
            .find(|text| url::Url::parse(text).is_err())
        {
            return Err(SimError::Config(format!("not a redirect URL: {bad}")));
        }
        Ok(())
    }
}
