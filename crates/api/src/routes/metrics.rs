use actix_web::{HttpResponse, web};
use whoop_storage::{StorageError, table::users};
use whoop_sync::SyncError;

use crate::{problem::Problem, state::AppState};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures for Prometheus: requests, members by connection, the database.
///
/// Nobody's name is in them, so no token is asked for. Where they should not be
/// seen from outside, keep this path off the public address.
#[utoipa::path(
    get, path = "/metrics", tag = "Operations",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ),
)]
pub(crate) async fn read(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let counted = state
        .run(|engine| async move {
            let mut conn = engine.database.get().await?;
            let users = users::count(&mut conn).await?;
            drop(conn);
            Ok::<_, StorageError>((users, engine.quota().await?))
        })
        .await?;
    if let Err(error) = &counted {
        tracing::warn!(%error, "the members could not be counted");
    }
    let (users, quota) = counted.ok().unzip();
    state.metrics.note_users(users.as_deref());
    state.metrics.note_quota(quota);
    state.metrics.note_pool(state.engine.database.pool_status());
    let text = state.metrics.text().map_err(|_| SyncError::Aborted)?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}
