use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    PgConnection, StorageError,
    schema::whoop_revocation,
    seal::{SealedText, TokenKeys},
    tokens::OAuthTokens,
};

/// Time for which a claim prevents other attempts to revoke the same permission. All calls of one
/// attempt together take less time.
const CLAIM_DURATION: TimeDelta = TimeDelta::minutes(5);

/// A member's permission at WHOOP that the process with the claim may revoke now.
#[derive(Debug)]
pub struct ClaimedRevocation {
    pub id: Uuid,
    pub tokens: OAuthTokens,
    /// Number of attempts, including the claimed one.
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = whoop_revocation, check_for_backend(diesel::pg::Pg))]
struct RevocationRow {
    sealed: Vec<u8>,
    key_id: String,
    scope: String,
    expires_at: DateTime<Utc>,
    attempts: i32,
    created_at: DateTime<Utc>,
}

/// A permission at WHOOP to revoke. The stored row does not identify the member.
#[derive(Debug, Clone, Copy)]
pub struct NewRevocation<'a> {
    pub id: Uuid,
    pub tokens: &'a OAuthTokens,
    pub created_at: DateTime<Utc>,
    /// Time before which the permission must not be revoked.
    pub due_at: DateTime<Utc>,
    /// Whether an attempt to connect a WHOOP account is still using the token pair.
    ///
    /// The permission is revoked at `due_at`, unless [`release_held`] removes the token pair before
    /// that time.
    pub is_held: bool,
}

impl<'a> NewRevocation<'a> {
    /// Creates a revocation that is due at `now`.
    pub fn due_now(id: Uuid, tokens: &'a OAuthTokens, now: DateTime<Utc>) -> Self {
        Self {
            id,
            tokens,
            created_at: now,
            due_at: now,
            is_held: false,
        }
    }
}

/// Schedules the revocation of a permission at WHOOP.
pub async fn insert(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    revocation: &NewRevocation<'_>,
) -> Result<(), StorageError> {
    let NewRevocation { id, tokens, .. } = *revocation;
    let sealed = tokens.seal(keys, &id.to_string())?;
    diesel::insert_into(whoop_revocation::table)
        .values((
            whoop_revocation::id.eq(id),
            whoop_revocation::sealed.eq(sealed.bytes),
            whoop_revocation::key_id.eq(sealed.key_id),
            whoop_revocation::scope.eq(&tokens.scope),
            whoop_revocation::expires_at.eq(tokens.expires_at),
            whoop_revocation::next_attempt_at.eq(revocation.due_at),
            whoop_revocation::created_at.eq(revocation.created_at),
            whoop_revocation::held_until.eq(revocation.is_held.then_some(revocation.due_at)),
        ))
        // The row exists already if PostgreSQL's answer to an earlier attempt was lost.
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a held token pair (see [`NewRevocation::is_held`]), so that the caller can store it for
/// its member.
///
/// Returns `false` if the token pair is no longer held, or if an attempt to revoke its permission
/// was made.
pub async fn release_held(conn: &mut PgConnection, id: Uuid) -> Result<bool, StorageError> {
    let held = whoop_revocation::table
        .find(id)
        .filter(whoop_revocation::held_until.is_not_null())
        .filter(whoop_revocation::attempts.eq(0));
    Ok(diesel::delete(held).execute(conn).await? > 0)
}

/// Makes the permission of a held token pair (see [`NewRevocation::is_held`]) due for revocation at
/// the time `now`.
pub async fn revoke_held(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::update(whoop_revocation::table.find(id))
        .set((
            whoop_revocation::next_attempt_at.eq(now),
            whoop_revocation::held_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns whether the token pair of any connection attempt in progress is held (see
/// [`NewRevocation::is_held`]).
pub async fn is_any_held(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    Ok(diesel::select(diesel::dsl::exists(
        whoop_revocation::table
            .filter(whoop_revocation::held_until.gt(now))
            .filter(whoop_revocation::attempts.eq(0)),
    ))
    .get_result(conn)
    .await?)
}

/// Returns the ids of the permissions that are due for revocation and were stored at or before
/// `created_before`.
///
/// Permissions with the fewest attempts are first, and among these the oldest.
pub async fn list_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    created_before: DateTime<Utc>,
) -> Result<Vec<Uuid>, StorageError> {
    Ok(whoop_revocation::table
        .filter(whoop_revocation::next_attempt_at.le(now))
        .filter(whoop_revocation::created_at.le(created_before))
        .order((whoop_revocation::attempts, whoop_revocation::created_at))
        .select(whoop_revocation::id)
        .load(conn)
        .await?)
}

/// Claims one attempt to revoke a permission.
///
/// Returns `None` if the permission was already revoked, is not due, or is claimed by another
/// process.
///
/// # Errors
///
/// [`StorageError::Seal`] if no key opens the token pair. The claim remains until it expires.
pub async fn claim(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<ClaimedRevocation>, StorageError> {
    let row: Option<RevocationRow> = diesel::update(
        whoop_revocation::table
            .find(id)
            .filter(whoop_revocation::next_attempt_at.le(now)),
    )
    .set((
        whoop_revocation::next_attempt_at.eq(now + CLAIM_DURATION),
        whoop_revocation::attempts.eq(whoop_revocation::attempts + 1),
    ))
    .returning(RevocationRow::as_returning())
    .get_result(conn)
    .await
    .optional()?;
    let Some(row) = row else {
        return Ok(None);
    };
    let sealed = SealedText {
        key_id: row.key_id,
        bytes: row.sealed,
    };
    Ok(Some(ClaimedRevocation {
        id,
        tokens: OAuthTokens::open(keys, &id.to_string(), &sealed, row.scope, row.expires_at)?,
        attempts: row.attempts,
        created_at: row.created_at,
    }))
}

/// Replaces the token pair of a revocation after a refresh, which has made the earlier pair
/// invalid.
pub async fn replace_tokens(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    tokens: &OAuthTokens,
) -> Result<(), StorageError> {
    let sealed = tokens.seal(keys, &id.to_string())?;
    diesel::update(whoop_revocation::table.find(id))
        .set((
            whoop_revocation::sealed.eq(sealed.bytes),
            whoop_revocation::key_id.eq(sealed.key_id),
            whoop_revocation::expires_at.eq(tokens.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Postpones the next attempt until the time `until`, and stores the error for the operator.
pub async fn postpone(
    conn: &mut PgConnection,
    id: Uuid,
    until: DateTime<Utc>,
    error: &str,
) -> Result<(), StorageError> {
    diesel::update(whoop_revocation::table.find(id))
        .set((
            whoop_revocation::next_attempt_at.eq(until),
            whoop_revocation::last_error.eq(error),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn delete(conn: &mut PgConnection, id: Uuid) -> Result<(), StorageError> {
    diesel::delete(whoop_revocation::table.find(id))
        .execute(conn)
        .await?;
    Ok(())
}
