use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use reqwest::{Client, header::HeaderMap, redirect};
use url::Url;
use whoop_core::Clock;

use crate::{
    Allowance, Made, Pace, RateLimit, WhoopConfig, WhoopError, config::below, gate::Gate,
    made::Tally, rate_limit::Quota,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const USER_AGENT: &str = concat!("whoop-backend/", env!("CARGO_PKG_VERSION"));

/// WHOOP, as one app sees it.
///
/// Clones share connections, the gate and what is known of the quota.
#[derive(Clone)]
pub struct Whoop {
    shared: Arc<Shared>,
    pace: Pace,
    allowance: Option<Arc<dyn Allowance>>,
    sent: Arc<AtomicU64>,
}

struct Shared {
    config: WhoopConfig,
    clock: Arc<dyn Clock>,
    http: Client,
    gate: Gate,
    /// The token endpoint may have limits of its own.
    token_gate: Gate,
    rate_limit: Mutex<Option<RateLimit>>,
    tally: Tally,
}

impl Whoop {
    /// Starts at the pace of a member who waits; see [`Whoop::with_pace`].
    ///
    /// # Errors
    ///
    /// A URL that is no web address, or a machine without root certificates.
    pub fn new(config: WhoopConfig, clock: Arc<dyn Clock>) -> Result<Self, WhoopError> {
        config.check()?;
        let mut http = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry the token to wherever it points.
            .redirect(redirect::Policy::none());
        if config.is_local() {
            http = http.no_proxy();
        }
        if config.is_plain() {
            // No roots to trust: a slim image without certificates will do.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
            WhoopError::Config(format!("cannot make TLS connections ({cause})"))
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                clock,
                http,
                gate: Gate::default(),
                token_gate: Gate::default(),
                rate_limit: Mutex::default(),
                tally: Tally::default(),
            }),
            pace: Pace::interactive(),
            allowance: None,
            sent: Arc::default(),
        })
    }

    /// The same WHOOP, called with other patience and counted anew.
    #[must_use]
    pub fn with_pace(&self, pace: Pace) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            pace,
            allowance: self.allowance.clone(),
            sent: Arc::default(),
        }
    }

    /// The same WHOOP, called with leave of `allowance`.
    #[must_use]
    pub fn with_allowance(&self, allowance: Arc<dyn Allowance>) -> Self {
        Self {
            allowance: Some(allowance),
            ..self.clone()
        }
    }

    /// How many requests went to the API through this handle and its clones.
    ///
    /// What WHOOP counts, which is more than was asked for where a call was
    /// sent again. The token endpoint does not count.
    pub fn requests_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What became of every request of this process, whoever made it.
    pub fn made(&self) -> Vec<Made> {
        self.shared.tally.all()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    pub(crate) fn count_request(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// What the last reply that said so said about the quota.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.shared
            .rate_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Keeps what a reply's headers say about the quota.
    pub(crate) async fn note_quota(&self, headers: &HeaderMap) -> Quota {
        let now = self.now();
        let quota = Quota::read(headers, now);
        if let Some(said) = quota.rate_limit(now) {
            if let Some(allowance) = self.allowance() {
                allowance.said(&said).await;
            }
            *self
                .shared
                .rate_limit
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(said);
        }
        quota
    }

    pub(crate) fn api<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        below(&self.shared.config.api_url, segments)
    }

    pub(crate) fn config(&self) -> &WhoopConfig {
        &self.shared.config
    }

    pub(crate) fn http(&self) -> &Client {
        &self.shared.http
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    pub(crate) fn token_gate(&self) -> &Gate {
        &self.shared.token_gate
    }

    pub(crate) fn allowance(&self) -> Option<&dyn Allowance> {
        self.allowance.as_deref()
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }
}

impl fmt::Debug for Whoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whoop")
            .field("api_url", &self.config().api_url.as_str())
            .field("client_id", &self.config().client_id)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
