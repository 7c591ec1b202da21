//! Members that `sync-worker adopt` must not import again, identified by a digest of their id:
//! imported and erased members.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_adopted};

/// Returns the SHA-256 of a member's id in hexadecimal digits.
///
/// The rows with these digests are kept after a member is erased, so that a second `adopt` does not
/// import the member again. The digest does not hide the member, because it can be computed for
/// every id in a list of ids.
fn digest(user_id: &UserId) -> String {
    let digest = Sha256::digest(user_id.as_str());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether a member was imported before, or was erased, so that `adopt` must not import the
/// member.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn is_adopted(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let query = whoop_adopted::table
        .find(digest(user_id))
        .select(whoop_adopted::member_digest);
    Ok(query.first::<String>(conn).await.optional()?.is_some())
}

/// Marks a member as erased, so that `adopt` does not import the member later.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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

/// Marks a member as imported and stores the number of imported records. Does nothing if the member
/// is marked already.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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
