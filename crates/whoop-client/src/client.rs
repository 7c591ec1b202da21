use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, redirect};
use whoop_core::Clock;

use crate::{
    QuotaGate, RequestCount, RetryPolicy, WhoopConfig, WhoopError, rate_limit_gate::RateLimitGate,
    request_count::RequestCounters,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const USER_AGENT: &str = concat!("whoop-backend/", env!("CARGO_PKG_VERSION"));

/// Client of WHOOP's API for one WHOOP app (the team's registration at WHOOP).
///
/// All clones share the HTTP connections and the rate-limit gates.
#[derive(Clone)]
pub struct WhoopClient {
    pub(crate) shared: Arc<ClientState>,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) quota_gate: Option<Arc<dyn QuotaGate>>,
    pub(crate) requests_sent: Arc<AtomicU64>,
}

pub(crate) struct ClientState {
    pub(crate) config: WhoopConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) http: Client,
    pub(crate) api_gate: RateLimitGate,
    /// Rate-limit gate of the token endpoint. It is separate, because the token endpoint may have
    /// its own limits.
    pub(crate) token_gate: RateLimitGate,
    pub(crate) request_counters: RequestCounters,
}

impl WhoopClient {
    /// Creates a client with the retry policy of app requests. [`WhoopClient::with_retry_policy`]
    /// sets another policy.
    ///
    /// # Errors
    ///
    /// Returns an error if a URL is not a web address, if the client id is empty or the client
    /// secret too short, or if TLS cannot be set up, for example because the machine has no root
    /// certificates.
    pub fn new(config: WhoopConfig, clock: Arc<dyn Clock>) -> Result<Self, WhoopError> {
        config.validate()?;
        let mut http = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // Redirects are not followed, because the request with the token would be sent to
            // another server.
            .redirect(redirect::Policy::none());
        if config.is_loopback() {
            http = http.no_proxy();
        }
        if config.is_plain_http() {
            // Plain HTTP needs no root certificates. Without this setting, a container image would
            // need them even for the simulator.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
            WhoopError::Config(format!("cannot set up TLS for the HTTP client ({cause})"))
        })?;
        Ok(Self {
            shared: Arc::new(ClientState {
                config,
                clock,
                http,
                api_gate: RateLimitGate::default(),
                token_gate: RateLimitGate::default(),
                request_counters: RequestCounters::default(),
            }),
            retry_policy: RetryPolicy::interactive(),
            quota_gate: None,
            requests_sent: Arc::default(),
        })
    }

    /// Returns a client for the same WHOOP app with another retry policy. The new client counts its
    /// requests separately.
    #[must_use]
    pub fn with_retry_policy(&self, retry_policy: RetryPolicy) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            retry_policy,
            quota_gate: self.quota_gate.clone(),
            requests_sent: Arc::default(),
        }
    }

    /// Returns a client for the same WHOOP app that takes a permit from `quota_gate` before every
    /// request.
    #[must_use]
    pub fn with_quota_gate(&self, quota_gate: Arc<dyn QuotaGate>) -> Self {
        Self {
            quota_gate: Some(quota_gate),
            ..self.clone()
        }
    }

    /// Returns the number of requests that this client and its clones have sent to the API.
    ///
    /// Retries are included, because WHOOP counts them, too. Requests to the token endpoint are not
    /// included.
    pub fn requests_sent(&self) -> u64 {
        self.requests_sent.load(Ordering::Relaxed)
    }

    /// Returns the number of requests by endpoint and outcome, for all clients of the process that
    /// share the same connections.
    pub fn request_counts(&self) -> Vec<RequestCount> {
        self.shared.request_counters.counts()
    }
}

impl fmt::Debug for WhoopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhoopClient")
            .field("api_url", &self.shared.config.api_url.as_str())
            .field("client_id", &self.shared.config.client_id)
            .field("retry_policy", &self.retry_policy)
            .finish_non_exhaustive()
    }
}
