use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use whoop_core::DataType;
use whoop_storage::{
    records::{self, DateRange, DatedRecord, PageCursor, PageQuery},
    table::users,
};

use crate::{
    cursor, json, member::PathMember, parameters, problem::Problem, reads::ReadPool,
    state::AppState,
};

/// Number of records in one response if the request does not contain `limit`.
const DEFAULT_LIMIT: i64 = 50;
/// Maximum number of records in one response.
const MAX_LIMIT: i64 = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct RecordsQuery {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A page of records of one data type.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RecordPage {
    /// The records as WHOOP sent them. `local_date` is added to each record and contains its local
    /// date.
    #[schema(value_type = Vec<Object>)]
    records: Vec<DatedRecord>,
    /// Value of `cursor` for the next page; null on the last page.
    next_cursor: Option<String>,
}

/// Complete records of one data type, the newest day first.
///
/// The data comes only from the database. To read the next page, send `next_cursor` of this page as
/// `cursor`. No record is repeated or missed because other records are written between two
/// requests. To keep a copy of a member's data up to date, use the route for changes instead.
#[utoipa::path(
    get, operation_id = "getRecords", path = "/api/v1/whoop/records/{data_type}/{user_id}", tag = "Data",
    params(
        ("data_type" = DataType, Path, description = "Data type of the records"),
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("from" = Option<String>, Query, pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", format = Date, description = "First local date, as YYYY-MM-DD; the earliest by default"),
        ("to" = Option<String>, Query, pattern = r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", format = Date, description = "Last local date, as YYYY-MM-DD; the latest by default"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 200, description = "Maximum number of records; 50 by default"),
        ("cursor" = Option<String>, Query, min_length = 1, description = "`next_cursor` of the previous page"),
    ),
    responses(
        (status = 200, description = "A page of records", body = RecordPage),
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
    query: web::Query<RecordsQuery>,
    state: web::Data<AppState>,
    reads: web::Data<ReadPool>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let word = request.match_info().query("data_type");
    let data_type: DataType = word.parse().map_err(|_| {
        Problem::invalid(
            "unknown-data-type",
            "data_type",
            "the data type must be recovery, sleep, workout or cycle",
        )
    })?;
    let date = |field, text: Option<&str>| {
        text.map(|text| parameters::parse_date(field, text))
            .transpose()
    };
    let span = DateRange {
        from: date("from", query.from.as_deref())?,
        to: date("to", query.to.as_deref())?,
    };
    if let (Some(from), Some(to)) = (span.from, span.to) {
        parameters::check_date_order(from, to)?;
    }
    let limit = query.limit.as_deref();
    let limit = parameters::parse_number("limit", limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?;
    let below = query.cursor.as_deref().map(cursor::decode).transpose()?;
    let member_id = user_id.clone();
    // One record more than requested is read. It shows whether there is another page.
    let page = PageQuery {
        dates: span,
        after: below,
        limit: limit + 1,
    };
    let (mut rows, whoop_user_id) = reads
        .read(&state, &user_id, move |mut conn| {
            let (member_id, page) = (member_id.clone(), page.clone());
            async move {
                let member = users::find(&mut conn, &member_id).await?;
                let rows = records::page(&mut conn, &member_id, data_type, &page).await?;
                Ok((rows, member.map_or(0, |member| member.whoop_user_id)))
            }
        })
        .await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > shown;
    rows.truncate(shown);
    let last: Option<PageCursor> = rows
        .last()
        .filter(|_| has_more)
        .map(records::RecordRow::page_cursor);
    let records = rows
        .into_iter()
        .map(|row| row.into_dated_record(whoop_user_id))
        .collect::<Result<_, _>>()?;
    let page = RecordPage {
        records,
        next_cursor: last.as_ref().map(cursor::encode),
    };
    Ok(json::respond_unless_cached(&request, &page))
}
