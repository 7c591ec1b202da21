//! The member lease: one sync per member at a time, across processes.
//!
//! A lease is stored in columns of the member's row and expires; it is not a lock of a database
//! session. Therefore it works through every pooler, and the lease of a killed process expires by
//! itself. Expiry is judged by the database's clock, because the clocks of the machines differ.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{Bool, Double, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

/// Time after which an interactive caller's request for the lease expires. The caller renews the
/// request every second while it waits.
const WANTED_DURATION: Duration = Duration::from_secs(2);

/// Result of an attempt to claim the lease of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseClaim {
    Held {
        /// Id of the member's token pair, if WHOOP's profile has not confirmed yet to which WHOOP
        /// account the pair belongs; otherwise `None`.
        unidentified_pair: Option<Uuid>,
    },
    /// Another process holds the lease, or an interactive caller waits for it and has precedence
    /// over this claim, or the member does not exist.
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

/// Claims the lease of a member for `holder`, until `duration` from now.
///
/// A claim with `is_interactive` has precedence over background work: while an interactive caller
/// waits, only such claims succeed.
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

/// Extends the lease of `holder` until `duration` from now. Returns whether an interactive caller
/// waits for the lease.
///
/// Does nothing after `holder` has released the lease, so that a delayed statement does not claim
/// the lease again.
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

/// Releases the lease of `holder`. Does nothing if another holder has the lease.
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

/// Asks the holder of a member's lease to release it, because an interactive caller waits for it.
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

/// Returns whether any process holds the lease of this member, which means that it syncs the member
/// now.
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
