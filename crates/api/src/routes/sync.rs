use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use whoop_core::{DataType, day::ConnectionStatus, plan::ReadReason};
use whoop_sync::{
    MemberOutcome, MemberReport, SyncContext, SyncError, TypeReport, member_sync::SyncRequest,
};

use crate::{
    body::JsonBody, json, member::PathMember, parameters, problem::Problem, reads::ReadPool,
    state::AppState,
};

/// Options of a sync.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncNowRequest {
    /// Data types to read; all four if absent.
    #[schema(value_type = Option<Vec<DataType>>, min_items = 1)]
    data_types: Option<Vec<String>>,
    /// Start of the time span to read: a date or an RFC 3339 instant. If it is more than three
    /// weeks ago, the span is read in the background.
    #[schema(
        pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))?$"
    )]
    from: Option<String>,
    /// Whether to wait for the result; true by default. Ignored if `from` is more than three weeks
    /// ago, because the span is then always read in the background.
    wait: Option<bool>,
}

/// Response to a request that does not wait: the sync runs in the background.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SyncStartedResponse {
    /// The app's id of the member.
    user_id: String,
    /// Always `running`.
    status: &'static str,
    /// Path of the member's sync status on this server.
    status_url: String,
}

/// Result of a sync.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SyncReport {
    /// The app's id of the member.
    user_id: String,
    /// Outcome of the sync.
    #[schema(value_type = SyncOutcomeSchema)]
    outcome: MemberOutcome,
    /// Result for each data type that was read.
    types: Vec<SyncedType>,
    /// Explanation for the member if not everything was read; otherwise null.
    error: Option<String>,
    /// Seconds until the quota allows more calls; null unless the quota was used up.
    retry_after_seconds: Option<u64>,
    /// Whether the member has to connect again.
    reauth_required: bool,
}

/// Result of a sync for one data type: numbers of records by what was done with them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SyncedType {
    /// Data type that was read.
    data_type: DataType,
    /// Number of new records.
    inserted: u64,
    /// Number of records that were replaced by a newer version.
    updated: u64,
    /// Number of records that were already stored in this version or a newer one.
    unchanged: u64,
    /// Number of records that were deleted because WHOOP no longer has them.
    deleted: u64,
    /// Number of records that could not be read and were set aside.
    rejected: u64,
    /// Explanation for the member if the data type was not read; otherwise null.
    error: Option<String>,
}

/// Outcome of a sync.
///
/// - `done`: everything was read
/// - `shared`: the result is that of another sync of the same member, which was running or had
///   ended less than a minute ago
/// - `deferred`: WHOOP's quota did not allow the sync now
/// - `failed`: not everything could be read
/// - `stopped`: the sync was stopped before its end
#[derive(utoipa::ToSchema)]
#[schema(as = SyncReportOutcome, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum SyncOutcomeSchema {
    Done,
    Shared,
    Deferred,
    Failed,
    Stopped,
}

impl From<MemberReport> for SyncReport {
    fn from(report: MemberReport) -> Self {
        Self {
            user_id: report.user_id,
            outcome: report.outcome,
            types: report.types.into_iter().map(SyncedType::from).collect(),
            error: report.user_message,
            retry_after_seconds: report.retry_after_seconds,
            reauth_required: report.reauth_required,
        }
    }
}

impl From<TypeReport> for SyncedType {
    fn from(report: TypeReport) -> Self {
        Self {
            data_type: report.data_type,
            inserted: report.stored.inserted,
            updated: report.stored.updated,
            unchanged: report.stored.unchanged,
            deleted: report.stored.deleted,
            rejected: report.stored.rejected,
            error: report.cause.as_ref().map(SyncError::user_message),
        }
    }
}

/// Reads a member's data from WHOOP now.
///
/// If `wait` is false or `from` is more than three weeks ago, the sync runs in the background, and
/// the response is 202 and is sent immediately. A span that begins more than three weeks ago is
/// read as a backfill, page by page, so that it delays no other request. A member has at most one
/// of these background syncs: while it is queued or running, another such request gets the same
/// response and starts no sync.
///
/// A data type that was read less than a minute ago is not read again. If this applies to all data
/// types of the request, the `outcome` is `shared`.
#[utoipa::path(
    post, operation_id = "syncNow", path = "/api/v1/whoop/sync/{user_id}", tag = "Sync",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    request_body(content = SyncNowRequest, description = "Optional; an empty body has the same effect as an empty object"),
    responses(
        (status = 200, description = "The result, by data type", body = SyncReport),
        (status = 202, description = "The sync has begun, or one was running already; `status_url` gives its status", body = SyncStartedResponse),
        (status = 400, description = "The body is invalid; `field` names the wrong field", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The member is not connected (`not-connected`), or has to connect again (`reauth-required`)", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "WHOOP's quota is used up (`quota-spent`), or too many requests of this member (`too-many-requests`); see `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "WHOOP or the database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn start(
    member: PathMember,
    body: JsonBody<SyncNowRequest>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let (PathMember(user_id), JsonBody(request)) = (member, body);
    let data_types = parameters::parse_data_types(request.data_types)?;
    let now = state.engine.clock().now();
    let since = request
        .from
        .map(|text| parameters::parse_since("from", &text, now))
        .transpose()?;
    let sync_request = SyncRequest {
        reason: ReadReason::Asked,
        slot: None,
        data_types,
        since,
        backfill: false,
    };
    let member = user_id.clone();
    let status = state
        .run_on_engine(|engine| async move { engine.operations.member_status(&member).await })
        .await??;
    match status.connection {
        ConnectionStatus::Connected => {}
        ConnectionStatus::ReauthRequired => return Err(SyncError::ReauthRequired.into()),
        ConnectionStatus::Disconnected | ConnectionStatus::NeverConnected => {
            return Err(SyncError::NotConnected.into());
        }
    }

    if request.wait == Some(false) || sync_request.exceeds_look_back(now) {
        let status_url = format!(
            "/api/v1/whoop/sync-status/{}",
            encode_path_segment(user_id.as_str())
        );
        let started = SyncStartedResponse {
            user_id: user_id.to_string(),
            status: "running",
            status_url,
        };
        if let Some(claim) = state.background_syncs.claim(&user_id) {
            let context = SyncContext::scheduled(None, state.background.stop_token());
            let engine = state.engine.clone();
            state.background.spawn(async move {
                let _claim = claim;
                if let Err(error) = engine
                    .background
                    .sync_in_background(&user_id, &context, &sync_request)
                    .await
                {
                    tracing::warn!(member = %user_id, %error, "background sync failed");
                }
            });
        }
        let mut response = HttpResponse::Accepted();
        response.insert_header((header::LOCATION, started.status_url.clone()));
        return Ok(json::respond(response, &started));
    }
    let member = user_id.clone();
    let context = SyncContext::interactive();
    let report = state
        .run_on_engine(|engine| async move {
            engine
                .members
                .sync_on_request(&user_id, &context, &sync_request)
                .await
        })
        .await??;
    reads.note_write(&member);
    sync_response(report)
}

fn sync_response(report: MemberReport) -> Result<HttpResponse, Problem> {
    if report.outcome == MemberOutcome::Deferred {
        return Err(Problem::quota(
            report.retry_after_seconds.unwrap_or(60).max(1),
        ));
    }
    if report.reauth_required {
        return Err(SyncError::ReauthRequired.into());
    }
    Ok(json::respond(HttpResponse::Ok(), &SyncReport::from(report)))
}

/// Encodes a user id for use as one segment of a path.
fn encode_path_segment(user_id: &str) -> String {
    let mut url = PLACEHOLDER_URL.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(user_id);
    }
    url.path().trim_start_matches('/').to_owned()
}

static PLACEHOLDER_URL: std::sync::LazyLock<url::Url> =
    std::sync::LazyLock::new(|| url::Url::parse("http://localhost").expect("a literal URL parses"));
