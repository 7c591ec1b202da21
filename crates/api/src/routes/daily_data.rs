use actix_web::{HttpResponse, web};
use serde::Deserialize;
use whoop_core::day::Day;

use crate::{json, member::Member, parameters, problem::Problem, state::AppState};

#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    date: Option<String>,
    refresh: Option<String>,
}

/// A member's day: recovery, sleep, cycle and workouts in one answer.
///
/// From the database; today, yesterday and recent days never read are fetched
/// from WHOOP first if they are missing or out of date.
#[utoipa::path(
    get, path = "/api/v1/whoop/daily-data/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("date" = Option<String>, Query, description = "YYYY-MM-DD; the member's today if left out", example = "2025-01-20"),
        ("refresh" = Option<String>, Query, description = "`auto` (default), `never` or `force`"),
    ),
    responses(
        (status = 200, description = "The day, with a reason for all that is absent", body = Day),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    member: Member,
    query: web::Query<Query>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let Member(user_id) = member;
    let refresh = parameters::refresh(query.refresh.as_deref())?;
    let now = state.engine.clock().now();
    let date = query
        .date
        .as_deref()
        .map(|text| parameters::past_date("date", text, now))
        .transpose()?;
    let day = state
        .run(|engine| async move {
            let date = match date {
                Some(date) => date,
                None => engine.today(&user_id).await?,
            };
            engine.day(&user_id, date, refresh).await
        })
        .await??;
    Ok(json::respond(HttpResponse::Ok(), &day))
}
