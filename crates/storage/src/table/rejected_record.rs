use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::{DataType, UserId, record::Rejected};

use crate::{PgConnection, StorageError, schema::whoop_rejected_record};

/// Keeps records that could not be stored; the same one once, however often
/// it comes.
pub async fn keep(
    conn: &mut PgConnection,
    user_id: &UserId,
    rejected: &[Rejected],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    for one in rejected {
        diesel::insert_into(whoop_rejected_record::table)
            .values((
                whoop_rejected_record::user_id.eq(user_id.as_str()),
                whoop_rejected_record::data_type.eq(one.data_type.as_str()),
                whoop_rejected_record::raw_hash.eq(Sha256::digest(one.raw.as_bytes()).to_vec()),
                whoop_rejected_record::record_id.eq(&one.record_id),
                whoop_rejected_record::raw.eq(&one.raw),
                whoop_rejected_record::reason.eq(&one.reason),
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
                whoop_rejected_record::reason.eq(&one.reason),
                whoop_rejected_record::last_seen_at.eq(now),
                whoop_rejected_record::times_seen.eq(whoop_rejected_record::times_seen + 1),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Which of these records are set aside.
pub(crate) async fn known_ids(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    ids: &[String],
) -> Result<HashSet<String>, StorageError> {
    let known: Vec<Option<String>> = whoop_rejected_record::table
        .filter(whoop_rejected_record::user_id.eq(user_id.as_str()))
        .filter(whoop_rejected_record::data_type.eq(data_type.as_str()))
        .filter(whoop_rejected_record::record_id.eq_any(ids))
        .select(whoop_rejected_record::record_id)
        .load(conn)
        .await?;
    Ok(known.into_iter().flatten().collect())
}

/// Forgets the broken versions of records that were read well since.
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
        whoop_rejected_record::table
            .filter(whoop_rejected_record::user_id.eq(user_id.as_str()))
            .filter(whoop_rejected_record::data_type.eq(data_type.as_str()))
            .filter(whoop_rejected_record::record_id.eq_any(ids)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many records of a member are set aside.
pub async fn count(conn: &mut PgConnection, user_id: &UserId) -> Result<i64, StorageError> {
    Ok(whoop_rejected_record::table
        .filter(whoop_rejected_record::user_id.eq(user_id.as_str()))
        .count()
        .get_result(conn)
        .await?)
}
