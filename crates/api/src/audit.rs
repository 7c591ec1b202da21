//! The audit trail: one row in the database for each request with a service key.
//!
//! Requests that only read (GET and HEAD) are frequent, so their rows are queued and written in
//! batches after the response. The row of any other request is written before the response is sent.

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
use whoop_storage::{service_key::Scope, table::audit::AuditEntry};
use whoop_sync::Engine;

use crate::{caller, problem::Problem, scope, state::AppState};

/// Maximum number of audit rows that wait in memory to be written. If the queue is full, further
/// rows are dropped.
const QUEUE_CAPACITY: usize = 10_000;

/// Maximum number of audit rows that one statement writes.
const BATCH_SIZE: usize = 500;

/// Maximum number of attempts to write a batch of audit rows. After the last one, the rows are
/// dropped.
const MAX_ATTEMPTS: u32 = 3;
/// Pause between two attempts to write a batch of audit rows.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Minimum time between two log lines about dropped audit rows, so that a database outage does not
/// flood the log.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Queue of audit rows, which a background task writes to the database.
#[derive(Clone)]
pub(crate) struct AuditQueue {
    sender: mpsc::Sender<AuditEntry>,
    dropped: Arc<DroppedRows>,
}

/// Counter of the audit rows that could not be queued or written.
#[derive(Debug, Default)]
struct DroppedRows {
    rows: AtomicU64,
    /// Number of rows that were dropped since the last log line, and the time of that log line.
    unreported: Mutex<(u64, Option<Instant>)>,
}

impl DroppedRows {
    fn record_drop(&self, rows: u64, reason: &str) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        let mut unreported = self
            .unreported
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unreported.0 += rows;
        if unreported
            .1
            .is_none_or(|at| at.elapsed() >= REPORT_INTERVAL)
        {
            unreported.1 = Some(Instant::now());
            let rows = mem::take(&mut unreported.0);
            tracing::error!(rows, why = reason, "audit rows lost");
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
    /// Returns the queue, and the task that writes the queued rows to the database.
    ///
    /// The task ends after `all_served` was cancelled and the queue is empty.
    pub(crate) fn new(
        engine: Engine,
        all_served: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
        let dropped = Arc::new(DroppedRows::default());
        let writer = write_batches(engine, receiver, Arc::clone(&dropped), all_served);
        (Self { sender, dropped }, writer)
    }

    /// Returns the number of audit rows that were dropped since the process started.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.rows.load(Ordering::Relaxed)
    }

    /// Adds a row to the queue without waiting for the database. If the queue is full, the row is
    /// dropped and counted.
    fn push(&self, entry: AuditEntry) {
        match self.sender.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.dropped.record_drop(1, "the queue is full"),
            Err(TrySendError::Closed(_)) => self.dropped.record_drop(1, "the process is stopping"),
        }
    }
}

async fn write_batches(
    engine: Engine,
    mut receiver: mpsc::Receiver<AuditEntry>,
    dropped: Arc<DroppedRows>,
    all_served: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH_SIZE);
    loop {
        tokio::select! {
            biased;
            rows = receiver.recv_many(&mut batch, BATCH_SIZE) => {
                if rows == 0 {
                    return;
                }
                write_batch(&engine, &batch, &dropped).await;
                batch.clear();
            }
            // The receiver still returns the rows that are already in the queue, and then ends the
            // loop.
            () = all_served.cancelled(), if !receiver.is_closed() => receiver.close(),
        }
    }
}

async fn write_batch(engine: &Engine, batch: &[AuditEntry], dropped: &DroppedRows) {
    let mut attempt = 1;
    while let Err(error) = engine.write_audit(batch).await {
        if attempt == MAX_ATTEMPTS || !error.is_transient() {
            dropped.record_drop(batch.len() as u64, "the database did not store them");
            tracing::error!(
                rows = batch.len(),
                error = &error as &dyn std::error::Error,
                "audit rows not written"
            );
            return;
        }
        attempt += 1;
        sleep(RETRY_PAUSE).await;
    }
}

/// Returns the action that the audit trail stores for requests to a route, such as `read` or
/// `sync`.
fn action_name(method: &Method, pattern: &str) -> &'static str {
    let tail = pattern.trim_start_matches("/api/v1/whoop/");
    match scope::scope_of_route(method, pattern) {
        Some(Scope::Read) if tail.starts_with("export/") => "export",
        Some(Scope::Read) => "read",
        Some(Scope::Sync) if tail.starts_with("connect/") => "connect",
        Some(Scope::Sync) => "sync",
        Some(Scope::Erase) => "disconnect",
        Some(Scope::Operate) => "operate",
        None => "request",
    }
}

/// Middleware that adds a row to the audit trail for each request with a service key, unless the
/// route has added its own row.
pub(crate) async fn record_request<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let response = next.call(request).await?;
    let request = response.request();
    let caller = caller::request_caller(request);
    let Some((state, caller)) = request.app_data::<web::Data<AppState>>().zip(caller) else {
        return Ok(response);
    };
    let Some(name) = &caller.key_name else {
        return Ok(response);
    };
    let status = response.status();
    state.metrics.note_key(name, caller.outcome, status);
    // A caller with an expired or revoked key has read nothing, and must not be able to fill the
    // table of the audit trail.
    let has_ended_key = matches!(caller.outcome, Some("expired" | "revoked"));
    if has_ended_key || caller.is_audited {
        return Ok(response);
    }
    let pattern = request.match_pattern().unwrap_or_default();
    let method = request.method();
    let route = pattern.trim_start_matches("/api/v1/whoop/");
    let detail = format!("{method} {route} {}", status.as_u16());
    let entry = caller::audit_actor(request)
        .entry(action_name(method, &pattern), state.engine.clock().now())
        .with_detail(&detail);
    let entry = match &caller.user_id {
        Some(user_id) => entry.about(user_id.as_str()),
        None => entry,
    };
    if matches!(*method, Method::GET | Method::HEAD) {
        state.audit.push(entry);
        return Ok(response);
    }
    let written = state
        .run_on_engine(|engine| async move { engine.write_audit(&[entry]).await })
        .await;
    if let Err(problem) = written.and_then(|result| result.map_err(Problem::from)) {
        state
            .audit
            .dropped
            .record_drop(1, "the database did not store it");
        tracing::error!(%problem, "audit row not written");
    }
    Ok(response)
}
