use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use whoop_core::day::ConnectionStatus;
use whoop_sync::{RevocationOutcome, SyncError};

use crate::{
    caller, json, member::PathMember, parameters, problem::Problem, reads::ReadPool,
    state::AppState,
};

/// Connection of a member to WHOOP.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct MemberConnection {
    /// The app's id of the member.
    user_id: String,
    /// State of the connection.
    connection: ConnectionStatus,
    /// Explanation for the member if the connection does not work; otherwise null.
    detail: Option<String>,
    /// Time at which the member was last connected; null if the member never connected.
    connected_at: Option<DateTime<Utc>>,
    /// Time at which the member was disconnected; null unless the member is disconnected.
    disconnected_at: Option<DateTime<Utc>>,
    /// Consent that the member gave when connecting, as the app sent it; null if it sent none.
    consent: Option<String>,
    /// Time at which the member gave the consent; null if there is none.
    consented_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DisconnectQuery {
    erase: Option<String>,
}

/// Result of disconnecting a member.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DisconnectResponse {
    /// The app's id of the member.
    user_id: String,
    /// `disconnected`, or `never_connected` if no data of the member is stored any more.
    connection: ConnectionStatus,
    /// Whether WHOOP confirmed that the permission was revoked.
    revoked: bool,
    /// Outcome of the revocation.
    #[schema(value_type = RevocationSchema, example = "done")]
    revocation: RevocationOutcome,
    /// Whether all stored data of the member was deleted.
    erased: bool,
    /// Receipt that proves the deletion; null if the data was kept. The receipt is stored without
    /// any reference to the member.
    receipt: Option<ReceiptResponse>,
}

/// Outcome of the revocation of a permission at WHOOP.
///
/// - `done`: WHOOP confirmed that the permission has ended
/// - `pending`: WHOOP did not answer; the service repeats the revocation
/// - `not_needed`: there was no permission, or it had already ended
/// - `in_use`: the same WHOOP account is connected for another member, so the permission was not
///   revoked
/// - `not_possible`: only the member can end the permission, in WHOOP's app
#[derive(utoipa::ToSchema)]
#[schema(as = Revocation, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum RevocationSchema {
    Done,
    Pending,
    NotNeeded,
    InUse,
    NotPossible,
}

/// Receipt of the deletion of all data of a member.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ErasureReceipt)]
pub(crate) struct ReceiptResponse {
    /// Id of the receipt.
    id: Uuid,
    /// Time of the deletion.
    erased_at: DateTime<Utc>,
    /// Number of rows that were deleted in all tables.
    deleted_rows: i64,
}

/// State of a member's connection to WHOOP.
#[utoipa::path(
    get, operation_id = "getConnection", path = "/api/v1/whoop/connection/{user_id}", tag = "Connection",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    responses(
        (status = 200, description = "The state of the connection", body = MemberConnection),
        (status = 400, description = "The user id is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    member: PathMember,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let member = user_id.clone();
    let status = state
        .run_on_engine(|engine| async move { engine.operations.member_status(&member).await })
        .await??;
    let row = status.member.as_ref();
    let body = MemberConnection {
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

/// Disconnects a member: deletes the tokens and revokes the permission at WHOOP.
///
/// If the member has begun to connect and has not finished, this is ended as well, even if the
/// member was never connected before: the callback then answers `unknown-state`.
///
/// With `erase=true` all stored data of the member is deleted in one transaction, and a receipt is
/// kept. If WHOOP does not answer, the member is disconnected all the same, and the service repeats
/// the revocation until WHOOP answers.
#[utoipa::path(
    delete, operation_id = "disconnect", path = "/api/v1/whoop/connection/{user_id}", tag = "Connection",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("erase" = Option<bool>, Query, description = "Whether to delete all stored data of the member; false by default"),
    ),
    responses(
        (status = 200, description = "The member is disconnected", body = DisconnectResponse),
        (status = 400, description = "A parameter is invalid; `field` names it", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The member never connected, and no connect is in progress", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn end(
    request: HttpRequest,
    member: PathMember,
    query: web::Query<DisconnectQuery>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let erase = parameters::parse_flag("erase", query.erase.as_deref())?;
    let member = user_id.clone();
    let actor = caller::audit_actor(&request);
    let result = state
        .run_on_engine(|engine| async move {
            engine.connections.disconnect(&member, erase, &actor).await
        })
        .await?
        .map_err(|error| match error {
            SyncError::NotConnected => Problem::new(
                StatusCode::NOT_FOUND,
                "never-connected",
                "The member has never connected",
                "this member has never connected to WHOOP",
            ),
            other => other.into(),
        })?;
    caller::note_audited(&request);
    reads.note_write(&user_id);
    if result.revocation == RevocationOutcome::Pending {
        let stop = state.background.stop_token();
        let engine = state.engine.clone();
        state
            .background
            .spawn(async move { engine.revocations.retry_revocations(stop).await });
    }
    let body = DisconnectResponse {
        user_id: user_id.into(),
        connection: result.connection,
        revoked: result.is_revoked(),
        revocation: result.revocation,
        erased: result.is_erased(),
        receipt: result.receipt.map(|receipt| ReceiptResponse {
            id: receipt.id,
            erased_at: receipt.erased_at,
            deleted_rows: receipt.deleted_rows,
        }),
    };
    Ok(json::respond(HttpResponse::Ok(), &body))
}
