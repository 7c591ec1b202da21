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

/// How long an attempt keeps others from making one: longer than all of its
/// calls together may take.
const CLAIM_DURATION: TimeDelta = TimeDelta::minutes(5);

/// A permission that one caller has the right to end now.
#[derive(Debug)]
pub struct ClaimedRevocation {
    pub id: Uuid,
    pub tokens: OAuthTokens,
    /// This one included.
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

/// Notes a permission to be ended, under a name that leads to nobody.
pub async fn insert(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    tokens: &OAuthTokens,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    insert_row(conn, keys, id, tokens, now, now, None).await
}

/// Notes a permission that is not to be ended before an instant.
pub async fn insert_for_later(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    tokens: &OAuthTokens,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<(), StorageError> {
    insert_row(conn, keys, id, tokens, now, due_at, None).await
}

/// Keeps the pair of a connect under way, which is ended unless it is released before
/// an instant.
pub async fn insert_held(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    tokens: &OAuthTokens,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), StorageError> {
    insert_row(conn, keys, id, tokens, now, until, Some(until)).await
}

async fn insert_row(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    id: Uuid,
    tokens: &OAuthTokens,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
    held_until: Option<DateTime<Utc>>,
) -> Result<(), StorageError> {
    let sealed = tokens.seal(keys, &id.to_string())?;
    diesel::insert_into(whoop_revocation::table)
        .values((
            whoop_revocation::id.eq(id),
            whoop_revocation::sealed.eq(sealed.bytes),
            whoop_revocation::key_id.eq(sealed.key_id),
            whoop_revocation::scope.eq(&tokens.scope),
            whoop_revocation::expires_at.eq(tokens.expires_at),
            whoop_revocation::next_attempt_at.eq(due_at),
            whoop_revocation::created_at.eq(now),
            whoop_revocation::held_until.eq(held_until),
        ))
        // A repetition after a lost answer of PostgreSQL.
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a held pair out, to be stored for its member. Returns `false` if it is gone or
/// an attempt to end the permission was made.
pub async fn release_held(conn: &mut PgConnection, id: Uuid) -> Result<bool, StorageError> {
    let held = whoop_revocation::table
        .find(id)
        .filter(whoop_revocation::held_until.is_not_null())
        .filter(whoop_revocation::attempts.eq(0));
    Ok(diesel::delete(held).execute(conn).await? > 0)
}

/// Has a held pair's permission ended from now on.
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

/// Whether the pair of a connect under way is held.
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

/// Those created before an instant that may be tried now; those that failed before come
/// last.
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

/// Takes the right to try one; `None` if it is done, or not due, or another's.
///
/// # Errors
///
/// [`StorageError::Seal`] where none of the keys opens it; the claim stands.
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

/// Stores the pair that a refresh gave; the one before it is dead.
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

/// Puts the next attempt off, with the reason for people.
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
