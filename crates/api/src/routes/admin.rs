//! Routes for the operator, which require a service key.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use whoop_storage::table::webhook_event::{
    self, WebhookEventFilter, WebhookEventRow, WebhookEventState,
};
use whoop_sync::{
    doctor::DoctorCheck,
    overview::{self, Overview},
};

use crate::{
    body::JsonBody, json, member::OperatorAccess, parameters, problem::Problem,
    self_checks::self_checks, state::AppState,
};

/// Number of events in one response if the request does not contain `limit`.
const DEFAULT_LIMIT: i64 = 50;
/// Maximum number of events in one response.
const MAX_LIMIT: i64 = 500;

/// State of the service: members, quota, scheduled runs, webhooks and freshness.
///
/// The numbers are the same as those of `sync-worker status`.
#[utoipa::path(
    get, operation_id = "getOverview", path = "/api/v1/whoop/admin/status", tag = "Operations",
    responses(
        (status = 200, description = "The state of the service", body = Overview),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller has no service key", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn status(
    _: OperatorAccess,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let overview = state
        .run_on_engine(|engine| async move {
            let now = engine.clock().now();
            overview::read_overview(&engine.database, engine.quota.limits, now).await
        })
        .await??;
    Ok(json::respond(HttpResponse::Ok(), &overview))
}

/// Results of the checks of the service.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DoctorResponse {
    /// One entry for each check, in the order in which the checks ran.
    checks: Vec<DoctorCheck>,
}

/// Checks the service, and returns the problems with what to do about each of them.
///
/// Runs the checks of `sync-worker doctor` in this process. Also checks the process itself: its
/// limit of open files, and its settings for the authentication of callers. The checks make one
/// call to WHOOP. They also send a request that does not count against the quota, in order to check
/// whether WHOOP knows the WHOOP app.
#[utoipa::path(
    post, operation_id = "examine", path = "/api/v1/whoop/admin/doctor", tag = "Operations",
    responses(
        (status = 200, description = "The results of the checks", body = DoctorResponse),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller has no service key", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn doctor(
    _: OperatorAccess,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let mut checks = self_checks(&state);
    let found = state
        .run_on_engine(|engine| async move {
            let mut checks = Vec::new();
            engine
                .operations
                .run_checks(&mut checks)
                .await
                .map(|()| checks)
        })
        .await??;
    checks.extend(found);
    Ok(json::respond(
        HttpResponse::Ok(),
        &DoctorResponse { checks },
    ))
}

#[derive(Debug, Deserialize)]
pub(crate) struct WebhooksQuery {
    state: Option<String>,
    limit: Option<String>,
}

/// Webhook events, and the number of events in each state.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WebhooksResponse {
    /// Number of stored events per state. A state without events is absent.
    counts: BTreeMap<String, i64>,
    /// The events that the parameters select, the latest first.
    events: Vec<WebhookEventRow>,
}

/// Webhook events that WHOOP sent, each with the state of its processing.
///
/// The list is the same as that of `sync-worker webhooks list`. Events are kept for 30 days.
#[utoipa::path(
    get, operation_id = "getWebhooks", path = "/api/v1/whoop/admin/webhooks", tag = "Operations",
    params(
        ("state" = Option<WebhookEventState>, Query, description = "Only events in this state; all states by default"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Maximum number of events; 50 by default"),
    ),
    responses(
        (status = 200, description = "The events, the latest first", body = WebhooksResponse),
        (status = 400, description = "A parameter is invalid; `field` names it", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller has no service key", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn webhooks(
    _: OperatorAccess,
    query: web::Query<WebhooksQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let state_filter = query
        .state
        .as_deref()
        .map(|word| parse_state("state", word));
    let filter = WebhookEventFilter {
        states: state_filter.transpose()?.into_iter().collect(),
        ..WebhookEventFilter::default()
    };
    let limit = query.limit.as_deref();
    let limit = parameters::parse_number("limit", limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?;
    let (counts, events) = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            let counts = webhook_event::count_by_state(&mut conn).await?;
            let events = webhook_event::list(&mut conn, &filter, limit).await?;
            Ok::<_, whoop_storage::StorageError>((counts, events))
        })
        .await??;
    let counts = counts.into_iter().map(|one| (one.state, one.events));
    Ok(json::respond(
        HttpResponse::Ok(),
        &WebhooksResponse {
            counts: counts.collect(),
            events,
        },
    ))
}

/// Selection of the events that are processed again. At least one of the two fields must be given.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// Ids of the events. If absent, events with any id are selected.
    #[schema(min_items = 1)]
    ids: Option<Vec<i64>>,
    /// States of the events. If absent, events in any state are selected.
    #[schema(value_type = Option<Vec<WebhookEventState>>, min_items = 1)]
    states: Option<Vec<String>>,
}

/// Result of a request to process events again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ReplayResponse {
    /// Number of events that will be processed again.
    replayed: u64,
}

/// Processes webhook events again. Their earlier attempts are no longer counted.
///
/// The selection works as in `sync-worker webhooks replay`. Events of an unknown type are not
/// processed again.
#[utoipa::path(
    post, operation_id = "replayWebhooks", path = "/api/v1/whoop/admin/webhooks/replay", tag = "Operations",
    request_body(content = ReplayRequest, description = "Selection of the events"),
    responses(
        (status = 200, description = "The events will be processed again", body = ReplayResponse),
        (status = 400, description = "The body is invalid, or selects no events (`names-nothing`)", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller has no service key", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn replay(
    _: OperatorAccess,
    body: JsonBody<ReplayRequest>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let JsonBody(request) = body;
    for (field, is_empty) in [
        ("ids", request.ids.as_ref().is_some_and(Vec::is_empty)),
        ("states", request.states.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if is_empty {
            let detail = "the list is empty; add an entry or omit the list";
            return Err(Problem::invalid("names-nothing", field, detail));
        }
    }
    let states = request.states.unwrap_or_default();
    let filter = WebhookEventFilter {
        ids: request.ids.unwrap_or_default(),
        states: states
            .iter()
            .map(|word| parse_state("states", word))
            .collect::<Result<_, _>>()?,
        ..WebhookEventFilter::default()
    };
    if filter.ids.is_empty() && filter.states.is_empty() {
        return Err(Problem::invalid(
            "names-nothing",
            "ids",
            "select events with ids, states or both; for all dead letters: {\"states\": [\"dead\"]}",
        ));
    }
    let replayed = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            let now = engine.clock().now();
            webhook_event::replay(&mut conn, &filter, now).await
        })
        .await??;
    state.webhook_arrived.notify_one();
    Ok(json::respond(
        HttpResponse::Ok(),
        &ReplayResponse { replayed },
    ))
}

fn parse_state(field: &'static str, word: &str) -> Result<WebhookEventState, Problem> {
    WebhookEventState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| {
            let words = WebhookEventState::ALL
                .map(WebhookEventState::as_str)
                .join(", ");
            Problem::invalid(
                "invalid-state",
                field,
                format!("the state must be one of {words}"),
            )
        })
}
