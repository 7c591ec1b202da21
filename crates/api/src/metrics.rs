//! Metrics of the API process for Prometheus.
//!
//! The number of time series is limited, and callers cannot create new time series: labels contain
//! the pattern of a route, never its path, and no user id.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode},
    middleware::Next,
    web,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::{sync::Mutex, time::Instant};
use whoop_core::{DataType, day::ConnectionStatus};
use whoop_storage::{
    PoolStatus,
    table::{
        change::DelayPercentiles,
        sync_log::DataTypeAge,
        users::MemberStatusCount,
        webhook_event::{self, WebhookEventState},
    },
};
use whoop_sync::{RecordCount, RemainingQuota, RequestCount};

use crate::state::AppState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// Labels of the metric that counts requests with a known service key, in the database or in the
/// settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyRequestLabels {
    key: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberStatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolStateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamCallLabels {
    endpoint: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncRecordLabels {
    data_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DataTypeLabel {
    data_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaWindowLabel {
    window: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventStateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabel {
    quantile: &'static str,
}

/// All metrics of one API process.
pub(crate) struct ApiMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram>,
    key_requests: Family<KeyRequestLabels, Counter>,
    audit_dropped: Counter,
    users: Family<MemberStatusLabel, Gauge>,
    connections: Family<PoolStateLabel, Gauge>,
    quota: Family<QuotaWindowLabel, Gauge>,
    upstream_calls: Family<UpstreamCallLabels, Counter>,
    records: Family<SyncRecordLabels, Counter>,
    sync_ages: Family<DataTypeLabel, Gauge<f64, AtomicU64>>,
    events: Family<EventStateLabel, Gauge>,
    delays: Family<QuantileLabel, Gauge<f64, AtomicU64>>,
    streams: Gauge,
    database_up: Gauge,
    /// Result of the last count of many rows; `None` before the first one and after a failed one.
    /// The request that counts holds the lock, so that other requests wait for its result.
    pub(crate) cached_counts: Mutex<Option<Arc<CachedCounts>>>,
}

/// Minimum interval between two counts that have to read many rows: the result of a count is used
/// for 10 seconds.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// Values that one request for the metrics (scrape) reads from the database.
pub(crate) struct DatabaseCounts {
    pub(crate) users: Vec<MemberStatusCount>,
    pub(crate) quota: RemainingQuota,
    pub(crate) cached: Arc<CachedCounts>,
}

/// Values for which many rows have to be read. They are cached for [`COUNT_INTERVAL`].
///
/// The route of the metrics needs no token, so without the cache any caller could cause such a
/// count with every request.
pub(crate) struct CachedCounts {
    pub(crate) counted_at: Instant,
    pub(crate) events: Vec<webhook_event::EventStateCount>,
    /// Percentiles of the delay from a change at WHOOP until it was stored here, over the changes
    /// of the last hour.
    pub(crate) delays: DelayPercentiles,
    /// Seconds since the last sync of the least recently synced member, per data type. Only members
    /// who were active in the last 7 days are considered.
    pub(crate) oldest: Vec<DataTypeAge>,
}

impl CachedCounts {
    pub(crate) fn is_recent(&self) -> bool {
        self.counted_at.elapsed() < COUNT_INTERVAL
    }
}

impl fmt::Debug for ApiMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiMetrics").finish_non_exhaustive()
    }
}

impl ApiMetrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("whoop");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register(
            "http_requests",
            "Answered requests, by method, route and status",
            requests.clone(),
        );
        let durations = Family::<RouteLabel, Histogram>::new_with_constructor(|| {
            // The upper bounds of the buckets are 1 ms to 8 s. Each is twice the previous one.
            Histogram::new(exponential_buckets(0.001, 2.0, 14))
        });
        registry.register(
            "http_request_duration_seconds",
            "Time in seconds from the start of a request to the head of its response, by route",
            durations.clone(),
        );
        let key_requests = Family::<KeyRequestLabels, Counter>::default();
        registry.register(
            "service_key_requests",
            "Requests with a known service key, by name of the key and outcome: answered, \
             insufficient_scope, expired, revoked, refused (other 4xx) or failed (5xx)",
            key_requests.clone(),
        );
        let audit_dropped = Counter::default();
        registry.register(
            "audit_dropped",
            "Rows of the audit trail that this process could not store",
            audit_dropped.clone(),
        );
        let users = Family::<MemberStatusLabel, Gauge>::default();
        registry.register(
            "users",
            "Members, by status of their connection to WHOOP; members with the status \
             reauth_required have to connect again",
            users.clone(),
        );
        let connections = Family::<PoolStateLabel, Gauge>::default();
        registry.register(
            "database_connections",
            "Connections of the pool that syncs and writes share, by state: in_use, idle and max; \
             waiting is the number of requests that wait for one. The other connections of \
             DATABASE_POOL_SIZE, at most half of them, are for reads and are not counted",
            connections.clone(),
        );
        let quota = Family::<QuotaWindowLabel, Gauge>::default();
        registry.register(
            "upstream_budget_remaining",
            "Remaining calls of WHOOP's quota for all processes together, by window",
            quota.clone(),
        );
        let upstream_calls = Family::<UpstreamCallLabels, Counter>::default();
        registry.register(
            "upstream_calls",
            "Requests of this process to WHOOP, by endpoint and outcome",
            upstream_calls.clone(),
        );
        let records = Family::<SyncRecordLabels, Counter>::default();
        registry.register(
            "sync_records",
            "WHOOP records that this process processed, by data type and outcome",
            records.clone(),
        );
        let ages = Family::<DataTypeLabel, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "sync_age_seconds",
            "Seconds since the last sync of the least recently synced active member, by data type; \
             active members had an app request within 7 days",
            ages.clone(),
        );
        let events = Family::<EventStateLabel, Gauge>::default();
        registry.register(
            "webhook_events",
            "Webhook events that WHOOP sent within 30 days, by state",
            events.clone(),
        );
        let delays = Family::<QuantileLabel, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "change_delay_seconds",
            "Delay in seconds from a change at WHOOP until it was stored here, over the changes of \
             the last hour, by quantile",
            delays.clone(),
        );
        let streams = Gauge::default();
        registry.register(
            "event_streams",
            "Open event streams of this process",
            streams.clone(),
        );
        let database_up = Gauge::default();
        registry.register(
            "database_up",
            "1 if PostgreSQL answered during this scrape, otherwise 0",
            database_up.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            key_requests,
            audit_dropped,
            users,
            connections,
            quota,
            upstream_calls,
            records,
            sync_ages: ages,
            events,
            delays,
            streams,
            database_up,
            cached_counts: Mutex::default(),
        }
    }

    fn note_request(&self, method: &Method, route: String, status: u16, duration: Duration) {
        self.durations
            .get_or_create(&RouteLabel {
                route: route.clone(),
            })
            .observe(duration.as_secs_f64());
        let request = RequestLabels {
            method: method_label(method),
            route,
            status,
        };
        self.requests.get_or_create(&request).inc();
    }

    /// Counts a request with a known service key. `refusal` is the reason for which the key was
    /// refused; if there is none, `status` determines the outcome.
    pub(crate) fn note_key(&self, name: &str, refusal: Option<&'static str>, status: StatusCode) {
        let by_status = || {
            if status.is_server_error() {
                "failed"
            } else if status.is_client_error() {
                "refused"
            } else {
                "answered"
            }
        };
        let request = KeyRequestLabels {
            key: name.to_owned(),
            outcome: refusal.unwrap_or_else(by_status),
        };
        self.key_requests.get_or_create(&request).inc();
    }

    /// Sets the metric for audit rows that were dropped since this process started.
    pub(crate) fn note_audit_dropped(&self, rows: u64) {
        self.audit_dropped.inner().store(rows, Ordering::Relaxed);
    }

    /// Sets the gauges to the values that were read from the database.
    ///
    /// If `counts` is `None` because the database did not answer, clears the gauges: an old value
    /// would look like a current one.
    pub(crate) fn note_counts(&self, counts: Option<&DatabaseCounts>) {
        self.note_users(counts.map(|counts| counts.users.as_slice()));
        self.note_quota(counts.map(|counts| counts.quota));
        self.delays.clear();
        self.sync_ages.clear();
        let Some(counts) = counts else {
            self.events.clear();
            return;
        };
        for state in WebhookEventState::ALL {
            let state = state.as_str();
            let count = counts.cached.events.iter().find(|one| one.state == state);
            self.events
                .get_or_create(&EventStateLabel { state })
                .set(count.map_or(0, |one| one.events));
        }
        for data_type in DataType::ALL.map(DataType::as_str) {
            let oldest = &counts.cached.oldest;
            if let Some(one) = oldest.iter().find(|one| one.data_type == data_type) {
                self.sync_ages
                    .get_or_create(&DataTypeLabel { data_type })
                    .set(one.seconds);
            }
        }
        for (quantile, seconds) in [
            ("0.5", counts.cached.delays.median),
            ("0.95", counts.cached.delays.p95),
        ] {
            if let Some(seconds) = seconds {
                self.delays
                    .get_or_create(&QuantileLabel { quantile })
                    .set(seconds);
            }
        }
    }

    /// Sets the counters of the requests that this process has sent to WHOOP, and of the records
    /// that it has processed.
    pub(crate) fn note_work(&self, requests: &[RequestCount], records: &[RecordCount]) {
        for one in requests {
            let call = UpstreamCallLabels {
                endpoint: one.endpoint,
                outcome: one.outcome,
            };
            let counter = self.upstream_calls.get_or_create(&call);
            counter.inner().store(one.requests, Ordering::Relaxed);
        }
        for one in records {
            let record = SyncRecordLabels {
                data_type: one.data_type.as_str(),
                outcome: one.outcome,
            };
            let counter = self.records.get_or_create(&record);
            counter.inner().store(one.records, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_streams(&self, streams: usize) {
        self.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
    }

    fn note_users(&self, counts: Option<&[MemberStatusCount]>) {
        self.database_up.set(i64::from(counts.is_some()));
        let Some(counts) = counts else {
            self.users.clear();
            return;
        };
        for connection in [
            ConnectionStatus::Connected,
            ConnectionStatus::ReauthRequired,
            ConnectionStatus::Disconnected,
        ] {
            let status = connection.as_str();
            let count = counts.iter().find(|one| one.status == status);
            self.users
                .get_or_create(&MemberStatusLabel { status })
                .set(count.map_or(0, |one| one.members));
        }
    }

    /// Sets the gauges of WHOOP's remaining quota. If `remaining` is `None` because PostgreSQL did
    /// not answer, clears them.
    fn note_quota(&self, remaining: Option<RemainingQuota>) {
        let Some(remaining) = remaining else {
            self.quota.clear();
            return;
        };
        for (window, calls) in [("minute", remaining.minute), ("day", remaining.day)] {
            self.quota
                .get_or_create(&QuotaWindowLabel { window })
                .set(i64::from(calls));
        }
    }

    pub(crate) fn note_pool(&self, pool: PoolStatus) {
        for (state, number) in [
            ("in_use", pool.in_use),
            ("idle", pool.idle),
            ("waiting", pool.waiting),
            ("max", pool.max),
        ] {
            self.connections
                .get_or_create(&PoolStateLabel { state })
                .set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    /// Returns all metrics in the text format that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Returns the value of the label `method` for an HTTP method. All unknown methods share the value
/// `other`.
///
/// A caller can send any word as a method, and each word would otherwise be a new time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Middleware that counts each request and measures its duration.
pub(crate) async fn observe_request<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started_at = Instant::now();
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let method = request.method().clone();
    let response = next.call(request).await;
    if let Some(state) = state {
        let (route, status) = match &response {
            Ok(response) => (response.request().match_pattern(), response.status()),
            Err(error) => (None, error.as_response_error().status_code()),
        };
        let route = route.unwrap_or_else(|| "none".to_owned());
        state
            .metrics
            .note_request(&method, route, status.as_u16(), started_at.elapsed());
    }
    response
}
