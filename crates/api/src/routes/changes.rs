use actix_web::{HttpResponse, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use whoop_core::DataType;
use whoop_storage::{
    change_feed::{self, FeedResult},
    records::DatedRecord,
};

use crate::{json, member::PathMember, parameters, problem::Problem, state::AppState};

/// Number of changes in one response if the request does not contain `limit`.
const DEFAULT_LIMIT: i64 = 200;
/// Maximum number of changes in one response.
const MAX_LIMIT: i64 = 1000;

#[derive(Debug, Deserialize)]
pub(crate) struct ChangesQuery {
    since: Option<String>,
    limit: Option<String>,
    counted_since: Option<String>,
}

/// A page of the changes of one member's records.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ChangesResponse {
    /// The app's id of the member.
    user_id: String,
    /// The changes in order of their sequence numbers, which have no gaps.
    changes: Vec<ChangeItem>,
    /// Value of `since` for the app's next request.
    next_since: i64,
    /// Whether more changes are available now.
    more: bool,
    /// Sequence number of the member's latest change.
    latest: i64,
    /// Time at which the sequence numbers of this member began; null if the member does not exist.
    ///
    /// If it differs from the value in the previous response, the member was erased in the meantime
    /// and the sequence numbers began again.
    counted_since: Option<DateTime<Utc>>,
}

/// Kind of a change of a record.
///
/// - `upsert`: the record is new or was updated
/// - `delete`: the record was deleted
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum ChangeOp {
    Upsert,
    Delete,
}

/// One change of a record.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Change)]
struct ChangeItem {
    /// Sequence number of the change.
    seq: i64,
    /// Data type of the record.
    #[schema(value_type = DataType)]
    data_type: String,
    /// Id of the record. A recovery has the id of its cycle.
    id: String,
    /// Kind of the change.
    #[schema(value_type = ChangeOp)]
    op: String,
    /// Local date of the record; for a deleted record, its last local date.
    local_date: NaiveDate,
    /// Previous local date of the record, if the change moved it to another date; otherwise null.
    previous_date: Option<NaiveDate>,
    /// Time at which this service stored the change.
    changed_at: DateTime<Utc>,
    /// The current version of the record, in WHOOP's own format, with its `local_date`. Null if the
    /// record was deleted, or if a later change of the same record contains it.
    #[schema(value_type = Option<Object>)]
    record: Option<DatedRecord>,
}

/// Changes of a member's records, for an app that was offline.
///
/// Send the last `next_since` as `since`, apply the changes in their order, and repeat this while
/// `more` is true. After that the app has the same data as this service. Changes are kept for 30
/// days. If the app was offline for longer, the response is 410: the app must delete its data, read
/// everything again, and continue from the number in `latest`.
#[utoipa::path(
    get, operation_id = "getChanges", path = "/api/v1/whoop/changes/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("since" = Option<i64>, Query, minimum = 0, description = "Sequence number of the last change that the app has; 0 by default"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "Maximum number of changes; 200 by default"),
        ("counted_since" = Option<DateTime<Utc>>, Query, description = "`counted_since` of the previous response; the response is 410 if the sequence numbers have begun again since"),
    ),
    responses(
        (status = 200, description = "The next changes", body = ChangesResponse),
        (status = 400, description = "A parameter is invalid; `field` names it", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Not all changes after `since` are stored; read everything again and continue from `latest`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    member: PathMember,
    query: web::Query<ChangesQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let since = parameters::parse_number("since", query.since.as_deref(), 0, 0..=i64::MAX)?;
    let limit = query.limit.as_deref();
    let limit = parameters::parse_number("limit", limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?;
    let counted_since = query
        .counted_since
        .as_deref()
        .map(|text| parameters::parse_instant("counted_since", text))
        .transpose()?;
    let member = user_id.clone();
    let result = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            change_feed::after(&mut conn, &member, since, limit).await
        })
        .await??;
    let page = match result {
        FeedResult::Gone { latest } => return Err(Problem::changes_gone(latest)),
        FeedResult::Page(page) => page,
    };
    if counted_since.is_some_and(|known| page.counted_since != Some(known)) {
        return Err(Problem::changes_gone(page.latest));
    }
    let next_since = page.entries.last().map_or(since, |last| last.row.seq);
    let changes = page.entries.into_iter().map(|entry| ChangeItem {
        seq: entry.row.seq,
        data_type: entry.row.data_type,
        id: entry.row.record_id,
        op: entry.row.op,
        local_date: entry.row.local_date,
        previous_date: entry.row.previous_date,
        changed_at: entry.row.changed_at,
        record: entry.record,
    });
    Ok(json::respond(
        HttpResponse::Ok(),
        &ChangesResponse {
            user_id: user_id.into(),
            changes: changes.collect(),
            next_since,
            more: next_since < page.latest,
            latest: page.latest,
            counted_since: page.counted_since,
        },
    ))
}
