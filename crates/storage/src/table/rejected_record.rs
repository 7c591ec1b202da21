use chrono::{DateTime, Utc};
use diesel::{dsl::sql, prelude::*, sql_types::Double};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::{DataType, UserId, record::RejectedRecord};

use crate::{PgConnection, StorageError, schema::whoop_rejected_record};

/// Stores rejected records. Each record has one row, with its latest text and the latest reason.
pub async fn upsert(
    conn: &mut PgConnection,
    user_id: &UserId,
    rejected: &[RejectedRecord],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    for record in rejected {
        let identity = record.record_id.as_ref().unwrap_or(&record.raw);
        diesel::insert_into(whoop_rejected_record::table)
            .values((
                whoop_rejected_record::user_id.eq(user_id.as_str()),
                whoop_rejected_record::data_type.eq(record.data_type.as_str()),
                whoop_rejected_record::raw_hash.eq(Sha256::digest(identity.as_bytes()).to_vec()),
                whoop_rejected_record::record_id.eq(&record.record_id),
                whoop_rejected_record::raw.eq(&record.raw),
                whoop_rejected_record::reason.eq(&record.reason),
                whoop_rejected_record::first_seen_at.eq(now),
                whoop_rejected_record::last_seen_at.eq(now),
            ))
            .on_conflict((
                whoop_rejected_record::user_id,
                whoop_rejected_record::data_type,
                whoop_rejected_record::raw_hash,
            ))
            .do_update()
            .set((
                whoop_rejected_record::raw.eq(&record.raw),
                whoop_rejected_record::reason.eq(&record.reason),
                whoop_rejected_record::last_seen_at.eq(now),
                whoop_rejected_record::times_seen.eq(whoop_rejected_record::times_seen + 1),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Deletes the rejected versions of these records, because the records were stored since then or
/// WHOOP deleted them.
pub async fn forget(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    ids: &[String],
) -> Result<(), StorageError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::delete(
        whoop_rejected_record::table
            .filter(whoop_rejected_record::user_id.eq(user_id.as_str()))
            .filter(whoop_rejected_record::data_type.eq(data_type.as_str()))
            .filter(whoop_rejected_record::record_id.eq_any(ids)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the number of a member's rejected records.
pub async fn count(conn: &mut PgConnection, user_id: &UserId) -> Result<i64, StorageError> {
    Ok(whoop_rejected_record::table
        .filter(whoop_rejected_record::user_id.eq(user_id.as_str()))
        .count()
        .get_result(conn)
        .await?)
}

/// A rejected record with the text that WHOOP sent.
#[derive(Debug, Clone, Queryable)]
pub struct RejectedRow {
    pub user_id: String,
    pub data_type: String,
    pub raw: String,
}

/// Returns at most `limit` rejected records of all members, selected at random.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn sample(conn: &mut PgConnection, limit: i64) -> Result<Vec<RejectedRow>, StorageError> {
    Ok(whoop_rejected_record::table
        .order(sql::<Double>("random()"))
        .limit(limit)
        .select((
            whoop_rejected_record::user_id,
            whoop_rejected_record::data_type,
            whoop_rejected_record::raw,
        ))
        .load(conn)
        .await?)
}
