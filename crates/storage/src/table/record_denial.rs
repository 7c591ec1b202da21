//! `whoop_record_denial`: stored records for which WHOOP answered 404.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_record_denial};

/// Minimum time between two 404 answers for a record that count as independent. WHOOP sometimes
/// answers 404 for a short time although the record exists.
pub const INDEPENDENT_AFTER: TimeDelta = TimeDelta::hours(1);

/// Age after which a stored 404 answer is ignored. A later 404 then counts as the first one.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(30);

#[derive(QueryableByName)]
struct DenialRow {
    #[diesel(sql_type = Timestamptz)]
    denied_at: DateTime<Utc>,
}

/// Records that WHOOP answered 404 for a record. Returns whether an independent 404, at least an
/// hour earlier, is stored for the record.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn note(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    record_id: &str,
    now: DateTime<Utc>,
) -> Result<bool, StorageError> {
    // A stored time in the future was written with a wrong clock and is replaced.
    let first: DenialRow = prepared(
        "INSERT INTO whoop_record_denial AS known (user_id, data_type, record_id, denied_at) \
         VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id, data_type, record_id) DO UPDATE \
         SET denied_at = CASE WHEN known.denied_at BETWEEN $5 AND $4 THEN known.denied_at ELSE $4 END \
         RETURNING denied_at",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<Text, _>(record_id)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - FORGOTTEN_AFTER)
    .get_result(conn)
    .await?;
    Ok(now - first.denied_at >= INDEPENDENT_AFTER)
}

/// Deletes the stored 404s that are more than 30 days old and therefore ignored.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn purge(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StorageError> {
    diesel::delete(
        whoop_record_denial::table.filter(whoop_record_denial::denied_at.lt(now - FORGOTTEN_AFTER)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the stored 404s of these records, because WHOOP has returned the records since then or
/// they were deleted.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    ids: &[String],
) -> Result<(), StorageError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::delete(
        whoop_record_denial::table
            .filter(whoop_record_denial::user_id.eq(user_id.as_str()))
            .filter(whoop_record_denial::data_type.eq(data_type.as_str()))
            .filter(whoop_record_denial::record_id.eq_any(ids)),
    )
    .execute(conn)
    .await?;
    Ok(())
}
