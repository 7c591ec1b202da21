//! The member lease: one sync per member at a time, across processes.
//!
//! A lease is a column that expires, never a session lock: it works through
//! every pooler, and a holder that was killed is forgotten by itself. The
//! database's clock judges, because the machines' clocks differ.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{Bool, Double, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

/// How long an interactive caller's wish for the lease lasts. It is renewed while the caller waits.
const WANTED_FOR: Duration = Duration::from_secs(2);

/// Answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Held {
        /// Id of the member's token pair while WHOOP's profile has not confirmed its account.
        unidentified_pair: Option<Uuid>,
    },
    /// Another process holds it, an interactive caller comes first, or there is no such member.
    Refused,
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    unidentified_pair: Option<Uuid>,
}

#[derive(QueryableByName)]
struct Extended {
    #[diesel(sql_type = Bool)]
    is_wanted: bool,
}

/// Takes the lease. `is_interactive`: before background work that waits for it.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    is_interactive: bool,
    lasts: Duration,
) -> Result<Claim, StorageError> {
    let claimed: Vec<Claimed> = prepared(
        "UPDATE whoop_users SET lease_holder = $2, lease_until = now() + make_interval(secs => $3), \
                lease_wanted_until = NULL \
         WHERE user_id = $1 AND (lease_until IS NULL OR lease_until < now()) \
           AND ($4 OR lease_wanted_until IS NULL OR lease_wanted_until < now()) \
         RETURNING unidentified_pair",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(lasts.as_secs_f64())
    .bind::<Bool, _>(is_interactive)
    .load(conn)
    .await?;
    let row = claimed.into_iter().next();
    Ok(row.map_or(Claim::Refused, |row| Claim::Held {
        unidentified_pair: row.unidentified_pair,
    }))
}

/// Extends the lease of its holder. Returns whether an interactive caller waits for it.
///
/// Without effect after the release, so that a statement that is still on its way takes no lease.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn extend(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    lasts: Duration,
) -> Result<bool, StorageError> {
    let extended: Vec<Extended> = prepared(
        "UPDATE whoop_users SET lease_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 AND lease_holder = $2 \
         RETURNING coalesce(lease_wanted_until > now(), false) AS is_wanted",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(lasts.as_secs_f64())
    .load(conn)
    .await?;
    Ok(extended.iter().any(|row| row.is_wanted))
}

/// Gives the lease back; nothing happens if it is no longer ours.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
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

/// Asks the holder of the lease to give it up: an interactive caller waits for it.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn want(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_users SET lease_wanted_until = now() + make_interval(secs => $2) \
         WHERE user_id = $1",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Double, _>(WANTED_FOR.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a process is syncing this member now.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn is_held(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let held = prepared("SELECT 1 FROM whoop_users WHERE user_id = $1 AND lease_until > now()")
        .bind::<Text, _>(user_id.as_str())
        .execute(conn)
        .await?;
    Ok(held > 0)
}
