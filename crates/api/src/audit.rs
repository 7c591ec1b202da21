//! The audit trail of requests by service keys.
//!
//! Reads are many, so their rows are written beside the answers, in batches. Everything that changes
//! something has its row before its answer is sent.

use std::{
    fmt,
    future::Future,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use whoop_storage::{service_key::Scope, table::audit::Entry};
use whoop_sync::Engine;

use crate::{caller, problem::Problem, scope, state::AppState};

/// Rows that may wait for the database.
const WAITING: usize = 10_000;

/// Rows that are written in one statement.
const BATCH: usize = 500;

/// Attempts to write a batch, and the pause between them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Least time between two log lines about a queue that is full.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Rows on their way to the database.
#[derive(Clone)]
pub(crate) struct AuditQueue {
    to: mpsc::Sender<Entry>,
    lost: Arc<Lost>,
}

/// Rows that could not be written.
#[derive(Debug, Default)]
struct Lost {
    rows: AtomicU64,
    unreported: Mutex<(u64, Option<Instant>)>,
}

impl Lost {
    fn note(&self, rows: u64, why: &str) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        let mut unreported = self
            .unreported
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unreported.0 += rows;
        if unreported.1.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            unreported.1 = Some(Instant::now());
            let rows = mem::take(&mut unreported.0);
            tracing::error!(rows, why, "audit rows lost");
        }
    }
}

impl fmt::Debug for AuditQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQueue")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl AuditQueue {
    /// The queue, and the work that empties it. The work ends after `served` is cancelled and the
    /// queue is empty.
    pub(crate) fn new(
        engine: Engine,
        served: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (to, from) = mpsc::channel(WAITING);
        let lost = Arc::new(Lost::default());
        let writer = write_all(engine, from, Arc::clone(&lost), served);
        (Self { to, lost }, writer)
    }

    /// Rows that were lost since the process began.
    pub(crate) fn dropped(&self) -> u64 {
        self.lost.rows.load(Ordering::Relaxed)
    }

    /// Lets a row be written in a moment.
    fn push(&self, entry: Entry) {
        match self.to.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.lost.note(1, "too many wait for the database"),
            Err(TrySendError::Closed(_)) => self.lost.note(1, "the process is ending"),
        }
    }
}

async fn write_all(
    engine: Engine,
    mut from: mpsc::Receiver<Entry>,
    lost: Arc<Lost>,
    served: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            rows = from.recv_many(&mut batch, BATCH) => {
                if rows == 0 {
                    return;
                }
                write(&engine, &batch, &lost).await;
                batch.clear();
            }
            // What waits is still received after this.
            () = served.cancelled(), if !from.is_closed() => from.close(),
        }
    }
}

async fn write(engine: &Engine, batch: &[Entry], lost: &Lost) {
    let mut attempt = 1;
    while let Err(error) = engine.write_audit(batch).await {
        if attempt == ATTEMPTS || !error.is_transient() {
            lost.note(batch.len() as u64, "the database refused them");
            tracing::error!(
                rows = batch.len(),
                error = &error as &dyn std::error::Error,
                "audit rows not written"
            );
            return;
        }
        attempt += 1;
        sleep(PAUSE).await;
    }
}

/// The action of a route, as the audit trail names it.
fn action(method: &Method, pattern: &str) -> &'static str {
    let tail = pattern.trim_start_matches("/api/v1/whoop/");
    match scope::of_route(method, pattern) {
        Some(Scope::Read) if tail.starts_with("export/") => "export",
        Some(Scope::Read) => "read",
        Some(Scope::Sync) if tail.starts_with("connect/") => "connect",
        Some(Scope::Sync) => "sync",
        Some(Scope::Erase) => "disconnect",
        Some(Scope::Operate) => "operate",
        None => "request",
    }
}

/// Adds a row for a request by a service key, unless the route did.
pub(crate) async fn record<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let response = next.call(request).await?;
    let request = response.request();
    let called = caller::of(request);
    let Some((state, called)) = request.app_data::<web::Data<AppState>>().zip(called) else {
        return Ok(response);
    };
    let Some(name) = &called.key else {
        return Ok(response);
    };
    let status = response.status();
    state.metrics.note_key(name, called.outcome, status);
    // An ended key accessed nothing; its holder must not be able to fill the table.
    let is_ended = matches!(called.outcome, Some("expired" | "revoked"));
    if is_ended || called.is_audited {
        return Ok(response);
    }
    let pattern = request.match_pattern().unwrap_or_default();
    let method = request.method();
    let route = pattern.trim_start_matches("/api/v1/whoop/");
    let detail = format!("{method} {route} {}", status.as_u16());
    let entry = caller::actor(request)
        .entry(action(method, &pattern), state.engine.clock().now())
        .with_detail(&detail);
    let entry = match &called.user_id {
        Some(user_id) => entry.about(user_id.as_str()),
        None => entry,
    };
    if matches!(*method, Method::GET | Method::HEAD) {
        state.audit.push(entry);
        return Ok(response);
    }
    let written = state
        .run(|engine| async move { engine.write_audit(&[entry]).await })
        .await;
    if let Err(problem) = written.and_then(|done| done.map_err(Problem::from)) {
        state.audit.lost.note(1, "the database refused it");
        tracing::error!(%problem, "audit row not written");
    }
    Ok(response)
}
