//! Storing a page and telling what that changed: the difference between what was
//! here and what WHOOP has.
//!
//! Whoever only wants to know rolls the transaction back.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Date, Jsonb, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value};
use whoop_core::{
    DataType, UserId,
    record::{Record, Rejected},
};

use crate::{
    PgConnection, StorageError,
    changes::Changes,
    page::{self, Stored},
    prepared::prepared,
    settle::{self, Touched},
    table::{RecordTable, rejected_record, users},
};

/// A row as it stands, without what only we know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub updated_at: DateTime<Utc>,
    pub local_date: NaiveDate,
    /// Column by column.
    pub values: Map<String, Value>,
}

/// A record of WHOOP's, with its row before and after it was stored.
#[derive(Debug, Clone)]
pub struct Compared {
    pub id: String,
    pub happened_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub was_set_aside: bool,
    pub before: Option<Row>,
    /// `None` for a record that PostgreSQL refused.
    pub after: Option<Row>,
}

/// A cycle or a recovery that came to lie under another day, because of what was
/// stored of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub data_type: DataType,
    pub id: String,
    pub from: NaiveDate,
    pub to: NaiveDate,
}

/// What storing a page did, and what was there before.
#[derive(Debug, Clone)]
pub struct Comparison {
    pub stored: Stored,
    /// Each of the page's records once.
    pub compared: Vec<Compared>,
    pub moved: Vec<Moved>,
}

#[derive(QueryableByName)]
struct DayRow {
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
}

#[derive(QueryableByName)]
struct StoredRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// Stores a page as [`page::store`] does, gives all of its records the day they
/// belong to, and tells how each row was before and is now.
///
/// # Errors
///
/// As [`page::store`].
pub async fn store<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: &[R],
    rejected: &[Rejected],
    now: DateTime<Utc>,
) -> Result<Comparison, StorageError> {
    // From here on nobody else writes this member.
    users::take_turn(conn, user_id).await?;
    let ids: Vec<String> = records.iter().map(Record::id).collect();
    let mut before = rows::<R>(conn, user_id, &ids).await?;
    let set_aside: HashSet<String> =
        rejected_record::known_ids(conn, user_id, R::DATA_TYPE, &ids).await?;

    let mut touched = Touched::default();
    for record in records {
        touched.add(record);
    }
    let days_before = days(conn, user_id, &touched).await?;
    let stored = page::store(conn, user_id, records, rejected, now).await?;
    let days_after = {
        let mut changes = Changes::default();
        settle::settle(conn, user_id, touched.clone(), &mut changes).await?;
        changes.write(conn, user_id, now).await?;
        days(conn, user_id, &touched).await?
    };
    let mut after = rows::<R>(conn, user_id, &ids).await?;
    // Each once, in the version that counts.
    let mut newest: BTreeMap<String, &R> = BTreeMap::new();
    for record in records {
        let known = newest.entry(record.id()).or_insert(record);
        if known.updated_at() <= record.updated_at() {
            *known = record;
        }
    }
    let moved = days_before
        .into_iter()
        .filter(|((data_type, _), _)| *data_type != R::DATA_TYPE)
        .filter_map(|((data_type, id), from)| {
            let to = *days_after.get(&(data_type, id.clone()))?;
            (from != to).then_some(Moved {
                data_type,
                id,
                from,
                to,
            })
        })
        .collect();
    let compared = newest
        .into_iter()
        .map(|(id, record)| Compared {
            happened_at: record.happened_at(),
            created_at: record.created_at(),
            updated_at: record.updated_at(),
            was_set_aside: set_aside.contains(&id),
            before: before.remove(&id),
            after: after.remove(&id),
            id,
        })
        .collect();
    Ok(Comparison {
        stored,
        compared,
        moved,
    })
}

/// The days of the cycles and recoveries that these records may move.
async fn days(
    conn: &mut PgConnection,
    user_id: &UserId,
    touched: &Touched,
) -> Result<BTreeMap<(DataType, String), NaiveDate>, StorageError> {
    let cycles: Vec<&String> = touched.cycles.iter().collect();
    let sleeps: Vec<&String> = touched.sleeps.iter().collect();
    let rows: Vec<DayRow> = prepared(
        "SELECT 'cycle' AS data_type, id, local_date FROM whoop_cycle \
         WHERE user_id = $1 AND id = ANY($2) \
         UNION ALL SELECT 'recovery', id, local_date FROM whoop_recovery \
         WHERE user_id = $1 AND (id = ANY($2) OR sleep_id = ANY($3))",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(cycles)
    .bind::<Array<Text>, _>(sleeps)
    .load(conn)
    .await?;
    let days = rows
        .into_iter()
        .filter_map(|row| Some(((row.data_type.parse().ok()?, row.id), row.local_date)));
    Ok(days.collect())
}

async fn rows<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    ids: &[String],
) -> Result<HashMap<String, Row>, StorageError> {
    let sql = format!(
        "SELECT id, updated_at, local_date, to_jsonb(stored) AS row \
         FROM {} AS stored WHERE user_id = $1 AND id = ANY($2)",
        R::TABLE
    );
    let rows: Vec<StoredRow> = prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Array<Text>, _>(ids)
        .load(conn)
        .await?;
    let compared = rows.into_iter().map(|stored| {
        let mut values = match stored.row {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        values.retain(|column, _| is_compared::<R>(column));
        let row = Row {
            updated_at: stored.updated_at,
            local_date: stored.local_date,
            values,
        };
        (stored.id, row)
    });
    Ok(compared.collect())
}

/// What WHOOP's record decides: neither the member, nor when we stored it, nor
/// what PostgreSQL works out by itself.
fn is_compared<R: RecordTable>(column: &str) -> bool {
    const OF_EVERY_TABLE: [&str; 6] = [
        "local_date",
        "timezone_offset",
        "score_state",
        "created_at",
        "updated_at",
        "extra",
    ];
    OF_EVERY_TABLE.contains(&column) || R::COLUMNS.contains(&column)
}
