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
    QuotaGate, RateLimit, RequestCount, RetryPolicy, WhoopConfig, WhoopError,
    config::append_segments, rate_limit::QuotaHeaders, rate_limit_gate::RateLimitGate,
    request_count::RequestCounters,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const USER_AGENT: &str = concat!("whoop-backend/", env!("CARGO_PKG_VERSION"));

/// Client of WHOOP's API for one WHOOP app.
///
/// Clones share the connections, the rate-limit gates and the last known quota headers.
#[derive(Clone)]
pub struct WhoopClient {
    shared: Arc<ClientState>,
    retry_policy: RetryPolicy,
    quota_gate: Option<Arc<dyn QuotaGate>>,
    requests_sent: Arc<AtomicU64>,
}

struct ClientState {
    config: WhoopConfig,
    clock: Arc<dyn Clock>,
    http: Client,
    api_gate: RateLimitGate,
    /// Separate gate, because the token endpoint may have limits of its own.
    token_gate: RateLimitGate,
    rate_limit: Mutex<Option<RateLimit>>,
    request_counters: RequestCounters,
}

impl WhoopClient {
    /// Creates a client with the retry policy of app requests; see
    /// [`WhoopClient::with_retry_policy`].
    ///
    /// # Errors
    ///
    /// Returns an error if a URL is not a web address, or if the machine has no root certificates.
    pub fn new(config: WhoopConfig, clock: Arc<dyn Clock>) -> Result<Self, WhoopError> {
        config.validate()?;
        let mut http = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would send the token to another server.
            .redirect(redirect::Policy::none());
        if config.is_loopback() {
            http = http.no_proxy();
        }
        if config.is_plain_http() {
            // Plain HTTP needs no root certificates, so an image without them is sufficient.
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
                rate_limit: Mutex::default(),
                request_counters: RequestCounters::default(),
            }),
            retry_policy: RetryPolicy::interactive(),
            quota_gate: None,
            requests_sent: Arc::default(),
        })
    }

    /// Returns a client for the same WHOOP app with another retry policy and its own count of
    /// requests.
    #[must_use]
    pub fn with_retry_policy(&self, retry_policy: RetryPolicy) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            retry_policy,
            quota_gate: self.quota_gate.clone(),
            requests_sent: Arc::default(),
        }
    }

    /// Returns a client for the same WHOOP app that takes permits from `quota_gate`.
    #[must_use]
    pub fn with_quota_gate(&self, quota_gate: Arc<dyn QuotaGate>) -> Self {
        Self {
            quota_gate: Some(quota_gate),
            ..self.clone()
        }
    }

    /// Returns the number of requests that this client and its clones sent to the API.
    ///
    /// Retries count, as they do at WHOOP. Requests to the token endpoint do not count.
    pub fn requests_sent(&self) -> u64 {
        self.requests_sent.load(Ordering::Relaxed)
    }

    /// Returns the outcomes of all requests of this process, from any client with the same
    /// connections.
    pub fn request_counts(&self) -> Vec<RequestCount> {
        self.shared.request_counters.counts()
    }

    pub(crate) fn request_counters(&self) -> &RequestCounters {
        &self.shared.request_counters
    }

    pub(crate) fn count_request(&self) {
        self.requests_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the quota from the latest reply that had all quota headers.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.shared
            .rate_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stores the quota headers of a reply.
    pub(crate) async fn store_rate_limit(&self, headers: &HeaderMap) -> QuotaHeaders {
        let now = self.now();
        let quota = QuotaHeaders::from_headers(headers, now);
        if let Some(rate_limit) = quota.rate_limit(now) {
            if let Some(quota_gate) = self.quota_gate() {
                quota_gate.on_response_headers(&rate_limit).await;
            }
            *self
                .shared
                .rate_limit
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(rate_limit);
        }
        quota
    }

    pub(crate) fn api_url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        append_segments(&self.shared.config.api_url, segments)
    }

    pub(crate) fn config(&self) -> &WhoopConfig {
        &self.shared.config
    }

    pub(crate) fn http(&self) -> &Client {
        &self.shared.http
    }

    pub(crate) fn api_gate(&self) -> &RateLimitGate {
        &self.shared.api_gate
    }

    pub(crate) fn token_gate(&self) -> &RateLimitGate {
        &self.shared.token_gate
    }

    pub(crate) fn quota_gate(&self) -> Option<&dyn QuotaGate> {
        self.quota_gate.as_deref()
    }

    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        &self.retry_policy
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }
}

impl fmt::Debug for WhoopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhoopClient")
            .field("api_url", &self.config().api_url.as_str())
            .field("client_id", &self.config().client_id)
            .field("retry_policy", &self.retry_policy)
            .finish_non_exhaustive()
    }
}
