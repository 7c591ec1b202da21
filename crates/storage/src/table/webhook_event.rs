//! The webhook inbox: events that WHOOP sent.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_webhook_event};

/// Processing state of a webhook event.
///
/// - `pending`: the data type was not read since the event arrived
/// - `done`: the announced change was read
/// - `dead`: no further attempt is made after too many failures
/// - `unknown_type`: the type of the event is unknown to this version
/// - `unknown_member`: the WHOOP account belongs to no connected member
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(as = WebhookState, rename_all = "snake_case")]
pub enum WebhookEventState {
    Pending,
    Done,
    Dead,
    UnknownType,
    UnknownMember,
}

impl WebhookEventState {
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Done,
        Self::Dead,
        Self::UnknownType,
        Self::UnknownMember,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::UnknownType => "unknown_type",
            Self::UnknownMember => "unknown_member",
        }
    }
}

/// An event that WHOOP has just sent.
#[derive(Debug, Clone)]
pub struct NewWebhookEvent<'a> {
    pub trace_id: &'a str,
    pub event_type: &'a str,
    pub record_id: &'a str,
    pub whoop_user_id: i64,
    pub signed_at: DateTime<Utc>,
    /// Initial state of the event: pending, or one of the two unknown states, which are final.
    pub state: WebhookEventState,
}

/// A webhook event that WHOOP sent.
#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, utoipa::ToSchema,
)]
#[diesel(table_name = whoop_webhook_event, check_for_backend(diesel::pg::Pg))]
#[schema(as = WebhookEvent)]
pub struct WebhookEventRow {
    /// Id of the event in this service; use it to replay the event.
    pub id: i64,
    /// WHOOP's id of the event, which is the same when WHOOP sends the event again.
    pub trace_id: String,
    /// Type of the event, such as `sleep.updated`.
    pub event_type: String,
    /// WHOOP's id of the record; for a recovery it is the id of its sleep.
    pub record_id: String,
    /// WHOOP's id of the member.
    pub whoop_user_id: i64,
    /// Processing state.
    #[schema(value_type = WebhookEventState)]
    pub state: String,
    /// Time at which WHOOP signed the event.
    pub signed_at: DateTime<Utc>,
    /// Time at which the event arrived first.
    pub received_at: DateTime<Utc>,
    /// Number of times that WHOOP sent the event.
    pub times_received: i64,
    /// Time of the next attempt, while the event is pending.
    pub due_at: DateTime<Utc>,
    /// Number of failed attempts.
    pub attempts: i32,
    /// Time at which processing ended; null while the event is pending.
    pub finished_at: Option<DateTime<Utc>>,
    /// Error of the last attempt, or a note for the operator.
    pub last_error: Option<String>,
}

impl WebhookEventRow {
    /// Returns the data type of the event's record; `None` if this version does not know it.
    pub fn data_type(&self) -> Option<DataType> {
        self.event_type.split('.').next()?.parse().ok()
    }

    /// Returns whether the event announces that the record was deleted.
    pub fn is_deletion(&self) -> bool {
        self.event_type.ends_with(".deleted")
    }
}

#[derive(QueryableByName)]
struct InsertedEventRow {
    #[diesel(sql_type = Bool)]
    is_new: bool,
}

/// Stores an event. If the event is stored already, only counts the repetition and returns `false`.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query; nothing is stored then.
pub async fn insert(
    conn: &mut PgConnection,
    event: &NewWebhookEvent<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let finished_at = (event.state != WebhookEventState::Pending).then_some(now);
    let inserted: InsertedEventRow = prepared(
        "INSERT INTO whoop_webhook_event AS known \
             (trace_id, event_type, record_id, whoop_user_id, state, signed_at, received_at, \
              due_at, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) \
         ON CONFLICT (trace_id, event_type, record_id) \
         DO UPDATE SET times_received = known.times_received + 1 \
         RETURNING known.xmax = 0 AS is_new",
    )
    .bind::<Text, _>(event.trace_id)
    .bind::<Text, _>(event.event_type)
    .bind::<Text, _>(event.record_id)
    .bind::<BigInt, _>(event.whoop_user_id)
    .bind::<Text, _>(event.state.as_str())
    .bind::<Timestamptz, _>(event.signed_at)
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<Timestamptz>, _>(finished_at)
    .get_result(conn)
    .await?;
    Ok(inserted.is_new)
}

#[derive(QueryableByName)]
struct EventAccountRow {
    #[diesel(sql_type = BigInt)]
    whoop_user_id: i64,
}

/// Selects the members whose due events are processed next.
#[derive(Debug, Clone, Copy)]
pub struct DueAccounts<'a> {
    pub now: DateTime<Utc>,
    /// Members with an app request after this time are before members without one.
    pub seen_since: DateTime<Utc>,
    /// Whether a member without such an app request is returned only if the data type of a due event
    /// was read after the event arrived.
    pub only_seen: bool,
    /// WHOOP's ids of the members that are not returned.
    pub except: &'a [i64],
}

/// Returns WHOOP's ids of at most `limit` connected members with due events.
///
/// Among the members with an app request after `seen_since`, and among the others, members with
/// newer events are first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn due_accounts(
    conn: &mut PgConnection,
    due: DueAccounts<'_>,
    limit: i64,
) -> Result<Vec<i64>, StorageError> {
    let rows: Vec<EventAccountRow> = prepared(
        "SELECT e.whoop_user_id FROM whoop_webhook_event e \
         JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id AND u.status = 'connected' \
         LEFT JOIN whoop_sync_log l ON l.user_id = u.user_id \
              AND l.data_type = split_part(e.event_type, '.', 1) \
         WHERE e.state = 'pending' AND e.due_at <= $1 AND e.whoop_user_id <> ALL($4) \
           AND (NOT $3 OR u.last_seen_at > $2 OR l.signal_open IS NOT TRUE) \
         GROUP BY e.whoop_user_id \
         ORDER BY coalesce(bool_or(u.last_seen_at > $2), FALSE) DESC, max(e.received_at) DESC, \
                  e.whoop_user_id LIMIT $5",
    )
    .bind::<Timestamptz, _>(due.now)
    .bind::<Timestamptz, _>(due.seen_since)
    .bind::<Bool, _>(due.only_seen)
    .bind::<Array<BigInt>, _>(due.except.to_vec())
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.whoop_user_id).collect())
}

/// Returns the pending events of one WHOOP account that are due, in the order in which they
/// arrived.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list_due(
    conn: &mut PgConnection,
    whoop_user_id: i64,
    now: DateTime<Utc>,
) -> Result<Vec<WebhookEventRow>, StorageError> {
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::whoop_user_id.eq(whoop_user_id))
        .filter(whoop_webhook_event::state.eq("pending"))
        .filter(whoop_webhook_event::due_at.le(now))
        .order(whoop_webhook_event::id)
        .select(WebhookEventRow::as_select())
        .load(conn)
        .await?)
}

/// Marks pending events as [`WebhookEventState::UnknownMember`] if their WHOOP account belongs to
/// no member or only to disconnected members. Returns the number of marked events.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn finish_unknown(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<u64, StorageError> {
    let rows: Vec<EventIdRow> = prepared(
        "SELECT e.id FROM whoop_webhook_event e \
         LEFT JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id \
              AND u.status <> 'disconnected' \
         WHERE e.state = 'pending' AND u.user_id IS NULL",
    )
    .load(conn)
    .await?;
    let ids: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
    if !ids.is_empty() {
        let note = "no member with this WHOOP account is connected";
        finish(
            conn,
            &ids,
            WebhookEventState::UnknownMember,
            Some(note),
            now,
        )
        .await?;
    }
    Ok(ids.len() as u64)
}

/// Marks the pending `*.updated` events of a WHOOP account as done when a member connects with this
/// account.
///
/// The first sync of the member reads the announced changes. The webhook signals of other members
/// with the same account remain open.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn finish_updates(
    conn: &mut PgConnection,
    whoop_user_id: i64,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::update(
        whoop_webhook_event::table
            .filter(whoop_webhook_event::whoop_user_id.eq(whoop_user_id))
            .filter(whoop_webhook_event::state.eq("pending"))
            .filter(whoop_webhook_event::event_type.like("%.updated")),
    )
    .set((
        whoop_webhook_event::state.eq(WebhookEventState::Done.as_str()),
        whoop_webhook_event::finished_at.eq(Some(now)),
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the final state of pending events, with an optional note for the operator. Other events are
/// not changed.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn finish(
    conn: &mut PgConnection,
    ids: &[i64],
    state: WebhookEventState,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::update(
        whoop_webhook_event::table
            .filter(whoop_webhook_event::id.eq_any(ids))
            .filter(whoop_webhook_event::state.eq("pending")),
    )
    .set((
        whoop_webhook_event::state.eq(state.as_str()),
        whoop_webhook_event::finished_at.eq(Some(now)),
        whoop_webhook_event::last_error.eq(note),
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a failed attempt for pending events, stores its reason, and makes the events due again at
/// `due_at`.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn retry(
    conn: &mut PgConnection,
    ids: &[i64],
    due_at: DateTime<Utc>,
    reason: &str,
) -> Result<(), StorageError> {
    diesel::update(
        whoop_webhook_event::table
            .filter(whoop_webhook_event::id.eq_any(ids))
            .filter(whoop_webhook_event::state.eq("pending")),
    )
    .set((
        whoop_webhook_event::due_at.eq(due_at),
        whoop_webhook_event::attempts.eq(whoop_webhook_event::attempts + 1),
        whoop_webhook_event::last_error.eq(reason),
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the number of pending events.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn count_pending(conn: &mut PgConnection) -> Result<u64, StorageError> {
    let events: i64 = whoop_webhook_event::table
        .filter(whoop_webhook_event::state.eq("pending"))
        .count()
        .get_result(conn)
        .await?;
    Ok(events.unsigned_abs())
}

/// Returns the time of the earliest event of any member that was received at or after `since`;
/// `None` if there is none.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn first_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::received_at.ge(since))
        .select(diesel::dsl::min(whoop_webhook_event::received_at))
        .first(conn)
        .await?)
}

/// Conditions that select events. An event has to meet all of them; an empty list or `None` is no
/// condition.
#[derive(Debug, Clone, Default)]
pub struct WebhookEventFilter {
    pub ids: Vec<i64>,
    pub states: Vec<WebhookEventState>,
    /// The app's id of the member.
    pub user_id: Option<UserId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// SQL condition of a [`WebhookEventFilter`], with its values as `$1` to `$5`.
const FILTER_SQL: &str = "(cardinality($1) = 0 OR e.id = ANY($1)) \
     AND (cardinality($2) = 0 OR e.state = ANY($2)) \
     AND ($3 IS NULL OR e.whoop_user_id IN \
         (SELECT u.whoop_user_id FROM whoop_users u WHERE u.user_id = $3)) \
     AND ($4 IS NULL OR e.received_at >= $4) AND ($5 IS NULL OR e.received_at < $5)";

impl WebhookEventFilter {
    fn bound(&self, sql: String) -> crate::prepared::PreparedQuery<'static> {
        let state_names: Vec<&'static str> =
            self.states.iter().map(|state| state.as_str()).collect();
        prepared(sql)
            .bind::<Array<BigInt>, _>(self.ids.clone())
            .bind::<Array<Text>, _>(state_names)
            .bind::<Nullable<Text>, _>(self.user_id.as_ref().map(ToString::to_string))
            .bind::<Nullable<Timestamptz>, _>(self.since)
            .bind::<Nullable<Timestamptz>, _>(self.until)
    }
}

#[derive(QueryableByName)]
struct EventIdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Returns at most `limit` events that match the filter, the latest first.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn list(
    conn: &mut PgConnection,
    filter: &WebhookEventFilter,
    limit: i64,
) -> Result<Vec<WebhookEventRow>, StorageError> {
    let sql = format!(
        "SELECT e.id FROM whoop_webhook_event e WHERE {FILTER_SQL} ORDER BY e.id DESC LIMIT $6"
    );
    let ids: Vec<EventIdRow> = filter
        .bound(sql)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    let ids: Vec<i64> = ids.into_iter().map(|row| row.id).collect();
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::id.eq_any(ids))
        .order(whoop_webhook_event::id.desc())
        .select(WebhookEventRow::as_select())
        .load(conn)
        .await?)
}

/// Makes the matching events pending again, sets their number of attempts to zero, and returns the
/// number of these events.
///
/// Events of an unknown type are not changed.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn replay(
    conn: &mut PgConnection,
    filter: &WebhookEventFilter,
    now: DateTime<Utc>,
) -> Result<u64, StorageError> {
    let sql = format!(
        "UPDATE whoop_webhook_event e SET state = 'pending', due_at = $6, attempts = 0, \
             finished_at = NULL, last_error = NULL \
         WHERE {FILTER_SQL} AND e.state <> 'unknown_type'"
    );
    let replayed = filter
        .bound(sql)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
        .await?;
    Ok(replayed as u64)
}

/// Number of events in one state.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct EventStateCount {
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = BigInt)]
    pub events: i64,
}

/// Returns the number of events per state.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn count_by_state(conn: &mut PgConnection) -> Result<Vec<EventStateCount>, StorageError> {
    Ok(prepared(
        "SELECT state, count(*) AS events FROM whoop_webhook_event GROUP BY state ORDER BY state",
    )
    .load(conn)
    .await?)
}

/// Deletes events by their age.
///
/// - Events in any state are deleted if they were received before `before`.
/// - Pending events are deleted if they were received before `pending_before`.
/// - Events in the state [`WebhookEventState::UnknownMember`] are deleted if they were received
///   before `unknown_before`.
///
/// When a pending event is deleted, its webhook signal remains open, so the next read of the data
/// type still finds the change.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn purge(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    pending_before: DateTime<Utc>,
    unknown_before: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "DELETE FROM whoop_webhook_event WHERE received_at < $1 \
             OR state = 'pending' AND received_at < $2 \
             OR state = 'unknown_member' AND received_at < $3",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<Timestamptz, _>(pending_before)
    .bind::<Timestamptz, _>(unknown_before)
    .execute(conn)
    .await?;
    Ok(())
}
