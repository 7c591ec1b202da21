//! Stores a page of records in the same way as a sync, and returns the changed rows as they were
//! before and after.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Jsonb, Text},
};
use diesel_async::{AsyncConnection, RunQueryDsl, TransactionManager};
use serde_json::Value;
use whoop_core::{
    DataType, UserId,
    difference::{ColumnValues, RowChange},
    record::RejectedRecord,
};

use crate::{
    PgConnection, StorageError,
    change_batch::ChangeBatch,
    date_assignment::{self, AffectedRecords},
    page::{self, StoreCounts},
    prepared::prepared,
    table::{RecordTable, change, users},
};

type Savepoint = <PgConnection as AsyncConnection>::TransactionManager;

/// Changed rows, each before and after the change, by data type and record id.
pub type RowChanges = BTreeMap<(DataType, String), RowChange>;

/// Stores a page as [`page::store`] does, and returns the rows that changed.
///
/// The local dates of all records on the page are assigned again, including records that did not
/// change.
///
/// The change feed lists every changed row, including rows of other data types, but only after the
/// write. To read the rows as they were before, the page is stored twice. The first write happens
/// in a savepoint. After the savepoint is rolled back, the former rows are read, and the page is
/// stored again.
///
/// # Errors
///
/// The same as [`page::store`].
pub async fn store_with_changes<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: &[R],
    rejected: &[RejectedRecord],
    now: DateTime<Utc>,
) -> Result<(StoreCounts, RowChanges), StorageError> {
    // The row lock prevents other transactions from writing the member's records until this
    // transaction ends.
    users::lock_member(conn, user_id).await?;
    let numbers = change::sequence_numbers(conn, user_id).await?;
    let latest = numbers.map_or(0, |numbers| numbers.latest);

    Savepoint::begin_transaction(conn).await?;
    store_and_assign_dates(conn, user_id, records, rejected, now).await?;
    let changed = change::list_after(conn, user_id, latest, i64::MAX).await?;
    let (types, ids): (Vec<&str>, Vec<&str>) = changed
        .iter()
        .map(|change| (change.data_type.as_str(), change.record_id.as_str()))
        .unzip();
    let after = rows(conn, user_id, &types, &ids).await?;
    Savepoint::rollback_transaction(conn).await?;

    let mut changes = RowChanges::new();
    for (key, row) in rows(conn, user_id, &types, &ids).await? {
        changes.entry(key).or_default().before = Some(row);
    }
    for (key, row) in after {
        changes.entry(key).or_default().after = Some(row);
    }
    let stored = store_and_assign_dates(conn, user_id, records, rejected, now).await?;
    Ok((stored, changes))
}

async fn store_and_assign_dates<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: &[R],
    rejected: &[RejectedRecord],
    now: DateTime<Utc>,
) -> Result<StoreCounts, StorageError> {
    let stored = page::store(conn, user_id, records, rejected, now).await?;
    let mut affected = AffectedRecords::default();
    for record in records {
        affected.add(record);
    }
    let mut changes = ChangeBatch::default();
    date_assignment::assign_local_dates(conn, user_id, affected, &mut changes).await?;
    changes.write(conn, user_id, now).await?;
    Ok(stored)
}

#[derive(QueryableByName)]
struct StoredRow {
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// Loads the stored rows of the given records: `types` and `ids` are the data type and the id of
/// each record.
///
/// The columns that PostgreSQL computes and the columns that only this service sets are omitted.
async fn rows(
    conn: &mut PgConnection,
    user_id: &UserId,
    types: &[&str],
    ids: &[&str],
) -> Result<Vec<((DataType, String), ColumnValues)>, StorageError> {
    let tables = DataType::ALL.map(|data_type| {
        format!(
            "SELECT '{data_type}' AS data_type, id, to_jsonb(stored) - ARRAY['user_id', 'id', \
                 'synced_at', 'calories_burned', 'total_sleep_time_milli'] AS row \
             FROM whoop_{data_type} AS stored WHERE user_id = $1 \
               AND ('{data_type}', id) IN (SELECT * FROM unnest($2, $3))"
        )
    });
    let rows: Vec<StoredRow> = prepared(tables.join(" UNION ALL "))
        .bind::<Text, _>(user_id.as_str())
        .bind::<Array<Text>, _>(types)
        .bind::<Array<Text>, _>(ids)
        .load(conn)
        .await?;
    let rows = rows.into_iter().filter_map(|stored| match stored.row {
        Value::Object(row) => Some(((stored.data_type.parse().ok()?, stored.id), row)),
        _ => None,
    });
    Ok(rows.collect())
}
