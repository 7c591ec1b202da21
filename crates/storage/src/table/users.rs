use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;
use whoop_core::{DataType, UserId, day::ConnectionStatus};

use crate::{
    PgConnection, StorageError, prepared::prepared, schema::whoop_users,
    table::change::notify_change,
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
    /// Id of the stored token pair, if WHOOP's profile has not confirmed yet to which WHOOP account
    /// the pair belongs; otherwise `None`.
    pub unidentified_pair: Option<Uuid>,
    /// Whether the first sync after the member connected has not ended yet.
    pub first_sync_pending: bool,
}

impl UserRow {
    pub fn connection(&self) -> ConnectionStatus {
        parse_status(&self.status)
    }
}

/// Parses the value of the column `status`. Any unknown value counts as disconnected.
pub(crate) fn parse_status(status: &str) -> ConnectionStatus {
    match status {
        "connected" => ConnectionStatus::Connected,
        "reauth_required" => ConnectionStatus::ReauthRequired,
        _ => ConnectionStatus::Disconnected,
    }
}

/// New row for a member who is imported from the legacy service.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = whoop_users)]
pub struct NewUser {
    pub user_id: String,
    /// WHOOP's id of the member; [`UNKNOWN_ACCOUNT`] if the legacy service did not store it.
    pub whoop_user_id: i64,
    pub status: &'static str,
    pub status_detail: Option<String>,
    pub connected_at: DateTime<Utc>,
    pub disconnected_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub unidentified_pair: Option<Uuid>,
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

/// Returns those of the given members who never connected.
pub async fn list_unknown(
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

/// Returns the ids of all members, in any connection status, each with the UTC offset of the
/// member's latest record.
pub async fn list_offsets(
    conn: &mut PgConnection,
) -> Result<Vec<(String, Option<String>)>, StorageError> {
    Ok(whoop_users::table
        .order(whoop_users::user_id)
        .select((whoop_users::user_id, whoop_users::timezone_offset))
        .load(conn)
        .await?)
}

/// Value of `whoop_user_id` until WHOOP's profile names the account of the member.
pub const UNKNOWN_ACCOUNT: i64 = 0;

/// Inserts a member. Returns `false` and changes nothing if the member exists already.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn insert(conn: &mut PgConnection, member: &NewUser) -> Result<bool, StorageError> {
    let written = diesel::insert_into(whoop_users::table)
        .values(member)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if written > 0 {
        notify_change(conn, &member.user_id).await?;
    }
    Ok(written > 0)
}

/// A new connection of a member. It is stored before WHOOP has confirmed to which account its token
/// pair belongs.
#[derive(Debug, Clone)]
pub struct NewMemberConnection<'a> {
    /// Id of the new token pair.
    pub pair: Uuid,
    /// The consent that the app recorded. If it is `None`, an earlier consent is kept, unless the
    /// member had disconnected.
    pub consent: Option<&'a str>,
    pub connected_at: DateTime<Utc>,
}

/// Stores a new connection of a member. The caller has to call [`identify`] afterwards.
///
/// The account and the records of an earlier connection are kept.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn connect(
    conn: &mut PgConnection,
    user_id: &UserId,
    new: &NewMemberConnection<'_>,
) -> Result<(), StorageError> {
    prepared(
        "INSERT INTO whoop_users AS known (user_id, whoop_user_id, status, consent, consented_at, \
             connected_at, updated_at, unidentified_pair, first_sync_pending) \
         VALUES ($1, $2, 'connected', $3, CASE WHEN $3 IS NOT NULL THEN $4 END, $4, $4, $5, TRUE) \
         ON CONFLICT (user_id) DO UPDATE SET \
             status = 'connected', status_detail = NULL, \
             consent = CASE WHEN excluded.consent IS NULL AND known.status <> 'disconnected' \
                            THEN known.consent ELSE excluded.consent END, \
             consented_at = CASE WHEN excluded.consent IS NULL AND known.status <> 'disconnected' \
                                 THEN known.consented_at ELSE excluded.consented_at END, \
             connected_at = excluded.connected_at, disconnected_at = NULL, \
             updated_at = excluded.updated_at, unidentified_pair = excluded.unidentified_pair, \
             first_sync_pending = TRUE",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<BigInt, _>(UNKNOWN_ACCOUNT)
    .bind::<Nullable<Text>, _>(new.consent.map(str::to_owned))
    .bind::<Timestamptz, _>(new.connected_at)
    .bind::<diesel::sql_types::Uuid, _>(new.pair)
    .execute(conn)
    .await?;
    notify_change(conn, user_id.as_str()).await
}

/// The WHOOP account that WHOOP's profile names for a token pair.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = whoop_users, treat_none_as_null = true)]
pub struct ProfileAccount {
    pub whoop_user_id: i64,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Stores the WHOOP account to which a token pair belongs.
///
/// Returns `false` and changes nothing if the member's `unidentified_pair` is no longer this pair,
/// or if the member's records belong to another account.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn identify(
    conn: &mut PgConnection,
    user_id: &UserId,
    pair: Uuid,
    account: &ProfileAccount,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let member = whoop_users::table
        .find(user_id.as_str())
        .filter(whoop_users::unidentified_pair.eq(pair))
        .filter(whoop_users::whoop_user_id.eq_any([account.whoop_user_id, UNKNOWN_ACCOUNT]));
    let identified = diesel::update(member)
        .set((
            account,
            whoop_users::unidentified_pair.eq(None::<Uuid>),
            whoop_users::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(identified > 0)
}

/// Sets the member's `unidentified_pair` to null, if it is this token pair, without storing an
/// account.
///
/// Called if the stored account is accepted for the token pair, or if the token pair is deleted.
/// Returns `false` if `unidentified_pair` is no longer this pair.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn end_identification(
    conn: &mut PgConnection,
    user_id: &UserId,
    pair: Uuid,
) -> Result<bool, StorageError> {
    let member = whoop_users::table
        .find(user_id.as_str())
        .filter(whoop_users::unidentified_pair.eq(pair));
    let ended = diesel::update(member)
        .set(whoop_users::unidentified_pair.eq(None::<Uuid>))
        .execute(conn)
        .await?;
    Ok(ended > 0)
}

/// Returns whether there is a connected member with a token pair for which WHOOP has not confirmed
/// the account yet.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn is_any_unidentified(conn: &mut PgConnection) -> Result<bool, StorageError> {
    Ok(diesel::select(diesel::dsl::exists(
        whoop_users::table
            .filter(whoop_users::unidentified_pair.is_not_null())
            .filter(whoop_users::status.eq("connected")),
    ))
    .get_result(conn)
    .await?)
}

/// Returns the ids of connected members with an unfinished first sync who connected at or after
/// `connected_since`. The latest connection is first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn with_first_sync_pending(
    conn: &mut PgConnection,
    connected_since: DateTime<Utc>,
) -> Result<Vec<String>, StorageError> {
    Ok(whoop_users::table
        .filter(whoop_users::first_sync_pending)
        .filter(whoop_users::connected_at.ge(connected_since))
        .filter(whoop_users::status.eq("connected"))
        .order(whoop_users::connected_at.desc())
        .select(whoop_users::user_id)
        .load(conn)
        .await?)
}

/// Body measurements of a member, as WHOOP sends them.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = whoop_users, treat_none_as_null = true)]
pub struct BodyColumns {
    pub height_meter: Option<f64>,
    pub weight_kilogram: Option<f64>,
    pub max_heart_rate: Option<f64>,
}

/// Records that a member's first sync has ended, and stores the body measurements if WHOOP sent
/// any.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn end_first_sync(
    conn: &mut PgConnection,
    user_id: &UserId,
    body: Option<&BodyColumns>,
) -> Result<(), StorageError> {
    let member = whoop_users::table.find(user_id.as_str());
    let ended = whoop_users::first_sync_pending.eq(false);
    let query = diesel::update(member);
    match body {
        Some(body) => query.set((body, ended)).execute(conn).await?,
        None => query.set(ended).execute(conn).await?,
    };
    Ok(())
}

/// Sets the connection status of a member, with a reason for the operator.
///
/// Returns whether the status changed. If the member already has this status, nothing is written.
pub async fn set_status(
    conn: &mut PgConnection,
    user_id: &UserId,
    status: ConnectionStatus,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let disconnected_at = (status == ConnectionStatus::Disconnected).then_some(now);
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
        notify_change(conn, user_id.as_str()).await?;
    }
    Ok(changed > 0)
}

/// Takes the member's row lock and returns WHOOP's id of the member.
///
/// The lock is held until the caller's transaction ends, so that no other transaction writes this
/// member meanwhile.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased.
pub async fn lock_member(conn: &mut PgConnection, user_id: &UserId) -> Result<i64, StorageError> {
    whoop_users::table
        .find(user_id.as_str())
        .select(whoop_users::whoop_user_id)
        // This lock mode does not block inserts of rows that refer to the member.
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?
        .ok_or_else(|| StorageError::MemberGone(user_id.to_string()))
}

/// The values of a locked member's row that are needed to store a page of records.
#[derive(QueryableByName)]
pub(crate) struct LockedMember {
    #[diesel(sql_type = BigInt)]
    pub(crate) whoop_user_id: i64,
    /// Time of the record that determined the member's stored UTC offset.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) timezone_offset_at: Option<DateTime<Utc>>,
    /// Whether a rejected record of the data type is stored for this member.
    #[diesel(sql_type = Bool)]
    pub(crate) has_rejected: bool,
    #[diesel(sql_type = Bool)]
    pub(crate) has_denied: bool,
}

/// Takes the row lock like [`lock_member`], and returns the values that are needed to store a page
/// of records.
pub(crate) async fn lock_member_for_page(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
) -> Result<LockedMember, StorageError> {
    let member: Option<LockedMember> = prepared(
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
    member.ok_or_else(|| StorageError::MemberGone(user_id.to_string()))
}

/// Stores the UTC offset of the member's latest record. `at` is the time of this record; the offset
/// of a later record is not replaced.
pub(crate) async fn set_timezone_offset(
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

/// Records the time of an app request for this member, at most once per `min_interval`.
pub async fn mark_seen(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
    min_interval: TimeDelta,
) -> Result<(), StorageError> {
    // `visit_days` is a bit mask of the last 28 days, which `core::plan::app_opens` reads. It is
    // shifted by the number of days since the last app request, and the bit for today is set.
    prepared(
        "UPDATE whoop_users SET last_seen_at = $2, visit_days = \
             (((visit_days::bigint << least(28, greatest(0, coalesce( \
                 ($2 AT TIME ZONE 'UTC')::date - (last_seen_at AT TIME ZONE 'UTC')::date, 0)))) \
               & ((1 << 28) - 1)) | 1)::integer \
         WHERE user_id = $1 AND (last_seen_at IS NULL OR last_seen_at < $3)",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - min_interval)
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns whether a WHOOP account belongs to a connected member.
///
/// The query searches the rows of all members, because the caller knows only WHOOP's id.
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

/// Returns the members that use a WHOOP account, in any connection status.
///
/// The query searches the rows of all members, because a webhook event contains only WHOOP's id.
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

/// Number of members with one connection status.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct MemberStatusCount {
    pub status: String,
    pub members: i64,
}

/// Returns the number of members per connection status.
pub async fn count_by_status(
    conn: &mut PgConnection,
) -> Result<Vec<MemberStatusCount>, StorageError> {
    Ok(whoop_users::table
        .group_by(whoop_users::status)
        .select((whoop_users::status, diesel::dsl::count_star()))
        .load(conn)
        .await?)
}
