//! What the operator reads at three in the morning, for Prometheus.
//!
//! Labels come from short lists only: a route's pattern and never its path,
//! so nobody's name is in them and nobody can make them many.

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
use whoop_core::{DataType, day::Connection};
use whoop_storage::{
    PoolStatus,
    table::{
        change::Delays,
        sync_log::Oldest,
        users::Count,
        webhook_event::{self, State},
    },
};
use whoop_sync::{Became, Made, QuotaLeft};

use crate::state::AppState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

/// Requests with a service key that is stored or in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyRequest {
    key: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamCall {
    endpoint: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoredRecord {
    data_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfType {
    data_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Window {
    window: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Quantile {
    quantile: &'static str,
}

/// The metrics of one API.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram>,
    key_requests: Family<KeyRequest, Counter>,
    audit_dropped: Counter,
    users: Family<Status, Gauge>,
    connections: Family<PoolState, Gauge>,
    quota: Family<Window, Gauge>,
    upstream_calls: Family<UpstreamCall, Counter>,
    records: Family<StoredRecord, Counter>,
    ages: Family<OfType, Gauge<f64, AtomicU64>>,
    events: Family<EventState, Gauge>,
    delays: Family<Quantile, Gauge<f64, AtomicU64>>,
    streams: Gauge,
    database_up: Gauge,
    /// As of the last count; whoever counts holds it.
    pub(crate) long: Mutex<Option<Arc<LongCounts>>>,
}

/// How often many rows are looked at.
const COUNTED_EVERY: Duration = Duration::from_secs(10);

/// What is read of the database for one scrape.
pub(crate) struct Counts {
    pub(crate) users: Vec<Count>,
    pub(crate) quota: QuotaLeft,
    pub(crate) long: Arc<LongCounts>,
}

/// What takes a look at many rows, and is not counted anew for everybody who asks:
/// the route needs no token.
pub(crate) struct LongCounts {
    pub(crate) counted_at: Instant,
    pub(crate) events: Vec<webhook_event::Count>,
    /// Of the last hour's changes.
    pub(crate) delays: Delays,
    /// Of members who were seen in the last week.
    pub(crate) oldest: Vec<Oldest>,
}

impl LongCounts {
    pub(crate) fn is_recent(&self) -> bool {
        self.counted_at.elapsed() < COUNTED_EVERY
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("whoop");
        let requests = Family::<Request, Counter>::default();
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status",
            requests.clone(),
        );
        let durations = Family::<Route, Histogram>::new_with_constructor(|| {
            // 1 ms to 8 s, each twice the one before.
            Histogram::new(exponential_buckets(0.001, 2.0, 14))
        });
        registry.register(
            "http_request_duration_seconds",
            "From a request to the head of its answer",
            durations.clone(),
        );
        let key_requests = Family::<KeyRequest, Counter>::default();
        registry.register(
            "service_key_requests",
            "Requests with a known service key, by the name of the key and outcome: answered, insufficient_scope, expired, revoked, refused (other 4xx) or failed (5xx)",
            key_requests.clone(),
        );
        let audit_dropped = Counter::default();
        registry.register(
            "audit_dropped",
            "Rows of the audit trail that this process could not write",
            audit_dropped.clone(),
        );
        let users = Family::<Status, Gauge>::default();
        registry.register(
            "users",
            "Members by connection; reauth_required have to connect WHOOP again",
            users.clone(),
        );
        let connections = Family::<PoolState, Gauge>::default();
        registry.register(
            "database_connections",
            "Connections to PostgreSQL that syncs and writes share, the smaller half of DATABASE_POOL_SIZE, and who waits for one; what only reads has the others, one of each worker of the server",
            connections.clone(),
        );
        let quota = Family::<Window, Gauge>::default();
        registry.register(
            "upstream_budget_remaining",
            "Calls to WHOOP that are left of the app's quota, all processes together",
            quota.clone(),
        );
        let upstream_calls = Family::<UpstreamCall, Counter>::default();
        registry.register(
            "upstream_calls",
            "Requests of this process to WHOOP, by endpoint and what came of them",
            upstream_calls.clone(),
        );
        let records = Family::<StoredRecord, Counter>::default();
        registry.register(
            "sync_records",
            "WHOOP's records that this process stored, by what became of them",
            records.clone(),
        );
        let ages = Family::<OfType, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "sync_age_seconds",
            "Since a type was last read, of the member of whom that is longest ago among those seen in a week",
            ages.clone(),
        );
        let events = Family::<EventState, Gauge>::default();
        registry.register(
            "webhook_events",
            "WHOOP's webhooks of the last 30 days, by state",
            events.clone(),
        );
        let delays = Family::<Quantile, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "change_delay_seconds",
            "From a change at WHOOP until it could be read here, of the last hour's changes",
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
            "1 if PostgreSQL answered while these were read",
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
            ages,
            events,
            delays,
            streams,
            database_up,
            long: Mutex::default(),
        }
    }

    fn note_request(&self, method: &Method, route: String, status: u16, took: Duration) {
        self.durations
            .get_or_create(&Route {
                route: route.clone(),
            })
            .observe(took.as_secs_f64());
        let request = Request {
            method: known(method),
            route,
            status,
        };
        self.requests.get_or_create(&request).inc();
    }

    /// Counts a request by a known service key.
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
        let request = KeyRequest {
            key: name.to_owned(),
            outcome: refusal.unwrap_or_else(by_status),
        };
        self.key_requests.get_or_create(&request).inc();
    }

    /// Rows of the audit trail that were lost since this process began.
    pub(crate) fn note_audit_dropped(&self, rows: u64) {
        self.audit_dropped.inner().store(rows, Ordering::Relaxed);
    }

    /// What the database says now; `None` if it did not. An old number would look
    /// like a current one.
    pub(crate) fn note_counts(&self, counts: Option<&Counts>) {
        self.note_users(counts.map(|counts| counts.users.as_slice()));
        self.note_quota(counts.map(|counts| counts.quota));
        self.delays.clear();
        self.ages.clear();
        let Some(counts) = counts else {
            self.events.clear();
            return;
        };
        for state in State::ALL {
            let state = state.as_str();
            let count = counts.long.events.iter().find(|one| one.state == state);
            self.events
                .get_or_create(&EventState { state })
                .set(count.map_or(0, |one| one.events));
        }
        for data_type in DataType::ALL.map(DataType::as_str) {
            let oldest = &counts.long.oldest;
            if let Some(one) = oldest.iter().find(|one| one.data_type == data_type) {
                self.ages
                    .get_or_create(&OfType { data_type })
                    .set(one.seconds);
            }
        }
        for (quantile, seconds) in [
            ("0.5", counts.long.delays.median),
            ("0.95", counts.long.delays.p95),
        ] {
            if let Some(seconds) = seconds {
                self.delays
                    .get_or_create(&Quantile { quantile })
                    .set(seconds);
            }
        }
    }

    /// What this process did since it began.
    pub(crate) fn note_work(&self, requests: &[Made], records: &[Became]) {
        for one in requests {
            let call = UpstreamCall {
                endpoint: one.endpoint,
                outcome: one.outcome,
            };
            let counter = self.upstream_calls.get_or_create(&call);
            counter.inner().store(one.requests, Ordering::Relaxed);
        }
        for one in records {
            let record = StoredRecord {
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

    fn note_users(&self, counts: Option<&[Count]>) {
        self.database_up.set(i64::from(counts.is_some()));
        let Some(counts) = counts else {
            self.users.clear();
            return;
        };
        for connection in [
            Connection::Connected,
            Connection::ReauthRequired,
            Connection::Disconnected,
        ] {
            let status = connection.as_str();
            let count = counts.iter().find(|one| one.status == status);
            self.users
                .get_or_create(&Status { status })
                .set(count.map_or(0, |one| one.members));
        }
    }

    /// What is left of WHOOP's quota; `None` if PostgreSQL did not say.
    fn note_quota(&self, left: Option<QuotaLeft>) {
        let Some(left) = left else {
            self.quota.clear();
            return;
        };
        for (window, calls) in [("minute", left.minute), ("day", left.day)] {
            self.quota
                .get_or_create(&Window { window })
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
                .get_or_create(&PoolState { state })
                .set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    /// All of them, in the text format that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Anybody may send any word as a method, and each would be a time series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a request and takes its time.
pub(crate) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = tokio::time::Instant::now();
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
            .note_request(&method, route, status.as_u16(), began.elapsed());
    }
    response
}
