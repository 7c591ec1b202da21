use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use whoop_core::{day::Connection, plan::Reason};
use whoop_sync::{Job, MemberReport, Outcome, member::Errand};

use crate::{body::JsonBody, json, member::Member, parameters, problem::Problem, state::AppState};

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Which types to read; all four if left out.
    data_types: Option<Vec<String>>,
    /// Reads back to here: a date or an RFC 3339 instant.
    from: Option<String>,
    /// Whether to wait for the result (the default).
    wait: Option<bool>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Started {
    user_id: String,
    /// Always `running`.
    status: &'static str,
    /// Where to look how it goes.
    status_url: String,
}

/// Reads a member's data from WHOOP now.
#[utoipa::path(
    post, path = "/api/v1/whoop/sync/{user_id}", tag = "Sync",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    request_body(content = Request, description = "May be left out"),
    responses(
        (status = 200, description = "What was read, type by type", body = serde_json::Value),
        (status = 202, description = "Begun; look at `status_url`", body = Started),
        (status = 400, description = "The body is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not connected, or to be connected again", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "WHOOP's quota is spent; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "WHOOP or the database is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn start(
    member: Member,
    body: JsonBody<Request>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (Member(user_id), JsonBody(request)) = (member, body);
    let data_types = parameters::data_types(request.data_types)?;
    let now = state.engine.clock().now();
    let since = request
        .from
        .map(|text| parameters::since("from", &text, now))
        .transpose()?;
    let errand = Errand {
        reason: Reason::Asked,
        slot: None,
        data_types,
        since,
        history: false,
    };
    let member = user_id.clone();
    let status = state
        .run(|engine| async move { engine.status(&member).await })
        .await??;
    match status.connection {
        Connection::Connected => {}
        Connection::ReauthRequired => return Err(whoop_sync::SyncError::ReauthRequired.into()),
        Connection::Disconnected | Connection::NeverConnected => {
            return Err(whoop_sync::SyncError::NotConnected.into());
        }
    }

    if request.wait == Some(false) {
        let status_url = format!("/api/v1/whoop/sync-status/{}", encoded(user_id.as_str()));
        let started = Started {
            user_id: user_id.to_string(),
            status: "running",
            status_url,
        };
        let job = Job::scheduled(None, state.background.stopping());
        let engine = state.engine.clone();
        state.background.spawn(async move {
            if let Err(error) = engine.sync_member(&user_id, &job, &errand).await {
                tracing::warn!(member = %user_id, error = %error, "the sync failed");
            }
        });
        let mut response = HttpResponse::Accepted();
        response.insert_header((header::LOCATION, started.status_url.clone()));
        return Ok(json::respond(response, &started));
    }
    let report = state
        .run(|engine| async move {
            engine
                .sync_member(&user_id, &Job::interactive(), &errand)
                .await
        })
        .await??;
    answer(&report)
}

fn answer(report: &MemberReport) -> Result<HttpResponse, Problem> {
    if report.outcome == Outcome::Deferred {
        return Err(Problem::quota(
            report.retry_after_seconds.unwrap_or(60).max(1),
        ));
    }
    if report.reauth_required {
        return Err(whoop_sync::SyncError::ReauthRequired.into());
    }
    Ok(json::respond(HttpResponse::Ok(), report))
}

/// A member's id as one segment of a path.
fn encoded(user_id: &str) -> String {
    let mut url = PLACEHOLDER.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(user_id);
    }
    url.path().trim_start_matches('/').to_owned()
}

static PLACEHOLDER: std::sync::LazyLock<url::Url> =
    std::sync::LazyLock::new(|| url::Url::parse("http://localhost").expect("a literal URL parses"));
