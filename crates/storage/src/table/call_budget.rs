//! WHOOP's quota, shared by every process: one row, replaced as a whole.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Jsonb, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use whoop_core::quota::QuotaLedger;

use crate::{PgConnection, StorageError, prepared::prepared};

/// The ledger as it stood at a moment of the database's clock, by which all
/// processes go.
#[derive(Debug, Clone)]
pub struct LedgerSnapshot {
    pub ledger: QuotaLedger,
    pub now: DateTime<Utc>,
    version: i64,
}

#[derive(QueryableByName)]
struct LedgerRow {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    ledger: Option<Value>,
}

/// Reads the ledger; an empty one where nothing was ever spent, or what is
/// there cannot be read.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn read(conn: &mut PgConnection) -> Result<LedgerSnapshot, StorageError> {
    let row: LedgerRow = prepared(
        "SELECT clock_timestamp() AS now, version, ledger \
         FROM (SELECT) AS one LEFT JOIN whoop_call_budget ON id = 1",
    )
    .get_result(conn)
    .await?;
    let ledger: Result<Option<QuotaLedger>, _> = row.ledger.map(serde_json::from_value).transpose();
    Ok(LedgerSnapshot {
        ledger: ledger
            .unwrap_or_else(|error| {
                // WHOOP's own count corrects what is forgotten here.
                tracing::error!(%error, "whoop_call_budget cannot be read and begins anew");
                None
            })
            .unwrap_or_default()
            .with_clamped_times(row.now),
        now: row.now,
        version: row.version.unwrap_or(0),
    })
}

/// Replaces the ledger that was read; `false` if somebody else was faster, and
/// then nothing is written.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn replace(
    conn: &mut PgConnection,
    current: &LedgerSnapshot,
) -> Result<bool, StorageError> {
    let ledger = serde_json::to_value(&current.ledger)
        .map_err(|error| StorageError::NotSerializable(error.into()))?;
    let written = prepared(
        "INSERT INTO whoop_call_budget AS known (id, version, ledger, updated_at) \
         VALUES (1, $1 + 1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET version = $1 + 1, ledger = $2, updated_at = $3 \
         WHERE known.version = $1",
    )
    .bind::<BigInt, _>(current.version)
    .bind::<Jsonb, _>(ledger)
    .bind::<Timestamptz, _>(current.now)
    .execute(conn)
    .await?;
    Ok(written > 0)
}
