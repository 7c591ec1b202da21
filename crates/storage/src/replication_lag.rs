//! Positions in the write-ahead log, in bytes, from which the lag of a replica is computed.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable},
};
use diesel_async::RunQueryDsl;

use crate::{PgConnection, StorageError, prepared::prepared};

#[derive(QueryableByName)]
struct WalPositionRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    position: Option<i64>,
}

/// Returns the position up to which a primary server has written its write-ahead log.
///
/// # Errors
///
/// PostgreSQL is unavailable, or the server is not a primary.
pub async fn written(conn: &mut PgConnection) -> Result<i64, StorageError> {
    read(
        conn,
        "SELECT (pg_current_wal_lsn() - '0/0')::BIGINT AS position",
    )
    .await
}

/// Returns the position up to which a replica has replayed the write-ahead log. For a server that
/// is not a replica, returns the maximum of `i64`.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn replayed(conn: &mut PgConnection) -> Result<i64, StorageError> {
    let sql = "SELECT CASE WHEN pg_is_in_recovery() \
                    THEN (pg_last_wal_replay_lsn() - '0/0')::BIGINT \
                    ELSE 9223372036854775807 END AS position";
    read(conn, sql).await
}

async fn read(conn: &mut PgConnection, sql: &'static str) -> Result<i64, StorageError> {
    let row: WalPositionRow = prepared(sql).get_result(conn).await?;
    Ok(row.position.unwrap_or_default())
}
