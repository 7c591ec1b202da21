use actix_web::{HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use whoop_sync::confirm::ConfirmError;

use crate::{
    body::JsonBody, json, member::PathMemberBeforeLast, problem::Problem, reads::ReadPool,
    state::AppState,
};

/// Maximum length of the one-time word that the app sends, in bytes.
const MAX_WORD_BYTES: usize = 100;

/// Confirmation that a member is to be connected.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    /// The one-time word that the callback has added to `return_to` as the parameter `confirm`.
    #[schema(required = true, nullable = false, min_length = 1, max_length = 100)]
    confirm: Option<String>,
}

/// Result of the confirmation: the member is connected.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ConfirmResponse {
    /// Always `connected`.
    status: &'static str,
    /// The app's id of the member.
    user_id: String,
}

/// Connects a member who has consented at WHOOP, if `CONNECT_CONFIRM` is `required`.
///
/// The member is not connected before this request. The app sends it when the browser returns with
/// `status=confirm`, with the JWT of the member who is signed in to the app. If another member
/// began to connect, no WHOOP account is connected, and the permission is revoked at WHOOP.
#[utoipa::path(
    post, operation_id = "confirmConnect", path = "/api/v1/whoop/connect/{user_id}/confirm", tag = "Connection",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    request_body(content = ConfirmRequest, description = "The one-time word of the connect"),
    responses(
        (status = 200, description = "The member is connected, and the first sync has begun", body = ConfirmResponse),
        (status = 400, description = "The body is invalid (`invalid-confirm`), or the word was never issued or was already used (`unknown-confirm`)", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another member began this connect (`confirm-mismatch`), the stored data of the member belongs to another WHOOP account (`other-whoop-account`), or WHOOP ended the permission (`permission-ended`); nothing was connected", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The connect was not confirmed within ten minutes (`confirm-expired`)", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests of this member; the word remains valid, see `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable; the word remains valid", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn confirm(
    member: PathMemberBeforeLast,
    body: JsonBody<ConfirmRequest>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let (PathMemberBeforeLast(user_id), JsonBody(request)) = (member, body);
    let word = request
        .confirm
        .filter(|word| !word.is_empty() && word.len() <= MAX_WORD_BYTES)
        .ok_or_else(|| {
            Problem::invalid(
                "invalid-confirm",
                "confirm",
                "send the word from the parameter `confirm` of the callback's redirect, such as {\"confirm\": \"3q2-7w…\"}",
            )
        })?;
    let member = user_id.clone();
    let background = state.background.clone();
    let confirmed = state
        .run_on_engine(|engine| async move {
            let first_sync = engine.confirmations.confirm_connect(&member, &word).await?;
            background.spawn(first_sync);
            Ok(())
        })
        .await?;
    confirmed.map_err(confirm_problem)?;
    reads.note_write(&user_id);
    let body = ConfirmResponse {
        status: "connected",
        user_id: user_id.into(),
    };
    Ok(json::respond(HttpResponse::Ok(), &body))
}

fn confirm_problem(error: ConfirmError) -> Problem {
    let detail = error.to_string();
    match error {
        ConfirmError::Unknown => Problem::invalid("unknown-confirm", "confirm", detail),
        ConfirmError::Expired => Problem::new(
            StatusCode::GONE,
            "confirm-expired",
            "The connect was not confirmed in time",
            detail,
        )
        .with_field("confirm"),
        ConfirmError::OtherMember => Problem::conflict("confirm-mismatch", detail),
        ConfirmError::PermissionEnded => Problem::conflict("permission-ended", detail),
        ConfirmError::Failed(error) => error.into(),
        ConfirmError::Storage(error) => error.into(),
    }
}
