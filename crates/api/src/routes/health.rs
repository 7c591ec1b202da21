use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use whoop_storage::StorageError;
use whoop_sync::SyncError;

use crate::{json, openapi, problem::Problem, state::AppState, static_file::StaticFile};

/// Result of a health check.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HealthResponse {
    /// Always `ok`.
    status: &'static str,
}

/// Reports whether this process is alive.
#[utoipa::path(
    get, operation_id = "getHealth", path = "/healthz", tag = "Operations",
    responses((status = 200, description = "The process is alive", body = HealthResponse)),
)]
pub(crate) async fn alive() -> HttpResponse {
    json::respond(HttpResponse::Ok(), &HealthResponse { status: "ok" })
}

/// Reports whether this process is ready: the database is available and migrated.
#[utoipa::path(
    get, operation_id = "getReadiness", path = "/readyz", tag = "Operations",
    responses(
        (status = 200, description = "The process is ready", body = HealthResponse),
        (status = 503, description = "The process is not ready; `detail` gives the reason", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn ready(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state
        .run_on_engine(|engine| async move { engine.database.check().await })
        .await?
        .map_err(|error| match error {
            // The operator requests this route and needs the reason. Other routes do not return it.
            StorageError::NotMigrated(_) => Problem::unavailable("not-migrated", error.to_string()),
            error => error.into(),
        })?;
    Ok(json::respond(
        HttpResponse::Ok(),
        &HealthResponse { status: "ok" },
    ))
}

/// OpenAPI description of this API.
#[utoipa::path(
    get, operation_id = "getOpenapi", path = "/openapi.json", tag = "Operations",
    responses((status = 200, description = "The OpenAPI 3.1 document", body = serde_json::Value)),
)]
pub(crate) async fn openapi(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let file = OPENAPI_FILE.as_ref().ok_or(SyncError::Aborted)?;
    Ok(file.answer(&request))
}

/// The OpenAPI document as a file; `None` if it cannot be serialized.
///
/// It is serialized and compressed only once, because every caller can request it without
/// credentials.
static OPENAPI_FILE: LazyLock<Option<StaticFile>> = LazyLock::new(|| {
    let text = json::to_vec(&openapi::openapi_document()).ok()?;
    Some(StaticFile::new("openapi.json", text))
});
