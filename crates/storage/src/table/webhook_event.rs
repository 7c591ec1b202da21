//! The inbox of WHOOP's webhooks.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId, plan::heard::Heard};

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_webhook_event};

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// To be worked off.
    Pending,
    Done,
    /// Given up after too many tries.
    Dead,
    /// Of a type that this version knows nothing of.
    UnknownType,
    /// Of somebody who is not a member, or not any more.
    UnknownMember,
}

impl State {
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

/// An event as WHOOP sent it.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    pub trace_id: &'a str,
    pub event_type: &'a str,
    pub record_id: &'a str,
    pub whoop_user_id: i64,
    pub signed_at: DateTime<Utc>,
    /// Pending, or unknown for good.
    pub state: State,
}

/// An event as it is stored.
#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, utoipa::ToSchema,
)]
#[diesel(table_name = whoop_webhook_event, check_for_backend(diesel::pg::Pg))]
#[schema(as = WebhookEvent)]
pub struct EventRow {
    pub id: i64,
    pub trace_id: String,
    pub event_type: String,
    pub record_id: String,
    pub whoop_user_id: i64,
    pub state: String,
    pub signed_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub times_received: i64,
    pub due_at: DateTime<Utc>,
    pub attempts: i32,
    pub looks: i32,
    pub finished_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

impl EventRow {
    /// The type of record it is about, where it is one that is known.
    pub fn data_type(&self) -> Option<DataType> {
        self.event_type.split('.').next()?.parse().ok()
    }

    /// Whether WHOOP says that the record is gone.
    pub fn is_deletion(&self) -> bool {
        self.event_type.ends_with(".deleted")
    }
}

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = Bool)]
    is_new: bool,
}

/// Stores an event; `false` if it was there already.
///
/// # Errors
///
/// PostgreSQL refused or is gone; then it is not stored.
pub async fn insert(
    conn: &mut PgConnection,
    event: &NewEvent<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let finished_at = (event.state != State::Pending).then_some(now);
    let inserted: Inserted = prepared(
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
struct Account {
    #[diesel(sql_type = BigInt)]
    whoop_user_id: i64,
}

/// WHOOP's numbers of members who have an event that is due, those first of whom
/// something has just come.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn due_accounts(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<i64>, StorageError> {
    let rows: Vec<Account> = prepared(
        "SELECT whoop_user_id FROM whoop_webhook_event \
         WHERE state = 'pending' AND due_at <= $1 \
         GROUP BY whoop_user_id ORDER BY max(received_at) DESC, whoop_user_id LIMIT $2",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.whoop_user_id).collect())
}

/// When the next event is due.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn next_due(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StorageError> {
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::state.eq("pending"))
        .order(whoop_webhook_event::due_at)
        .select(whoop_webhook_event::due_at)
        .first(conn)
        .await
        .optional()?)
}

/// What is to be worked off of one WHOOP account: what is due, and what has come
/// meanwhile.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn due_of(
    conn: &mut PgConnection,
    whoop_user_id: i64,
    now: DateTime<Utc>,
) -> Result<Vec<EventRow>, StorageError> {
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::whoop_user_id.eq(whoop_user_id))
        .filter(whoop_webhook_event::state.eq("pending"))
        .filter(whoop_webhook_event::due_at.le(now))
        .order(whoop_webhook_event::id)
        .select(EventRow::as_select())
        .load(conn)
        .await?)
}

/// Ends an event in a state, with a word for people where there is something to say.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn finish(
    conn: &mut PgConnection,
    id: i64,
    state: State,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::update(
        whoop_webhook_event::table
            .find(id)
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

/// Why an event is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// Something stands in the way that is not the event's fault.
    ItIsNotItsTurn,
    /// It failed, which is counted.
    ItFailed,
    /// What it speaks of waits for its score, which is counted.
    ItIsOpen,
}

/// Puts events off until an instant.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn put_off(
    conn: &mut PgConnection,
    ids: &[i64],
    until: DateTime<Utc>,
    because: Because,
    reason: &str,
) -> Result<(), StorageError> {
    let failed = i32::from(because == Because::ItFailed);
    let looked = i32::from(because == Because::ItIsOpen);
    diesel::update(
        whoop_webhook_event::table
            .filter(whoop_webhook_event::id.eq_any(ids))
            .filter(whoop_webhook_event::state.eq("pending")),
    )
    .set((
        whoop_webhook_event::due_at.eq(until),
        whoop_webhook_event::attempts.eq(whoop_webhook_event::attempts + failed),
        whoop_webhook_event::looks.eq(whoop_webhook_event::looks + looked),
        whoop_webhook_event::last_error.eq(reason),
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// Which events are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub ids: Vec<i64>,
    pub states: Vec<State>,
    /// The app's id of the member.
    pub user_id: Option<UserId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// The condition of a [`Filter`], with its values as `$1` to `$5`.
const MEANT: &str = "(cardinality($1) = 0 OR e.id = ANY($1)) \
     AND (cardinality($2) = 0 OR e.state = ANY($2)) \
     AND ($3 IS NULL OR e.whoop_user_id IN \
         (SELECT u.whoop_user_id FROM whoop_users u WHERE u.user_id = $3)) \
     AND ($4 IS NULL OR e.received_at >= $4) AND ($5 IS NULL OR e.received_at < $5)";

impl Filter {
    fn bound(&self, sql: String) -> crate::prepared::Prepared<'static> {
        let states: Vec<&'static str> = self.states.iter().map(|state| state.as_str()).collect();
        prepared(sql)
            .bind::<Array<BigInt>, _>(self.ids.clone())
            .bind::<Array<Text>, _>(states)
            .bind::<Nullable<Text>, _>(self.user_id.as_ref().map(ToString::to_string))
            .bind::<Nullable<Timestamptz>, _>(self.since)
            .bind::<Nullable<Timestamptz>, _>(self.until)
    }
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The events that are meant, the latest first, so many at most.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<EventRow>, StorageError> {
    let sql =
        format!("SELECT e.id FROM whoop_webhook_event e WHERE {MEANT} ORDER BY e.id DESC LIMIT $6");
    let ids: Vec<Id> = filter
        .bound(sql)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    let ids: Vec<i64> = ids.into_iter().map(|row| row.id).collect();
    Ok(whoop_webhook_event::table
        .filter(whoop_webhook_event::id.eq_any(ids))
        .order(whoop_webhook_event::id.desc())
        .select(EventRow::as_select())
        .load(conn)
        .await?)
}

/// Has the events that are meant worked off again, from the first try. Those of
/// an unknown type stay.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn replay(
    conn: &mut PgConnection,
    filter: &Filter,
    now: DateTime<Utc>,
) -> Result<u64, StorageError> {
    let sql = format!(
        "UPDATE whoop_webhook_event e SET state = 'pending', due_at = $6, attempts = 0, looks = 0, \
             finished_at = NULL, last_error = NULL \
         WHERE {MEANT} AND e.state <> 'unknown_type'"
    );
    let replayed = filter
        .bound(sql)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
        .await?;
    Ok(replayed as u64)
}

/// Events of one state.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Count {
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = BigInt)]
    pub events: i64,
}

/// How many events there are, by their state.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn count(conn: &mut PgConnection) -> Result<Vec<Count>, StorageError> {
    Ok(prepared(
        "SELECT state, count(*) AS events FROM whoop_webhook_event GROUP BY state ORDER BY state",
    )
    .load(conn)
    .await?)
}

/// What WHOOP has said of a member and nobody has fetched.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Unread {
    #[diesel(sql_type = Text)]
    pub(crate) user_id: String,
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Timestamptz)]
    received_at: DateTime<Utc>,
}

impl Unread {
    pub(crate) fn note(&self, heard: &mut Heard) {
        if let Ok(data_type) = self.data_type.parse() {
            heard.note(data_type, self.received_at);
        }
    }
}

/// The latest unread event of each type, of one member or of everybody.
pub(crate) fn unread(user_id: Option<&UserId>) -> crate::prepared::Prepared<'static> {
    let sql = match user_id {
        Some(_) => {
            "SELECT u.user_id, split_part(e.event_type, '.', 1) AS data_type, \
                    max(e.received_at) AS received_at \
             FROM whoop_users u JOIN whoop_webhook_event e ON e.whoop_user_id = u.whoop_user_id \
             WHERE u.user_id = $1 AND e.state IN ('pending', 'dead') GROUP BY 1, 2"
        }
        None => {
            "SELECT u.user_id, split_part(e.event_type, '.', 1) AS data_type, \
                    max(e.received_at) AS received_at \
             FROM whoop_webhook_event e JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id \
             WHERE e.state IN ('pending', 'dead') AND ($1 IS NULL OR u.user_id = $1) GROUP BY 1, 2"
        }
    };
    prepared(sql).bind::<Nullable<Text>, _>(user_id.map(ToString::to_string))
}

/// Forgets events that came before an instant, never one that waits; and sooner what
/// concerns nobody who is a member.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn trim(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    strangers_before: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "DELETE FROM whoop_webhook_event WHERE state <> 'pending' AND received_at < $1 \
             OR state = 'unknown_member' AND received_at < $2",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<Timestamptz, _>(strangers_before)
    .execute(conn)
    .await?;
    Ok(())
}
