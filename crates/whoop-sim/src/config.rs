//! Configuration of a simulator.

use std::net::{Ipv4Addr, SocketAddr};

use chrono::{DateTime, Utc};

use crate::{
    protocol::ProtocolOptions,
    webhook::{WebhookFaults, check_webhook_url},
};

/// Maximum number of simulated people. With more people, two people could get the same cycle id.
pub(crate) const MAX_PEOPLE: usize = 16_384;
pub(crate) const MAX_DAYS: u32 = 3_653;

/// Settings of a simulator, for `SimServer::start`.
///
/// Struct update syntax works: `SimConfig { people: 1, ..SimConfig::default() }`.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Address on which the simulator accepts connections. With port 0, the operating system
    /// chooses a free port, which `SimServer::base_url` contains.
    pub listen: SocketAddr,
    pub seed: u64,
    pub people: usize,
    /// Days of history of each person.
    ///
    /// A person with the life pattern `Newcomer` has at most 12 days, a person with the life
    /// pattern `Decade` at least 3,653 days.
    pub days: u32,
    /// Time at which the simulator's clock starts. If `None`, the clock starts at the machine's
    /// time.
    pub now: Option<DateTime<Utc>>,
    /// Simulated seconds per real second. With 0, the clock changes only when a test moves it.
    pub speed: f64,
    /// Whether all records keep the state that they have at the simulator's start, while the clock
    /// moves on.
    ///
    /// Only edits then change a record. This is for tests that do not depend on time.
    pub freeze_records: bool,
    pub calls_per_minute: u32,
    pub calls_per_day: u32,
    pub client_id: String,
    pub client_secret: String,
    /// Redirect URLs that the WHOOP app has registered.
    ///
    /// The redirect URL of a request must equal one of them. If the list is empty, every URL with a
    /// loopback address is accepted.
    pub redirect_urls: Vec<String>,
    /// Whether the simulator grants every consent at once, without showing the consent page.
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

/// Effect on a member's grant if a refresh token is used again after it was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseMode {
    /// The second refresh is refused. The token pair from the first refresh stays valid.
    #[default]
    LoserRejected,
    /// The second refresh revokes the grant, including the token pair from the first refresh.
    FamilyRevoked,
}

/// Error that prevented the start of a simulator.
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
        // The limits leave room for records from ten years before `now` until twenty years after
        // `now`.
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
