//! The member lease: one sync per member at a time, across processes.
//!
//! A lease is a column that expires, not a session lock. It works through every pooler, and the
//! lease of a killed process expires by itself. Expiry is judged by the database's clock, because
//! the clocks of the machines differ.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{Bool, Double, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

/// Time for which an interactive caller's request for the lease is valid. The caller renews it
/// while it waits.
const WANTED_DURATION: Duration = Duration::from_secs(2);

/// Result of an attempt to claim the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseClaim {
    Held {
        /// Id of the member's token pair until WHOOP's profile has confirmed its account.
        unidentified_pair: Option<Uuid>,
    },
    /// Another process holds the lease, an interactive caller waits for it and has precedence, or
    /// the member does not exist.
    Refused,
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    unidentified_pair: Option<Uuid>,
}

#[derive(QueryableByName)]
struct ExtendedRow {
    #[diesel(sql_type = Bool)]
    is_wanted: bool,
}

/// Claims the lease. `is_interactive` gives the claim precedence over background work.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    is_interactive: bool,
    duration: Duration,
) -> Result<LeaseClaim, StorageError> {
    let claimed: Vec<ClaimedRow> = prepared(
        "UPDATE whoop_users SET lease_holder = $2, lease_until = now() + make_interval(secs => $3), \
                lease_wanted_until = NULL \
         WHERE user_id = $1 AND (lease_until IS NULL OR lease_until < now()) \
           AND ($4 OR lease_wanted_until IS NULL OR lease_wanted_until < now()) \
         RETURNING unidentified_pair",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(duration.as_secs_f64())
    .bind::<Bool, _>(is_interactive)
    .load(conn)
    .await?;
    let row = claimed.into_iter().next();
    Ok(row.map_or(LeaseClaim::Refused, |row| LeaseClaim::Held {
        unidentified_pair: row.unidentified_pair,
    }))
}

/// Extends the lease of its holder. Returns whether an interactive caller waits for it.
///
/// Does nothing after the release, so that a delayed statement does not claim the lease again.
///
/// # Errors
///
/// PostgreSQL rejected the statement or cannot be reached.
pub async fn extend(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    duration: Duration,
) -> Result<bool, StorageError> {
    let extended: Vec<ExtendedRow> = prepared(
        "UPDATE whoop_users SET lease_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 AND lease_holder = $2 \
         RETURNING coalesce(lease_wanted_until > now(), false) AS is_wanted",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(duration.as_secs_f64())
    .load(conn)
    .await?;
    Ok(extended.iter().any(|row| row.is_wanted))
}

/// Releases the lease; does nothing if another holder has it.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn release(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_users SET lease_holder = NULL, lease_until = NULL \
         WHERE user_id = $1 AND lease_holder = $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .execute(conn)
    .await?;
    Ok(())
}

/// Asks the holder of the lease to release it, because an interactive caller waits.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn request_release(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_users SET lease_wanted_until = now() + make_interval(secs => $2) \
         WHERE user_id = $1",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Double, _>(WANTED_DURATION.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a process is syncing this member now.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn is_held(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let held = prepared("SELECT 1 FROM whoop_users WHERE user_id = $1 AND lease_until > now()")
        .bind::<Text, _>(user_id.as_str())
        .execute(conn)
        .await?;
    Ok(held > 0)
}
