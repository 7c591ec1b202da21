use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};

use crate::{PgConnection, StorageError, schema::whoop_oauth_states};

/// Time within which a member has to complete WHOOP's consent page, after an attempt to connect a
/// WHOOP account (connection attempt) begins.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// Time for which a state is kept after it expired, whether it was used or not. A late callback
/// from WHOOP then gets the right error.
pub const ENDED_RETENTION: TimeDelta = TimeDelta::days(1);

/// Maximum number of open connection attempts per member. A new attempt deletes the oldest one.
const MAX_OPEN: i32 = 5;

/// Limit of remembered connection attempts per member that were used or have expired. A new attempt
/// deletes the fifteenth newest of them and all older ones.
const MAX_ENDED: i32 = 15;

/// A connection attempt: a member was sent to WHOOP's consent page.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = whoop_oauth_states, check_for_backend(diesel::pg::Pg))]
pub struct PendingConnect {
    pub user_id: String,
    pub return_to: Option<String>,
    pub consent: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Result of [`consume`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeOutcome {
    /// The state was valid and is now used.
    Valid(PendingConnect),
    Unknown,
    /// The state was used before. The error can be reported to the app at `return_to`.
    Used {
        return_to: Option<String>,
    },
    Expired {
        return_to: Option<String>,
    },
}

fn hash(state: &str) -> Vec<u8> {
    Sha256::digest(state.as_bytes()).to_vec()
}

/// Locks the connection attempts of a member until the caller's transaction ends.
pub async fn lock_member(conn: &mut PgConnection, user_id: &str) -> Result<(), StorageError> {
    diesel::sql_query(
        "SELECT pg_advisory_xact_lock(hashtextextended('whoop_oauth_states ' || $1, 0))",
    )
    .bind::<Text, _>(user_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a new connection attempt, and deletes the member's oldest attempts above the maximum.
///
/// The caller's transaction has to hold the lock of [`lock_member`]. Otherwise concurrent attempts
/// could exceed the maximum.
pub async fn insert(
    conn: &mut PgConnection,
    state: &str,
    pending: &PendingConnect,
) -> Result<(), StorageError> {
    let now = pending.created_at;
    diesel::sql_query(format!(
        "DELETE FROM whoop_oauth_states WHERE state_hash IN ( \
             SELECT state_hash FROM ( \
                 SELECT state_hash, is_open, \
                        row_number() OVER (PARTITION BY is_open ORDER BY created_at DESC) AS nth \
                 FROM (SELECT state_hash, created_at, used_at IS NULL AND expires_at > $2 AS is_open \
                       FROM whoop_oauth_states WHERE user_id = $1) AS own \
             ) AS numbered \
             WHERE nth >= CASE WHEN is_open THEN {MAX_OPEN} ELSE {MAX_ENDED} END)"
    ))
    .bind::<Text, _>(&pending.user_id)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    diesel::insert_into(whoop_oauth_states::table)
        .values((
            whoop_oauth_states::state_hash.eq(hash(state)),
            whoop_oauth_states::user_id.eq(&pending.user_id),
            whoop_oauth_states::return_to.eq(&pending.return_to),
            whoop_oauth_states::consent.eq(&pending.consent),
            whoop_oauth_states::created_at.eq(now),
            whoop_oauth_states::expires_at.eq(now + LIFETIME),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the connection attempts of all members that expired before the time `before`.
pub async fn purge(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<(), StorageError> {
    diesel::delete(whoop_oauth_states::table.filter(whoop_oauth_states::expires_at.lt(before)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Locks a used state until the caller's transaction ends. Returns `false` if the state was deleted
/// because the member was erased or disconnected.
pub async fn lock_used(conn: &mut PgConnection, state: &str) -> Result<bool, StorageError> {
    let found = whoop_oauth_states::table
        .find(hash(state))
        .filter(whoop_oauth_states::used_at.is_not_null())
        .select(whoop_oauth_states::user_id)
        .for_update()
        .first::<String>(conn)
        .await
        .optional()?;
    Ok(found.is_some())
}

/// Marks a state as used and returns its connection attempt, if the state is valid.
///
/// If the same state is consumed twice at the same time, only one of the two calls gets
/// [`ConsumeOutcome::Valid`].
pub async fn consume(
    conn: &mut PgConnection,
    state: &str,
    now: DateTime<Utc>,
) -> Result<ConsumeOutcome, StorageError> {
    let hash = hash(state);
    let consumed = diesel::update(
        whoop_oauth_states::table
            .find(&hash)
            .filter(whoop_oauth_states::used_at.is_null())
            .filter(whoop_oauth_states::expires_at.gt(now)),
    )
    .set(whoop_oauth_states::used_at.eq(now))
    .returning(PendingConnect::as_returning())
    .get_result(conn)
    .await
    .optional()?;
    if let Some(pending) = consumed {
        return Ok(ConsumeOutcome::Valid(pending));
    }
    let ended: Option<(Option<DateTime<Utc>>, Option<String>)> = whoop_oauth_states::table
        .find(&hash)
        .select((whoop_oauth_states::used_at, whoop_oauth_states::return_to))
        .first(conn)
        .await
        .optional()?;
    Ok(match ended {
        None => ConsumeOutcome::Unknown,
        Some((Some(_), return_to)) => ConsumeOutcome::Used { return_to },
        Some((None, return_to)) => ConsumeOutcome::Expired { return_to },
    })
}

/// Deletes all connection attempts of a member and returns the number of deleted attempts.
pub async fn delete_for_member(
    conn: &mut PgConnection,
    user_id: &str,
) -> Result<usize, StorageError> {
    Ok(
        diesel::delete(whoop_oauth_states::table.filter(whoop_oauth_states::user_id.eq(user_id)))
            .execute(conn)
            .await?,
    )
}
