//! The stored state of members from which a sync is planned.
//!
//! The state consists of the coverage (the time span of each data type that was read completely)
//! and of the pending records (records that WHOOP has not scored yet). The number of queries is the
//! same for one member and for thousands.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Array, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, coverage::Coverage};

use crate::{
    PgConnection, StorageError,
    prepared::{PreparedQuery, prepared},
    schema::{whoop_sync_log, whoop_users},
    table::{
        sync_log::{SyncLogRow, coverage_of},
        users::UserRow,
    },
};

/// The stored state of one member from which a sync is planned.
#[derive(Debug, Clone)]
pub struct MemberSnapshot {
    pub member: UserRow,
    /// Coverage of the data types that the member granted, including data types that were never
    /// read.
    pub coverage: Vec<Coverage>,
    /// Pending records, the oldest first.
    pub pending_records: Vec<PendingRecord>,
}

/// A record that WHOOP has not scored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRecord {
    pub data_type: DataType,
    pub id: String,
    /// Start of the record. For a recovery, it is the time at which WHOOP created the record.
    pub happened_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct PendingRecordRow {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamptz)]
    happened_at: DateTime<Utc>,
}

/// Loads the snapshots of these members. The key of the map is the member's id. Members who never
/// connected are omitted.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn load(
    conn: &PgConnection,
    user_ids: &[&str],
) -> Result<HashMap<String, MemberSnapshot>, StorageError> {
    let (members, log, pending_rows) = futures::try_join!(
        whoop_users::table
            .filter(whoop_users::user_id.eq_any(user_ids))
            .select(UserRow::as_select())
            .load::<UserRow>(&mut &*conn),
        whoop_sync_log::table
            .filter(whoop_sync_log::user_id.eq_any(user_ids))
            .select((whoop_sync_log::user_id, SyncLogRow::as_select()))
            .load::<(String, SyncLogRow)>(&mut &*conn),
        pending_records_query(user_ids).load::<PendingRecordRow>(&mut &*conn),
    )?;
    let mut rows: HashMap<String, Vec<SyncLogRow>> = HashMap::new();
    for (user_id, row) in log {
        rows.entry(user_id).or_default().push(row);
    }
    let mut snapshots: HashMap<String, MemberSnapshot> = members
        .into_iter()
        .map(|member| {
            let rows = rows.remove(&member.user_id).unwrap_or_default();
            let snapshot = MemberSnapshot {
                coverage: coverage_of(&rows),
                pending_records: Vec::new(),
                member,
            };
            (snapshot.member.user_id.clone(), snapshot)
        })
        .collect();
    for row in pending_rows {
        let (Some(snapshot), Ok(data_type)) =
            (snapshots.get_mut(&row.user_id), row.data_type.parse())
        else {
            continue;
        };
        snapshot.pending_records.push(PendingRecord {
            data_type,
            id: row.id,
            happened_at: row.happened_at,
        });
    }
    Ok(snapshots)
}

/// Returns the pending records of one member, the oldest first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list_pending_records(
    conn: &mut PgConnection,
    user_id: &str,
) -> Result<Vec<PendingRecord>, StorageError> {
    let rows: Vec<PendingRecordRow> = pending_records_query(&[user_id]).load(conn).await?;
    let records = rows.into_iter().filter_map(|row| {
        Some(PendingRecord {
            data_type: row.data_type.parse().ok()?,
            id: row.id,
            happened_at: row.happened_at,
        })
    });
    Ok(records.collect())
}

fn pending_records_query(user_ids: &[&str]) -> PreparedQuery<'static> {
    let sql = pending_records_sql(|_| "user_id = ANY($1)".to_owned());
    let ids: Vec<String> = user_ids.iter().map(|id| (*id).to_owned()).collect();
    prepared(format!("{sql} ORDER BY happened_at, id")).bind::<Array<Text>, _>(ids)
}

/// Returns the query for the pending records of all data types.
///
/// `condition` receives the name of the column with the record's time, and returns the SQL
/// condition for the rows. The condition on `score_state` must be identical to the condition of the
/// partial indexes, because PostgreSQL uses these indexes only then.
pub(crate) fn pending_records_sql(condition: impl Fn(&str) -> String) -> String {
    let select = |data_type: DataType, happened_at: &str| {
        format!(
            "SELECT user_id, '{data_type}' AS data_type, id, {happened_at} AS happened_at \
             FROM whoop_{data_type} \
             WHERE {} AND score_state NOT IN ('SCORED', 'UNSCORABLE')",
            condition(happened_at)
        )
    };
    [
        select(DataType::Recovery, "created_at"),
        select(DataType::Sleep, "start_time"),
        select(DataType::Workout, "start_time"),
        select(DataType::Cycle, "start_time"),
    ]
    .join(" UNION ALL ")
}
