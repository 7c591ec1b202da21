//! Records that are older than the operator keeps them.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Date, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use whoop_core::{UserId, retention::KeptFrom};

use crate::{StorageError, table::users};

const RECORDS: [&str; 4] = [
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_workout",
];

/// Removes what is older, within the caller's transaction and in the member's
/// turn, and lets the log say so: what left is not covered any more.
///
/// Returns how many rows left.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased meanwhile.
pub async fn trim(
    conn: &mut AsyncPgConnection,
    user_id: &UserId,
    kept: KeptFrom,
) -> Result<u64, StorageError> {
    users::take_turn(conn, user_id).await?;
    let mut removed = 0;
    for table in RECORDS {
        removed += diesel::sql_query(format!(
            "DELETE FROM {table} WHERE user_id = $1 AND local_date < $2"
        ))
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(kept.date)
        .execute(conn)
        .await?;
    }
    removed += diesel::sql_query(
        "DELETE FROM whoop_rejected_record WHERE user_id = $1 AND last_seen_at < $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(kept.instant)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "UPDATE whoop_sync_log SET \
             covered_from = CASE WHEN covered_until > $2 THEN $2 END, \
             covered_until = CASE WHEN covered_until > $2 THEN covered_until END, \
             whole_history = FALSE \
         WHERE user_id = $1 AND covered_from < $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(kept.instant)
    .execute(conn)
    .await?;
    Ok(removed as u64)
}

/// Removes the runs that began before an instant.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn trim_runs(
    conn: &mut AsyncPgConnection,
    before: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::sql_query("DELETE FROM whoop_sync_run WHERE started_at < $1")
        .bind::<Timestamptz, _>(before)
        .execute(conn)
        .await?;
    Ok(())
}
