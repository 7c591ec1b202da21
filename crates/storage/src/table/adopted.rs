//! Whom `sync-worker adopt` has taken over, by a digest of their id.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_adopted};

/// SHA-256 in hex. The table outlives an erased member, because a second `adopt` must not bring
/// them back. It is not a secret: it can be computed from the list of ids.
fn digest(user_id: &UserId) -> String {
    let digest = Sha256::digest(user_id.as_str());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a member was taken over before.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn is_adopted(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let query = whoop_adopted::table
        .find(digest(user_id))
        .select(whoop_adopted::member_digest);
    Ok(query.first::<String>(conn).await.optional()?.is_some())
}

/// Notes that a member was erased, so that they are not taken over afterwards.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn note_erased(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    prepared(
        "INSERT INTO whoop_adopted (member_digest, adopted_at, records) VALUES ($1, now(), 0) \
         ON CONFLICT (member_digest) DO NOTHING",
    )
    .bind::<Text, _>(digest(user_id))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a member was taken over, with so many records; once.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn note_adopted(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: i64,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "INSERT INTO whoop_adopted (member_digest, adopted_at, records) VALUES ($1, $2, $3) \
         ON CONFLICT (member_digest) DO NOTHING",
    )
    .bind::<Text, _>(digest(user_id))
    .bind::<diesel::sql_types::Timestamptz, _>(now)
    .bind::<diesel::sql_types::BigInt, _>(records)
    .execute(conn)
    .await?;
    Ok(())
}
