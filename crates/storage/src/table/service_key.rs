//! Service keys, with which backends of the team call this service.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Binary, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    PgConnection, StorageError,
    prepared::prepared,
    schema::whoop_service_key,
    service_key::{KeyDigest, KeyName, ScopeSet},
};

/// Minimum time between two recorded uses of a key, so that not every request writes to the
/// database.
pub const USE_RECORDED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A new key to store.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: KeyName,
    pub digest: KeyDigest,
    pub scopes: ScopeSet,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A stored key, without its digest.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = whoop_service_key, check_for_backend(diesel::pg::Pg))]
pub struct KeyRow {
    pub name: String,
    scopes: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// State of a key: whether it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Expired,
    Revoked,
}

impl KeyState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl KeyRow {
    pub fn scopes(&self) -> ScopeSet {
        ScopeSet::parse_column(&self.scopes)
    }

    pub fn state(&self, now: DateTime<Utc>) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }

    /// Returns whether a use of the key at the time `now` has to be recorded.
    pub fn use_is_due(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at
            .is_none_or(|at| now - at >= USE_RECORDED_EVERY)
    }
}

/// Stores a key. Returns `false` if a key with the same name exists and was not revoked.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn insert(conn: &mut PgConnection, key: &NewKey) -> Result<bool, StorageError> {
    let inserted = prepared(
        "INSERT INTO whoop_service_key (digest, name, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
    )
    .bind::<Binary, _>(key.digest.0.to_vec())
    .bind::<Text, _>(key.name.as_str())
    .bind::<Text, _>(key.scopes.to_string())
    .bind::<Timestamptz, _>(key.created_at)
    .bind::<Nullable<Timestamptz>, _>(key.expires_at)
    .execute(conn)
    .await?;
    Ok(inserted == 1)
}

/// Returns the key with this digest, in any state.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn find(
    conn: &mut PgConnection,
    digest: KeyDigest,
) -> Result<Option<KeyRow>, StorageError> {
    Ok(whoop_service_key::table
        .find(digest.0.to_vec())
        .select(KeyRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Returns all keys, the newest first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<KeyRow>, StorageError> {
    Ok(whoop_service_key::table
        .order((
            whoop_service_key::created_at.desc(),
            whoop_service_key::name,
        ))
        .select(KeyRow::as_select())
        .load(conn)
        .await?)
}

/// Revokes the key with this name. Returns `false` if there is no such key, or if it was already
/// revoked.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn revoke(
    conn: &mut PgConnection,
    name: &KeyName,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let revoked = prepared(
        "UPDATE whoop_service_key SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL",
    )
    .bind::<Text, _>(name.as_str())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(revoked > 0)
}

/// Records that a key was used at the time `now`, unless a use within the last
/// [`USE_RECORDED_EVERY`] is recorded.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn note_use(
    conn: &mut PgConnection,
    digest: KeyDigest,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_service_key SET last_used_at = $2 \
         WHERE digest = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
    )
    .bind::<Binary, _>(digest.0.to_vec())
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - USE_RECORDED_EVERY)
    .execute(conn)
    .await?;
    Ok(())
}
