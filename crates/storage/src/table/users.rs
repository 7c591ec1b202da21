use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId, day::Connection};

use crate::{
    PgConnection, StorageError, prepared::prepared, schema::whoop_users, table::change::signal,
};

/// A member who connected WHOOP at least once.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = whoop_users, check_for_backend(diesel::pg::Pg))]
pub struct UserRow {
    pub user_id: String,
    pub whoop_user_id: i64,
    pub status: String,
    pub status_detail: Option<String>,
    pub consent: Option<String>,
    pub consented_at: Option<DateTime<Utc>>,
    pub connected_at: DateTime<Utc>,
    pub disconnected_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub lease_until: Option<DateTime<Utc>>,
}

impl UserRow {
    pub fn connection(&self) -> Connection {
        connection_of(&self.status)
    }
}

/// What the column `status` says.
pub(crate) fn connection_of(status: &str) -> Connection {
    match status {
        "connected" => Connection::Connected,
        "reauth_required" => Connection::ReauthRequired,
        _ => Connection::Disconnected,
    }
}

/// What WHOOP's profile tells of a member, and what the app recorded.
#[derive(Debug, Clone, Insertable, AsChangeset)]
#[diesel(table_name = whoop_users, treat_none_as_null = true)]
pub struct Connected {
    pub user_id: String,
    pub whoop_user_id: i64,
    pub status: &'static str,
    pub status_detail: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub height_meter: Option<f64>,
    pub weight_kilogram: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub consent: Option<String>,
    pub consented_at: Option<DateTime<Utc>>,
    pub connected_at: DateTime<Utc>,
    pub disconnected_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

pub async fn find(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<UserRow>, StorageError> {
    Ok(whoop_users::table
        .find(user_id.as_str())
        .select(UserRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Those of these members who never connected.
pub async fn unknown(
    conn: &mut PgConnection,
    user_ids: &[UserId],
) -> Result<Vec<UserId>, StorageError> {
    let ids: Vec<&str> = user_ids.iter().map(UserId::as_str).collect();
    let known: Vec<String> = whoop_users::table
        .filter(whoop_users::user_id.eq_any(ids))
        .select(whoop_users::user_id)
        .load(conn)
        .await?;
    let known: HashSet<String> = known.into_iter().collect();
    let unknown = user_ids.iter().filter(|id| !known.contains(id.as_str()));
    Ok(unknown.cloned().collect())
}

/// Every member, whatever their connection, with the offset of their latest
/// record.
pub async fn list_offsets(
    conn: &mut PgConnection,
) -> Result<Vec<(String, Option<String>)>, StorageError> {
    Ok(whoop_users::table
        .order(whoop_users::user_id)
        .select((whoop_users::user_id, whoop_users::timezone_offset))
        .load(conn)
        .await?)
}

/// Stands for WHOOP's number of a member until their profile tells it: an older service
/// may not have kept it. Nothing is read of them before.
pub const UNKNOWN_ACCOUNT: i64 = 0;

/// Writes a member who was not here before. `false` if they are, and nothing is written:
/// whoever connected meanwhile has younger tokens.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn insert(conn: &mut PgConnection, member: &Connected) -> Result<bool, StorageError> {
    let written = diesel::insert_into(whoop_users::table)
        .values(member)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if written > 0 {
        signal(conn, &member.user_id).await?;
    }
    Ok(written > 0)
}

/// Writes a member who has just connected; what was stored of them before stays.
///
/// `false` if that was stored from another WHOOP account, and nothing is
/// written: decided in the statement itself, or two connects at once would
/// both find nobody there.
pub async fn connect(conn: &mut PgConnection, member: &Connected) -> Result<bool, StorageError> {
    let update = diesel::insert_into(whoop_users::table)
        .values(member)
        .on_conflict(whoop_users::user_id)
        .do_update()
        .set(member);
    let same_account = whoop_users::whoop_user_id.eq_any([member.whoop_user_id, UNKNOWN_ACCOUNT]);
    let written = diesel::query_dsl::methods::FilterDsl::filter(update, same_account)
        .execute(conn)
        .await?;
    if written > 0 {
        signal(conn, &member.user_id).await?;
    }
    Ok(written > 0)
}

/// What WHOOP's profile says of who somebody is.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = whoop_users, treat_none_as_null = true)]
pub struct Names {
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Keeps what WHOOP's profile says of a member, WHOOP's number of them among it.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn introduce(
    conn: &mut PgConnection,
    user_id: &UserId,
    whoop_user_id: i64,
    names: &Names,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let member = whoop_users::table.find(user_id.as_str());
    let same_account = whoop_users::whoop_user_id.eq_any([whoop_user_id, UNKNOWN_ACCOUNT]);
    diesel::update(member.filter(same_account))
        .set((
            names,
            whoop_users::whoop_user_id.eq(whoop_user_id),
            whoop_users::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a member to another state, with the reason for people.
///
/// Returns whether anything changed.
pub async fn set_status(
    conn: &mut PgConnection,
    user_id: &UserId,
    status: Connection,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let disconnected_at = (status == Connection::Disconnected).then_some(now);
    let changed = diesel::update(
        whoop_users::table
            .find(user_id.as_str())
            .filter(whoop_users::status.ne(status.as_str())),
    )
    .set((
        whoop_users::status.eq(status.as_str()),
        whoop_users::status_detail.eq(detail),
        whoop_users::disconnected_at.eq(disconnected_at),
        whoop_users::updated_at.eq(now),
    ))
    .execute(conn)
    .await?;
    if changed > 0 {
        signal(conn, user_id.as_str()).await?;
    }
    Ok(changed > 0)
}

/// Waits until no other transaction writes this member, and keeps the turn
/// until the end of ours. Returns WHOOP's number of the member.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased.
pub async fn take_turn(conn: &mut PgConnection, user_id: &UserId) -> Result<i64, StorageError> {
    whoop_users::table
        .find(user_id.as_str())
        .select(whoop_users::whoop_user_id)
        // Rows of this member refer to this one and must not be held up.
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?
        .ok_or_else(|| StorageError::MemberGone(user_id.to_string()))
}

/// What whoever stores a page has to know of a member.
#[derive(QueryableByName)]
pub(crate) struct Turn {
    #[diesel(sql_type = BigInt)]
    pub(crate) whoop_user_id: i64,
    /// When the record happened whose offset the member has.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) timezone_offset_at: Option<DateTime<Utc>>,
    /// Whether anything of the type is set aside.
    #[diesel(sql_type = Bool)]
    pub(crate) has_rejected: bool,
    #[diesel(sql_type = Bool)]
    pub(crate) has_denied: bool,
}

/// As [`take_turn`], with what is asked of a member before a page is stored.
pub(crate) async fn take_turn_for(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
) -> Result<Turn, StorageError> {
    let turn: Option<Turn> = prepared(
        "SELECT whoop_user_id, timezone_offset_at, EXISTS ( \
             SELECT 1 FROM whoop_rejected_record r WHERE r.user_id = $1 AND r.data_type = $2 \
         ) AS has_rejected, EXISTS ( \
             SELECT 1 FROM whoop_record_denial d WHERE d.user_id = $1 AND d.data_type = $2 \
         ) AS has_denied \
         FROM whoop_users WHERE user_id = $1 FOR NO KEY UPDATE",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .get_result(conn)
    .await
    .optional()?;
    turn.ok_or_else(|| StorageError::MemberGone(user_id.to_string()))
}

/// Notes the offset of the member's latest record.
pub(crate) async fn moved_to(
    conn: &mut PgConnection,
    user_id: &UserId,
    timezone_offset: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::update(
        whoop_users::table.find(user_id.as_str()).filter(
            whoop_users::timezone_offset_at
                .is_null()
                .or(whoop_users::timezone_offset_at.lt(at)),
        ),
    )
    .set((
        whoop_users::timezone_offset.eq(timezone_offset),
        whoop_users::timezone_offset_at.eq(at),
    ))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the app asked for this member; at most once in `every`.
pub async fn seen(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
    every: TimeDelta,
) -> Result<(), StorageError> {
    // As `core::plan::visits` reads it: 28 bits, moved on by the days between.
    prepared(
        "UPDATE whoop_users SET last_seen_at = $2, visit_days = \
             (((visit_days::bigint << least(28, greatest(0, coalesce( \
                 ($2 AT TIME ZONE 'UTC')::date - (last_seen_at AT TIME ZONE 'UTC')::date, 0)))) \
               & ((1 << 28) - 1)) | 1)::integer \
         WHERE user_id = $1 AND (last_seen_at IS NULL OR last_seen_at < $3)",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - every)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a WHOOP account serves a member who is connected.
///
/// The one look-up without `user_id`: what is known is WHOOP's side.
pub async fn is_connected_account(
    conn: &mut PgConnection,
    whoop_user_id: i64,
) -> Result<bool, StorageError> {
    Ok(diesel::select(diesel::dsl::exists(
        whoop_users::table
            .filter(whoop_users::whoop_user_id.eq(whoop_user_id))
            .filter(whoop_users::status.eq("connected")),
    ))
    .get_result(conn)
    .await?)
}

/// The members whom a WHOOP account serves, whatever their connection.
///
/// A look-up without `user_id`: an event of WHOOP's names its own side alone.
pub async fn of_account(
    conn: &mut PgConnection,
    whoop_user_id: i64,
) -> Result<Vec<UserRow>, StorageError> {
    Ok(whoop_users::table
        .filter(whoop_users::whoop_user_id.eq(whoop_user_id))
        .order(whoop_users::user_id)
        .select(UserRow::as_select())
        .load(conn)
        .await?)
}

/// Members of one status.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Count {
    pub status: String,
    pub members: i64,
}

/// How many members there are, by status.
pub async fn count(conn: &mut PgConnection) -> Result<Vec<Count>, StorageError> {
    Ok(whoop_users::table
        .group_by(whoop_users::status)
        .select((whoop_users::status, diesel::dsl::count_star()))
        .load(conn)
        .await?)
}
