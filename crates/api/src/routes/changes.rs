use actix_web::{HttpResponse, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use whoop_core::DataType;
use whoop_storage::{
    change_feed::{self, FeedResult},
    records::DatedRecord,
};

use crate::{json, member::PathMember, parameters, problem::Problem, state::AppState};

/// Default and maximum number of changes in one response.
const DEFAULT_LIMIT: i64 = 200;
const MAX_LIMIT: i64 = 1000;

#[derive(Debug, Deserialize)]
pub(crate) struct ChangesQuery {
    since: Option<String>,
    limit: Option<String>,
    counted_since: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ChangesResponse {
    user_id: String,
    /// The changes in order of their sequence numbers, which have no gaps.
    changes: Vec<ChangeItem>,
    /// Value of `since` for the next request.
    next_since: i64,
    /// Whether more changes are available now.
    more: bool,
    /// Sequence number of the member's latest change.
    latest: i64,
    /// Instant at which the sequence numbers of this member began. If it differs from that of the
    /// previous response, the member was erased in the meantime and the numbers began again.
    counted_since: Option<DateTime<Utc>>,
}

/// Kind of a change to a record.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum ChangeOp {
    /// The record is new or was updated.
    Upsert,
    Delete,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ChangeItem {
    seq: i64,
    #[schema(value_type = DataType)]
    data_type: String,
    /// Id of the record. For a recovery it is the id of its cycle.
    id: String,
    #[schema(value_type = ChangeOp)]
    op: String,
    /// Local date of the record; for a deleted record, its last local date.
    local_date: NaiveDate,
    /// Previous local date of the record, if the change moved it to another date.
    previous_date: Option<NaiveDate>,
    changed_at: DateTime<Utc>,
    /// The record as it is now, in WHOOP's own format, with its `local_date`. Null if the record
    /// was deleted, or if a later change of the same record contains it.
    #[schema(value_type = Option<Object>)]
    record: Option<DatedRecord>,
}

/// Changes of a member's records, for an app that was offline.
///
/// Send the last `next_since`, apply the changes in their order, and repeat this while `more` is
/// true. After that the app has the same data as this service. Changes are kept for 30 days. If the
/// app was offline for longer, the response is 410: the app must delete its data, read everything
/// again, and continue from the number in `latest`.
#[utoipa::path(
    get, operation_id = "getChanges", path = "/api/v1/whoop/changes/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("since" = Option<i64>, Query, minimum = 0, description = "The number of the last change that the app has; 0 if not given"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "1 to 1000; 200 if not given"),
        ("counted_since" = Option<DateTime<Utc>>, Query, description = "That of the answer before, if the app wants to be told that the numbers began anew"),
    ),
    responses(
        (status = 200, description = "The next changes", body = ChangesResponse),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Start again: not all of them are kept", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
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
    let of = user_id.clone();
    let followed = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            change_feed::after(&mut conn, &of, since, limit).await
        })
        .await??;
    let found = match followed {
        FeedResult::Gone { latest } => return Err(Problem::changes_gone(latest)),
        FeedResult::Page(found) => found,
    };
    if counted_since.is_some_and(|known| found.counted_since != Some(known)) {
        return Err(Problem::changes_gone(found.latest));
    }
    let next_since = found.entries.last().map_or(since, |last| last.row.seq);
    let changes = found.entries.into_iter().map(|one| ChangeItem {
        seq: one.row.seq,
        data_type: one.row.data_type,
        id: one.row.record_id,
        op: one.row.op,
        local_date: one.row.local_date,
        previous_date: one.row.previous_date,
        changed_at: one.row.changed_at,
        record: one.record,
    });
    Ok(json::respond(
        HttpResponse::Ok(),
        &ChangesResponse {
            user_id: user_id.into(),
            changes: changes.collect(),
            next_since,
            more: next_since < found.latest,
            latest: found.latest,
            counted_since: found.counted_since,
        },
    ))
}
