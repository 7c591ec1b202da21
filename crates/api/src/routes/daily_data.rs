use actix_web::{HttpRequest, HttpResponse, web};
use chrono::NaiveDate;
use serde::Deserialize;
use whoop_core::{UserId, day::Day, plan};
use whoop_storage::service_key::Scope;

use crate::{
    json,
    member::{self, PathMember},
    parameters,
    problem::Problem,
    reads::ReadPool,
    state::AppState,
};

/// Condition under which the service reads from WHOOP before it responds.
///
/// - `auto`: reads from WHOOP if the stored data is out of date and the day is current or was never
///   read
/// - `never`: returns the stored data
/// - `force`: always reads from WHOOP, except data that was read less than a minute ago; in that
///   case `meta.sync` is `shared`. A service key needs the scope `sync` for `force`.
#[derive(utoipa::ToSchema)]
#[schema(as = RefreshMode, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum RefreshSchema {
    Auto,
    Never,
    Force,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DailyDataQuery {
    date: Option<String>,
    refresh: Option<String>,
}

/// A member's day: recovery, sleep, cycle and workouts in one response.
///
/// The data comes from the database. For today, for yesterday, and for recent days that were never
/// read, data that is missing or out of date is read from WHOOP first.
#[utoipa::path(
    get, operation_id = "getDay", path = "/api/v1/whoop/daily-data/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("date" = Option<String>, Query, pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", format = Date, description = "Local date of the day, as YYYY-MM-DD; the member's current date by default", example = "2025-01-20"),
        ("refresh" = Option<RefreshSchema>, Query, description = "Condition for reading from WHOOP; `auto` by default"),
    ),
    responses(
        (status = 200, description = "The day, with a reason for each absent part", body = Day),
        (status = 304, description = "The caller has the current version: its `ETag` was sent in `If-None-Match`"),
        (status = 400, description = "A parameter is invalid; `field` names it", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    request: HttpRequest,
    member: PathMember,
    query: web::Query<DailyDataQuery>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let refresh = parameters::parse_refresh(query.refresh.as_deref())?;
    if refresh == plan::RefreshMode::Force {
        member::require_scope(&request, Scope::Sync)?;
    }
    let now = state.engine.clock().now();
    let date = query
        .date
        .as_deref()
        .map(|text| parameters::parse_past_date("date", text, now))
        .transpose()?;
    if let Some(day) = read_stored_day(&state, &reads, &user_id, date, refresh).await {
        return Ok(json::respond_unless_cached(&request, &day));
    }
    let member = user_id.clone();
    let day = state
        .run_on_engine(|engine| async move {
            let date = match date {
                Some(date) => date,
                None => engine.days.today(&member).await?,
            };
            engine.days.day(&member, date, refresh).await
        })
        .await??;
    reads.note_write(&user_id);
    Ok(json::respond_unless_cached(&request, &day))
}

/// Returns the day from stored data. Returns `None` if this worker cannot read it, or if WHOOP has
/// to be called first.
///
/// If the day is returned, also records the app open in the background, if it is due.
async fn read_stored_day(
    state: &AppState,
    reads: &ReadPool,
    user_id: &UserId,
    date: Option<NaiveDate>,
    refresh: plan::RefreshMode,
) -> Option<Day> {
    let conn = reads.member_connection(user_id).await?;
    let engine = &state.engine;
    let found = engine
        .days
        .day_from_database(&conn, user_id, date, refresh)
        .await;
    let found = found
        .inspect_err(|error| ReadPool::log_fallback(error))
        .ok()?;
    let day = found.day?;
    if found.is_new_app_open {
        let (engine, user_id) = (engine.clone(), user_id.clone());
        state.background.spawn(async move {
            if let Err(error) = engine.days.note_app_open(&user_id).await {
                tracing::warn!(%error, "app open not recorded");
            }
        });
    }
    Some(day)
}
