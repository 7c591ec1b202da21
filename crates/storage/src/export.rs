//! All stored data of a member, read in batches.
//!
//! Each batch is a separate short query, so a slow download holds no connection and no transaction
//! between two batches. Records are ordered by WHOOP's creation time and id, which never change.
//! Writes during the export therefore cause no duplicate and no missing record.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Bytea, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use whoop_core::{DataType, UserId};

use crate::{
    PgConnection, StorageError,
    records::RecordRow,
    schema::{whoop_cycle, whoop_recovery, whoop_sleep, whoop_workout},
    table::{audit, cycle::CycleRow, recovery::RecoveryRow, sleep::SleepRow, workout::WorkoutRow},
};

/// Maximum number of rows that one batch reads into memory.
pub const BATCH: i64 = 500;

/// Maximum number of rejected records per batch. It is lower than [`BATCH`] because the texts of
/// rejected records can be long.
const REJECTED_BATCH: i64 = 50;

/// Position of an export, at which the next batch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportCursor(ExportPosition);

#[derive(Debug, Clone, PartialEq, Eq)]
enum ExportPosition {
    Member,
    Records(DataType, Option<(DateTime<Utc>, String)>),
    SyncLog,
    Rejected(Option<(DateTime<Utc>, Vec<u8>)>),
    Audit(Option<(DateTime<Utc>, i64)>),
    End,
}

/// Data types in the order of the export.
const EXPORT_ORDER: [DataType; 4] = [
    DataType::Cycle,
    DataType::Recovery,
    DataType::Sleep,
    DataType::Workout,
];

/// One exported row.
#[derive(Debug)]
pub enum ExportItem {
    /// The member's profile, connection and consent.
    Member(Value),
    Record(Box<RecordRow>),
    /// Coverage (the time span that was read completely) and sync state of one data type.
    SyncLog(Value),
    /// A rejected record: WHOOP sent it, but it could not be stored.
    Rejected(Value),
    /// A row of the audit trail about the member.
    Audit(Value),
}

impl Default for ExportCursor {
    fn default() -> Self {
        Self(ExportPosition::Member)
    }
}

#[derive(QueryableByName)]
struct ExportJsonRow {
    #[diesel(sql_type = Text)]
    json: String,
}

#[derive(QueryableByName)]
struct RejectedJsonRow {
    #[diesel(sql_type = Text)]
    json: String,
    #[diesel(sql_type = Timestamptz)]
    first_seen_at: DateTime<Utc>,
    #[diesel(sql_type = Bytea)]
    raw_hash: Vec<u8>,
}

/// Returns the batch at a position of the export and the position of the next batch, or `None` at
/// the end of the export.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn next(
    conn: &mut PgConnection,
    user_id: &UserId,
    cursor: ExportCursor,
) -> Result<Option<(Vec<ExportItem>, ExportCursor)>, StorageError> {
    let (items, position) = match cursor.0 {
        ExportPosition::Member => {
            let sql = "SELECT (to_jsonb(u) - 'lease_holder' - 'lease_until')::text AS json \
                       FROM whoop_users u WHERE user_id = $1";
            let items = documents(conn, sql, user_id).await?;
            (
                items.into_iter().map(ExportItem::Member).collect(),
                ExportPosition::Records(EXPORT_ORDER[0], None),
            )
        }
        ExportPosition::Records(data_type, after) => {
            let rows = records(conn, user_id, data_type, after.as_ref()).await?;
            let position = match rows.last() {
                Some(last) if rows.len() as i64 == BATCH => {
                    ExportPosition::Records(data_type, Some(last.export_key()))
                }
                _ => EXPORT_ORDER
                    .iter()
                    .skip_while(|one| **one != data_type)
                    .nth(1)
                    .map_or(ExportPosition::SyncLog, |next| {
                        ExportPosition::Records(*next, None)
                    }),
            };
            (
                rows.into_iter()
                    .map(|row| ExportItem::Record(Box::new(row)))
                    .collect(),
                position,
            )
        }
        ExportPosition::SyncLog => {
            let sql = "SELECT to_jsonb(l)::text AS json FROM whoop_sync_log l \
                       WHERE user_id = $1 ORDER BY data_type";
            let items = documents(conn, sql, user_id).await?;
            (
                items.into_iter().map(ExportItem::SyncLog).collect(),
                ExportPosition::Rejected(None),
            )
        }
        ExportPosition::Rejected(after) => rejected(conn, user_id, after).await?,
        ExportPosition::Audit(after) => load_audit_rows(conn, user_id, after).await?,
        ExportPosition::End => return Ok(None),
    };
    Ok(Some((items, ExportCursor(position))))
}

async fn documents(
    conn: &mut PgConnection,
    sql: &str,
    user_id: &UserId,
) -> Result<Vec<Value>, StorageError> {
    let rows: Vec<ExportJsonRow> = diesel::sql_query(sql)
        .bind::<Text, _>(user_id.as_str())
        .load(conn)
        .await?;
    rows.into_iter().map(|row| parse_json(&row.json)).collect()
}

fn parse_json(json: &str) -> Result<Value, StorageError> {
    serde_json::from_str(json)
        .map_err(|error| diesel::result::Error::DeserializationError(error.into()).into())
}

async fn records(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    after: Option<&(DateTime<Utc>, String)>,
) -> Result<Vec<RecordRow>, StorageError> {
    macro_rules! read {
        ($table:ident, $row:ident, $kind:ident) => {{
            let mut query = $table::table
                .filter($table::user_id.eq(user_id.as_str()))
                .order(($table::created_at, $table::id))
                .limit(BATCH)
                .select($row::as_select())
                .into_boxed();
            if let Some((at, id)) = after {
                let later = $table::created_at.gt(at);
                let same = $table::created_at.eq(at).and($table::id.gt(id));
                query = query.filter(later.or(same));
            }
            let rows: Vec<$row> = query.load(conn).await?;
            rows.into_iter().map(RecordRow::$kind).collect()
        }};
    }
    Ok(match data_type {
        DataType::Cycle => read!(whoop_cycle, CycleRow, Cycle),
        DataType::Recovery => read!(whoop_recovery, RecoveryRow, Recovery),
        DataType::Sleep => read!(whoop_sleep, SleepRow, Sleep),
        DataType::Workout => read!(whoop_workout, WorkoutRow, Workout),
    })
}

async fn rejected(
    conn: &mut PgConnection,
    user_id: &UserId,
    after: Option<(DateTime<Utc>, Vec<u8>)>,
) -> Result<(Vec<ExportItem>, ExportPosition), StorageError> {
    let (at, hash) = after.unzip();
    let rows: Vec<RejectedJsonRow> = diesel::sql_query(
        "SELECT (to_jsonb(r) - 'raw_hash')::text AS json, first_seen_at, raw_hash \
         FROM whoop_rejected_record r WHERE user_id = $1 \
           AND ($2 IS NULL OR (first_seen_at, raw_hash) > ($2, $3)) \
         ORDER BY first_seen_at, raw_hash LIMIT $4",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Nullable<Timestamptz>, _>(at)
    .bind::<Nullable<Bytea>, _>(hash)
    .bind::<diesel::sql_types::BigInt, _>(REJECTED_BATCH)
    .load(conn)
    .await?;
    let position = match rows.last() {
        Some(last) if rows.len() as i64 == REJECTED_BATCH => {
            ExportPosition::Rejected(Some((last.first_seen_at, last.raw_hash.clone())))
        }
        _ => ExportPosition::Audit(None),
    };
    let items: Result<_, _> = rows
        .iter()
        .map(|row| parse_json(&row.json).map(ExportItem::Rejected))
        .collect();
    Ok((items?, position))
}

async fn load_audit_rows(
    conn: &mut PgConnection,
    user_id: &UserId,
    after: Option<(DateTime<Utc>, i64)>,
) -> Result<(Vec<ExportItem>, ExportPosition), StorageError> {
    let rows = audit::list_after(conn, user_id, after, BATCH).await?;
    let position = match rows.last() {
        Some(last) if rows.len() as i64 == BATCH => ExportPosition::Audit(Some((last.at, last.id))),
        _ => ExportPosition::End,
    };
    let items = rows.iter().map(|row| {
        serde_json::to_value(row)
            .map(ExportItem::Audit)
            .map_err(|error| StorageError::NotSerializable(error.into()))
    });
    Ok((items.collect::<Result<_, _>>()?, position))
}
