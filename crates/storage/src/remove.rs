//! Finds stored records that WHOOP no longer lists, and deletes them.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Date, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId};

use crate::{
    PgConnection, StorageError,
    change_batch::ChangeBatch,
    date_assignment::{self, AffectedRecords},
    prepared::prepared,
    table::{record_denial, rejected_record, users},
};

/// Maximum difference between a record's local date and the UTC date of its start or end, for any
/// UTC offset: 2 days.
const DATE_MARGIN: TimeDelta = TimeDelta::days(2);

/// The part of WHOOP's list that was read.
#[derive(Debug, Clone, Copy)]
pub struct ListedWindow<'a> {
    pub data_type: DataType,
    /// Only records that lie completely between `from` and `until` are compared with the list.
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Time at which the read of the list began. Records that were stored after this time are
    /// ignored, because WHOOP may have created them after the list was read.
    pub began_at: DateTime<Utc>,
    /// Ids of the records on the list.
    pub ids: &'a HashSet<String>,
}

/// A stored record that is missing from WHOOP's list.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct MissingRecord {
    #[diesel(sql_type = Text)]
    pub id: String,
    /// Start of the record. For a recovery, it is the time at which WHOOP created the record, by
    /// which WHOOP's list of recoveries is ordered.
    #[diesel(sql_type = Timestamptz)]
    pub happened_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct RemovedRow {
    #[diesel(sql_type = Text)]
    id: String,
    /// The date of the day that contained the record.
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
}

/// A record that was deleted from the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedRecord {
    pub data_type: DataType,
    pub id: String,
    pub local_date: NaiveDate,
}

/// Returns the stored records within the window that are missing from WHOOP's list, the newest
/// first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn find_missing(
    conn: &mut PgConnection,
    user_id: &UserId,
    listed: ListedWindow<'_>,
) -> Result<Vec<MissingRecord>, StorageError> {
    // WHOOP's list also contains records that have not ended, such as the running cycle, so they
    // are compared too. A recovery has no start and end. The times of its sleep are used instead,
    // or the times of its cycle, or its creation time if neither is stored. The condition on the
    // dates lets PostgreSQL use the index.
    let sql = match listed.data_type {
        DataType::Recovery => {
            "SELECT r.id, r.created_at AS happened_at \
             FROM whoop_recovery r \
             LEFT JOIN whoop_sleep s ON s.user_id = r.user_id AND s.id = r.sleep_id \
             LEFT JOIN whoop_cycle c ON c.user_id = r.user_id AND c.id = r.cycle_id \
             WHERE r.user_id = $1 AND r.local_date BETWEEN $5 AND $6 AND r.synced_at <= $4 \
               AND coalesce(s.start_time, c.start_time, r.created_at) >= $2 \
               AND coalesce(s.end_time, c.end_time, r.created_at) <= $3 \
             ORDER BY r.created_at DESC"
        }
        DataType::Sleep => {
            "SELECT id, start_time AS happened_at FROM whoop_sleep \
             WHERE user_id = $1 AND local_date BETWEEN $5 AND $6 AND synced_at <= $4 \
               AND start_time >= $2 AND coalesce(end_time, start_time) <= $3 ORDER BY start_time DESC"
        }
        DataType::Workout => {
            "SELECT id, start_time AS happened_at FROM whoop_workout \
             WHERE user_id = $1 AND local_date BETWEEN $5 AND $6 AND synced_at <= $4 \
               AND start_time >= $2 AND coalesce(end_time, start_time) <= $3 ORDER BY start_time DESC"
        }
        DataType::Cycle => {
            "SELECT id, start_time AS happened_at FROM whoop_cycle \
             WHERE user_id = $1 AND local_date BETWEEN $5 AND $6 AND synced_at <= $4 \
               AND start_time >= $2 AND coalesce(end_time, start_time) <= $3 ORDER BY start_time DESC"
        }
    };
    let stored: Vec<MissingRecord> = prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Timestamptz, _>(listed.from)
        .bind::<Timestamptz, _>(listed.until)
        .bind::<Timestamptz, _>(listed.began_at)
        .bind::<Date, _>(listed.from.date_naive() - DATE_MARGIN)
        .bind::<Date, _>(listed.until.date_naive() + DATE_MARGIN)
        .load(conn)
        .await?;
    Ok(stored
        .into_iter()
        .filter(|row| !listed.ids.contains(&row.id))
        .collect())
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns whether a record of the data type from before the time `before` is stored.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn has_older_record(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    before: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let sql = match data_type {
        DataType::Recovery => {
            "SELECT EXISTS (SELECT 1 FROM whoop_recovery WHERE user_id = $1 AND created_at < $2) AS found"
        }
        DataType::Sleep => {
            "SELECT EXISTS (SELECT 1 FROM whoop_sleep WHERE user_id = $1 AND start_time < $2) AS found"
        }
        DataType::Workout => {
            "SELECT EXISTS (SELECT 1 FROM whoop_workout WHERE user_id = $1 AND start_time < $2) AS found"
        }
        DataType::Cycle => {
            "SELECT EXISTS (SELECT 1 FROM whoop_cycle WHERE user_id = $1 AND start_time < $2) AS found"
        }
    };
    let row: FoundRow = prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Timestamptz, _>(before)
        .get_result(conn)
        .await?;
    Ok(row.found)
}

/// Deletes a record that WHOOP no longer has, and returns the deleted records. A sleep is deleted
/// together with its recovery.
///
/// Runs within the caller's transaction, and takes the member's row lock.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased in the meantime.
pub async fn remove_record(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    id: &str,
    now: DateTime<Utc>,
) -> Result<Vec<RemovedRecord>, StorageError> {
    users::lock_member(conn, user_id).await?;
    let mut affected = AffectedRecords::default();
    let mut removed = Vec::new();
    let recovery_of_sleep =
        (data_type == DataType::Sleep).then_some((DataType::Recovery, DELETE_RECOVERY_OF_SLEEP));
    for (data_type, sql) in [(data_type, delete_sql(data_type))]
        .into_iter()
        .chain(recovery_of_sleep)
    {
        for row in delete_records(conn, user_id, sql, id).await? {
            affected.cycles.extend(row.cycle_id);
            affected.add_date(data_type, row.local_date);
            removed.push(RemovedRecord {
                data_type,
                id: row.id,
                local_date: row.local_date,
            });
        }
    }
    let mut changes = ChangeBatch::default();
    for record in &removed {
        changes.add_deleted(record.data_type, record.id.clone(), record.local_date);
    }
    date_assignment::assign_local_dates(conn, user_id, affected, &mut changes).await?;
    changes.write(conn, user_id, now).await?;
    let ids = [id.to_owned()];
    record_denial::forget(conn, user_id, data_type, &ids).await?;
    rejected_record::forget(conn, user_id, data_type, &ids).await?;
    Ok(removed)
}

const DELETE_RECOVERY_OF_SLEEP: &str = "DELETE FROM whoop_recovery \
    WHERE user_id = $1 AND sleep_id = $2 RETURNING id, local_date, cycle_id";

const fn delete_sql(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Recovery => {
            "DELETE FROM whoop_recovery WHERE user_id = $1 AND id = $2 \
             RETURNING id, local_date, cycle_id"
        }
        DataType::Sleep => {
            "DELETE FROM whoop_sleep WHERE user_id = $1 AND id = $2 \
             RETURNING id, coalesce(night_date, local_date) AS local_date, cycle_id"
        }
        DataType::Workout => {
            "DELETE FROM whoop_workout WHERE user_id = $1 AND id = $2 \
             RETURNING id, local_date, NULL AS cycle_id"
        }
        DataType::Cycle => {
            "DELETE FROM whoop_cycle WHERE user_id = $1 AND id = $2 \
             RETURNING id, local_date, id AS cycle_id"
        }
    }
}

async fn delete_records(
    conn: &mut PgConnection,
    user_id: &UserId,
    sql: &'static str,
    id: &str,
) -> Result<Vec<RemovedRow>, StorageError> {
    Ok(prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Text, _>(id)
        .load(conn)
        .await?)
}
