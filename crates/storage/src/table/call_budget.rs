//! The quota ledger, in which all processes count their calls to WHOOP. It is one row, which is
//! always replaced as a whole.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Jsonb, Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use whoop_core::quota::QuotaLedger;

use crate::{PgConnection, StorageError, prepared::prepared};

/// The quota ledger as it was read, and the time of the read. The time is from the database's
/// clock, which all processes use.
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

/// Reads the quota ledger. Returns an empty ledger if no call was ever counted, or if the row
/// cannot be parsed.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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
                // The empty ledger lacks the calls that were counted before. The rate limit headers
                // of WHOOP's next responses correct this.
                tracing::error!(
                    %error,
                    "whoop_call_budget cannot be parsed; starting with an empty quota ledger"
                );
                None
            })
            .unwrap_or_default()
            .with_clamped_times(row.now),
        now: row.now,
        version: row.version.unwrap_or(0),
    })
}

/// Replaces the stored ledger by `current`, which was read before and then changed.
///
/// Returns `false` and writes nothing if another process has replaced the stored ledger since the
/// read.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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
