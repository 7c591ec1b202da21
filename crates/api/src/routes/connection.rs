use actix_web::{HttpResponse, http::StatusCode, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use whoop_core::day::Connection;
use whoop_sync::SyncError;

use crate::{json, member::Member, parameters, problem::Problem, state::AppState};

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct State {
    user_id: String,
    connection: Connection,
    /// Why the connection is not as it should be, for people.
    detail: Option<String>,
    connected_at: Option<DateTime<Utc>>,
    disconnected_at: Option<DateTime<Utc>>,
    /// What the member agreed to when connecting, as the app named it.
    consent: Option<String>,
    consented_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    erase: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Left {
    user_id: String,
    /// `disconnected`, or `never_connected` where nothing is left.
    connection: Connection,
    /// Whether WHOOP confirmed that the permission is gone.
    revoked: bool,
    /// Whether everything stored of the member was deleted.
    erased: bool,
}

/// How a member stands with WHOOP.
#[utoipa::path(
    get, path = "/api/v1/whoop/connection/{user_id}", tag = "Connection",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    responses(
        (status = 200, description = "The state of the connection", body = State),
        (status = 400, description = "The user id is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    member: Member,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let Member(user_id) = member;
    let member = user_id.clone();
    let status = state
        .run(|engine| async move { engine.status(&member).await })
        .await??;
    let row = status.member.as_ref();
    let body = State {
        user_id: user_id.into(),
        connection: status.connection,
        detail: row.and_then(|row| row.status_detail.clone()),
        connected_at: row.map(|row| row.connected_at),
        disconnected_at: row.and_then(|row| row.disconnected_at),
        consent: row.and_then(|row| row.consent.clone()),
        consented_at: row.and_then(|row| row.consented_at),
    };
    Ok(json::respond(HttpResponse::Ok(), &body))
}

/// Disconnects a member: revoked at WHOOP, the tokens destroyed.
///
/// With `erase=true` everything that is stored of the member is deleted.
#[utoipa::path(
    delete, path = "/api/v1/whoop/connection/{user_id}", tag = "Connection",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("erase" = Option<bool>, Query, description = "Delete all that is stored of the member"),
    ),
    responses(
        (status = 200, description = "Disconnected", body = Left),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The member never connected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn end(
    member: Member,
    query: web::Query<Query>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let Member(user_id) = member;
    let erase = parameters::flag("erase", query.erase.as_deref())?;
    let leaving = user_id.clone();
    let left = state
        .run(|engine| async move { engine.disconnect(&leaving, erase).await })
        .await?
        .map_err(|error| match error {
            SyncError::NotConnected => Problem::new(
                StatusCode::NOT_FOUND,
                "never-connected",
                "There is no such connection",
                "this member never connected WHOOP here",
            ),
            other => other.into(),
        })?;
    let body = Left {
        user_id: user_id.into(),
        connection: if left.erased {
            Connection::NeverConnected
        } else {
            Connection::Disconnected
        },
        revoked: left.revoked,
        erased: left.erased,
    };
    Ok(json::respond(HttpResponse::Ok(), &body))
}
