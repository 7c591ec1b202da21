use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use whoop_sync::{SyncError, confirm::PendingConfirmation, connect::ConnectError};

use crate::{
    cause::ResponseCause, json, problem::Problem, reads::ReadPool, return_to::with_parameter,
    state::AppState,
};

#[derive(Deserialize)]
pub(crate) struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Outcome of connecting a member to WHOOP, if no `return_to` was given.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CallbackResponse {
    /// Outcome: the member is connected, or the app has to confirm this first.
    #[schema(value_type = ConnectStatus)]
    status: ConnectStatus,
    /// The app's id of the member. Present if the member is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<String>,
    /// One-time word that the app has to send to `POST …/connect/{user_id}/confirm`. Present if the
    /// app has to confirm that the member is to be connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    confirm: Option<String>,
}

/// Outcome of connecting a member to WHOOP.
///
/// - `connected`: the member is connected
/// - `confirm`: the member is connected after the app has confirmed this, within ten minutes
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConnectStatus {
    Connected,
    Confirm,
}

/// Address to which WHOOP redirects the member's browser from its consent page.
///
/// If a `return_to` was given, the browser is redirected to it, with `status=connected`, or with
/// `error=` and one of the words below. Otherwise this response contains the outcome. With
/// `CONNECT_CONFIRM=required` the status is `confirm`, and `confirm=` contains a one-time word that
/// the app must send to `POST …/connect/{user_id}/confirm` within ten minutes.
///
/// The words are WHOOP's own, such as `access_denied` (the member refused, or did not allow access
/// to the profile), or one of the following words: `invalid_code`, `used_state` and `expired_state`
/// (begin to connect again); `other_whoop_account` (erase the member's data first);
/// `whoop_unavailable` and `quota_spent` (try again later); `service_refused` (WHOOP does not know
/// this service; its operator has to act); `internal`.
#[utoipa::path(
    get, operation_id = "finishConnect", path = "/api/v1/whoop/callback", tag = "Connection",
    params(
        ("state" = String, Query, min_length = 1, description = "The `state` of the authorization URL; valid once and for ten minutes"),
        ("code" = Option<String>, Query, description = "WHOOP's authorization code"),
        ("error" = Option<String>, Query, description = "WHOOP's error word, if WHOOP or the member refused"),
    ),
    responses(
        (status = 200, description = "The member is connected, or the app has to confirm the connect; no `return_to` was given", body = CallbackResponse),
        (status = 303, description = "Redirect to `return_to`"),
        (status = 400, description = "The state or the code is missing, invalid, used or expired, or WHOOP or the member refused (`connect-refused`)", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "WHOOP's quota is used up; see `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The stored data of the member belongs to another WHOOP account", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "WHOOP or the database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn receive(
    query: web::Query<CallbackQuery>,
    app: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let state = query
        .state
        .as_deref()
        .filter(|state| !state.is_empty())
        .ok_or_else(|| {
            Problem::invalid(
                "missing-state",
                "state",
                "the parameter `state`, which WHOOP's redirect contains, is missing",
            )
        })?;
    if let Some(error) = &query.error {
        let state = state.to_owned();
        let return_to = app
            .run_on_engine(|engine| async move { engine.connections.cancel_connect(&state).await })
            .await?;
        return match return_to {
            Ok(return_to) => redirect_with_error(return_to.as_deref(), error_word(error)),
            Err(error) => refused_connect_response(error),
        };
    }
    let code = query
        .code
        .as_deref()
        .filter(|code| !code.is_empty())
        .ok_or_else(|| {
            Problem::invalid(
                "missing-code",
                "code",
                "the parameter `code`, which WHOOP's redirect contains, is missing",
            )
        })?;
    let (state, code) = (state.to_owned(), code.to_owned());
    if app.confirms_connects {
        let pending = app
            .run_on_engine(|engine| async move {
                engine
                    .confirmations
                    .prepare_confirmation(&state, &code)
                    .await
            })
            .await?;
        return match pending {
            Ok(PendingConfirmation {
                word,
                return_to: Some(return_to),
            }) => Ok(redirect_response(
                &return_to,
                &[("status", "confirm"), ("confirm", &word)],
            )),
            Ok(PendingConfirmation { word, .. }) => Ok(json::respond(
                HttpResponse::Ok(),
                &CallbackResponse {
                    status: ConnectStatus::Confirm,
                    user_id: None,
                    confirm: Some(word),
                },
            )),
            Err(error) => failed_connect_response(error),
        };
    }
    let background = app.background.clone();
    let connected = app
        .run_on_engine(|engine| async move {
            let connect = engine.connections.complete_connect(&state, &code).await?;
            background.spawn(connect.first_sync);
            Ok((connect.user_id, connect.return_to))
        })
        .await?;
    match connected {
        Ok((user_id, return_to)) => {
            reads.note_write(&user_id);
            match return_to {
                Some(return_to) => Ok(redirect_response(&return_to, &[("status", "connected")])),
                None => Ok(json::respond(
                    HttpResponse::Ok(),
                    &CallbackResponse {
                        status: ConnectStatus::Connected,
                        user_id: Some(user_id.into()),
                        confirm: None,
                    },
                )),
            }
        }
        Err(error) => failed_connect_response(error),
    }
}

/// Returns the response to a callback after which the member is not connected. `error` is the
/// reason.
fn failed_connect_response(error: ConnectError) -> Result<HttpResponse, Problem> {
    let ConnectError::Failed { return_to, source } = error else {
        return refused_connect_response(error);
    };
    let cause = ResponseCause::warning("connect failed", &source);
    let word = match &source {
        error if error.quota_wait().is_some() => "quota_spent",
        SyncError::Whoop(error) if error.is_invalid_grant() => "invalid_code",
        error if error.is_app_rejected() => "service_refused",
        error if error.is_profile_refused() => "access_denied",
        SyncError::Whoop(_) => "whoop_unavailable",
        SyncError::OtherAccount => "other_whoop_account",
        SyncError::ReauthRequired => "whoop_unavailable",
        _ => "internal",
    };
    match (&return_to, source) {
        (None, SyncError::Whoop(error)) if error.is_invalid_grant() => {
            Err(
                Problem::invalid("invalid-code", "code", "WHOOP does not accept this code")
                    .with_cause(cause),
            )
        }
        (None, source) => Err(source.into()),
        _ => {
            let mut response = redirect_with_error(return_to.as_deref(), word)?;
            response.extensions_mut().insert(cause);
            Ok(response)
        }
    }
}

/// Returns WHOOP's error word if it consists of at most 40 lower-case letters and underscores.
/// Otherwise returns `whoop_refused`.
fn error_word(error: &str) -> &str {
    let is_word = error.len() <= 40
        && error
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word && !error.is_empty() {
        error
    } else {
        "whoop_refused"
    }
}

fn redirect_with_error(return_to: Option<&str>, word: &str) -> Result<HttpResponse, Problem> {
    match return_to {
        Some(return_to) => Ok(redirect_response(return_to, &[("error", word)])),
        None => Err(Problem::invalid(
            "connect-refused",
            "error",
            format!("WHOOP did not connect the member: {word}"),
        )),
    }
}

fn redirect_response(return_to: &str, parameters: &[(&str, &str)]) -> HttpResponse {
    let mut location = return_to.to_owned();
    for (name, value) in parameters {
        location = with_parameter(&location, name, value).unwrap_or(location);
    }
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // The address of the callback contains an authorization code, which the next page must not
        // receive in `Referer`.
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .finish()
}

/// Returns the response to a callback with a state that is used, expired or unknown.
///
/// If the state was stored with a `return_to`, the browser is redirected to the app in this case,
/// too: the member may have reloaded the page, or opened it again much later.
fn refused_connect_response(error: ConnectError) -> Result<HttpResponse, Problem> {
    let (word, name, return_to) = match &error {
        ConnectError::StateUsed { return_to } => ("used_state", "used-state", return_to),
        ConnectError::StateExpired { return_to } => ("expired_state", "expired-state", return_to),
        ConnectError::StateUnknown => ("unknown_state", "unknown-state", &None),
        _ => ("internal", "connect-refused", &None),
    };
    if return_to.is_some() {
        return redirect_with_error(return_to.as_deref(), word);
    }
    match error {
        ConnectError::Storage(error) => Err(error.into()),
        error => Err(Problem::invalid(name, "state", error.to_string())),
    }
}
