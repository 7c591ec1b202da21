use actix_web::{HttpRequest, HttpResponse, web};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use whoop_core::{UserId, day::BriefDay};
use whoop_storage::day_range;

use crate::{
    json, member::PathMember, parameters, problem::Problem, reads::ReadPool, state::AppState,
};

/// Maximum length of a span in one request, in days: a year and a month.
const MAX_RANGE_DAYS: i64 = 400;

#[derive(Debug, Deserialize)]
pub(crate) struct RangeQuery {
    from: Option<String>,
    to: Option<String>,
}

/// Key figures of each day of a span.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RangeResponse {
    /// The app's id of the member.
    #[schema(value_type = String)]
    user_id: UserId,
    /// First date of the span.
    from: NaiveDate,
    /// Last date of the span.
    to: NaiveDate,
    /// One entry for each date of the span, the oldest first.
    days: Vec<BriefDay>,
}

/// A span of days with a few numbers for each day, for charts.
///
/// The data comes only from the database, without a call to WHOOP. The numbers of a date are the
/// same as in the response for that day; absent values are null.
#[utoipa::path(
    get, operation_id = "getRange", path = "/api/v1/whoop/range/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("from" = String, Query, pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", format = Date, description = "First date of the span, as YYYY-MM-DD", example = "2025-01-01"),
        ("to" = String, Query, pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", format = Date, description = "Last date of the span, as YYYY-MM-DD; at most 399 days after `from`", example = "2025-01-31"),
    ),
    responses(
        (status = 200, description = "The key figures, one entry for each date", body = RangeResponse),
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
    query: web::Query<RangeQuery>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let date = |field, text: &Option<String>| {
        let text = text.as_deref().ok_or_else(|| {
            Problem::invalid(
                "missing-date",
                field,
                "`from` and `to` are both required, as dates such as 2025-01-20",
            )
        })?;
        parameters::parse_date(field, text)
    };
    let (from, to) = (date("from", &query.from)?, date("to", &query.to)?);
    parameters::check_date_order(from, to)?;
    if (to - from).num_days() >= MAX_RANGE_DAYS {
        return Err(Problem::invalid(
            "span-too-long",
            "to",
            format!("the span may have at most {MAX_RANGE_DAYS} days"),
        ));
    }
    let member = user_id.clone();
    let days = reads
        .read(&state, &user_id, move |conn| {
            let member = member.clone();
            async move { day_range::read(&conn, &member, from, to).await }
        })
        .await?;
    let range = RangeResponse {
        user_id,
        from,
        to,
        days,
    };
    Ok(json::respond_unless_cached(&request, &range))
}
