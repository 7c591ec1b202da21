use std::sync::Arc;

use actix_web::{HttpResponse, web};
use chrono::TimeDelta;
use tokio::time::Instant;
use whoop_storage::{
    StorageError,
    table::{change, sync_log, users, webhook_event},
};
use whoop_sync::{SyncError, overview::ACTIVE_FOR};

use crate::{
    cause::Cause,
    metrics::{Counts, LongCounts},
    problem::Problem,
    state::AppState,
};

/// Of how long the changes are whose delay is told.
const DELAYS_OF: TimeDelta = TimeDelta::hours(1);

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures for Prometheus: requests, members by connection, the database.
///
/// They hold no member's name and need no token. `API_OPS_LISTEN` keeps them off the public
/// address.
#[utoipa::path(
    get, operation_id = "getMetrics", path = "/metrics", tag = "Operations",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ),
)]
pub(crate) async fn read(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let counted = count(&state).await?;
    let failed = counted
        .as_ref()
        .err()
        .map(|error| Cause::warning("the members could not be counted", error));
    state.metrics.note_counts(counted.ok().as_ref());
    let (requests, records) = (state.engine.requests_made(), state.engine.became());
    state.metrics.note_work(&requests, &records);
    state.metrics.note_audit_dropped(state.audit.dropped());
    state.metrics.note_streams(state.hub.streams());
    state.metrics.note_pool(state.engine.database.pool_status());
    let text = state.metrics.text().map_err(|_| SyncError::Aborted)?;
    let mut response = HttpResponse::Ok().content_type(CONTENT_TYPE).body(text);
    if let Some(cause) = failed {
        response.extensions_mut().insert(cause);
    }
    Ok(response)
}

async fn count(state: &web::Data<AppState>) -> Result<Result<Counts, StorageError>, Problem> {
    // One counts, the others wait for it.
    let mut known = state.metrics.long.lock().await;
    let recent = known.take().filter(|long| long.is_recent());
    let counted = state
        .run(|engine| async move {
            let mut conn = engine.database.get().await?;
            let users = users::count(&mut conn).await?;
            let long = match recent {
                Some(long) => long,
                None => Arc::new(LongCounts {
                    events: webhook_event::count(&mut conn).await?,
                    delays: change::delays(&mut conn, None, engine.clock().now() - DELAYS_OF)
                        .await?,
                    oldest: {
                        let now = engine.clock().now();
                        sync_log::oldest(&mut conn, now - ACTIVE_FOR, now).await?
                    },
                    counted_at: Instant::now(),
                }),
            };
            drop(conn);
            Ok(Counts {
                users,
                long,
                quota: engine.quota().await?,
            })
        })
        .await?;
    *known = counted.as_ref().ok().map(|counts| Arc::clone(&counts.long));
    Ok(counted)
}
