//! Deletes records that are older than the operator's retention period.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Date, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId, retention::RetentionStart};

use crate::{PgConnection, StorageError, change_batch::ChangeBatch, table::users};

#[derive(QueryableByName)]
struct PurgedRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
}

/// Deletes the records of a member from before the start of the retention period, and returns the
/// number of deleted rows.
///
/// The deleted time span is removed from the coverage (the time span that was read completely).
/// Runs within the caller's transaction, and takes the member's row lock.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased in the meantime.
pub async fn purge_records(
    conn: &mut PgConnection,
    user_id: &UserId,
    retention_start: RetentionStart,
    now: DateTime<Utc>,
) -> Result<u64, StorageError> {
    users::lock_member(conn, user_id).await?;
    let mut removed = 0;
    let mut changes = ChangeBatch::default();
    for data_type in DataType::ALL {
        // A main sleep belongs to the date of its night (`night_date`), and is deleted together
        // with the other records of that date.
        let date = match data_type {
            DataType::Sleep => "coalesce(night_date, local_date)",
            _ => "local_date",
        };
        let rows: Vec<PurgedRow> = diesel::sql_query(format!(
            "DELETE FROM whoop_{data_type} WHERE user_id = $1 AND {date} < $2 \
             RETURNING id, {date} AS local_date"
        ))
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(retention_start.date)
        .load(conn)
        .await?;
        removed += rows.len();
        for row in rows {
            changes.add_deleted(data_type, row.id, row.local_date);
        }
    }
    changes.write(conn, user_id, now).await?;
    removed += diesel::sql_query(
        "DELETE FROM whoop_rejected_record WHERE user_id = $1 AND last_seen_at < $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(retention_start.instant)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "UPDATE whoop_sync_log SET \
             covered_from = CASE WHEN covered_until > $2 THEN greatest(covered_from, $2) END, \
             covered_until = CASE WHEN covered_until > $2 THEN covered_until END, \
             earlier_from = CASE WHEN earlier_until > $2 THEN greatest(earlier_from, $2) END, \
             earlier_until = CASE WHEN earlier_until > $2 THEN earlier_until END, \
             whole_history = FALSE, list_end_seen_at = NULL, list_end_oldest = NULL \
         WHERE user_id = $1 AND least(covered_from, earlier_from) < $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Timestamptz, _>(retention_start.instant)
    .execute(conn)
    .await?;
    Ok(removed as u64)
}

/// Deletes the scheduled runs that began before the time `before`.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn purge_runs(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::sql_query("DELETE FROM whoop_sync_run WHERE started_at < $1")
        .bind::<Timestamptz, _>(before)
        .execute(conn)
        .await?;
    Ok(())
}
