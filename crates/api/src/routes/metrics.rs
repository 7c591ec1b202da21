use std::sync::Arc;

use actix_web::{HttpResponse, web};
use chrono::TimeDelta;
use tokio::time::Instant;
use whoop_storage::{
    StorageError,
    table::{change, sync_log, users, webhook_event},
};
use whoop_sync::{SyncError, overview::ACTIVE_WINDOW};

use crate::{
    cause::ResponseCause,
    metrics::{CachedCounts, DatabaseCounts},
    problem::Problem,
    state::AppState,
};

/// Time window of the changes over which the delay percentiles are computed.
const DELAY_WINDOW: TimeDelta = TimeDelta::hours(1);

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics for Prometheus: requests, members by status of the connection, the database.
///
/// The metrics contain no user id, and this route needs no token. If `API_OPS_LISTEN` is set, the
/// public address does not serve this route.
#[utoipa::path(
    get, operation_id = "getMetrics", path = "/metrics", tag = "Operations",
    responses(
        (status = 200, description = "The metrics as OpenMetrics text", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ),
)]
pub(crate) async fn read(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let counted = read_counts(&state).await?;
    let failed = counted
        .as_ref()
        .err()
        .map(|error| ResponseCause::warning("metrics could not be read from the database", error));
    state.metrics.note_counts(counted.ok().as_ref());
    let (requests, records) = (
        state.engine.quota.request_counts(),
        state.engine.reader.record_counts(),
    );
    state.metrics.note_work(&requests, &records);
    state.metrics.note_audit_dropped(state.audit.dropped());
    state.metrics.note_streams(state.event_hub.stream_count());
    state.metrics.note_pool(state.engine.database.pool_status());
    let text = state.metrics.text().map_err(|_| SyncError::Aborted)?;
    let mut response = HttpResponse::Ok().content_type(CONTENT_TYPE).body(text);
    if let Some(cause) = failed {
        response.extensions_mut().insert(cause);
    }
    Ok(response)
}

async fn read_counts(
    state: &web::Data<AppState>,
) -> Result<Result<DatabaseCounts, StorageError>, Problem> {
    // The request that holds the lock counts; the other requests wait for its result.
    let mut cached = state.metrics.cached_counts.lock().await;
    let recent = cached.take().filter(|counts| counts.is_recent());
    let counted = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            let users = users::count_by_status(&mut conn).await?;
            let cached = match recent {
                Some(cached) => cached,
                None => Arc::new(CachedCounts {
                    events: webhook_event::count_by_state(&mut conn).await?,
                    delays: change::delay_percentiles(
                        &mut conn,
                        None,
                        engine.clock().now() - DELAY_WINDOW,
                    )
                    .await?,
                    oldest: {
                        let now = engine.clock().now();
                        sync_log::oldest(&mut conn, now - ACTIVE_WINDOW, now).await?
                    },
                    counted_at: Instant::now(),
                }),
            };
            drop(conn);
            Ok(DatabaseCounts {
                users,
                cached,
                quota: engine.quota.remaining_quota().await?,
            })
        })
        .await?;
    *cached = counted
        .as_ref()
        .ok()
        .map(|counts| Arc::clone(&counts.cached));
    Ok(counted)
}
