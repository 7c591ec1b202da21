//! One sync per member at a time, across processes.
//!
//! A lease is a column that expires, never a session lock: it works through
//! every pooler, and a holder that was killed is forgotten by itself. The
//! database's clock judges, because the machines' clocks differ.

use std::time::Duration;

use diesel::sql_types::{Double, Text};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

/// Takes or extends the lease; `false` if somebody else holds it, or there is
/// no such member.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    lasts: Duration,
) -> Result<bool, StorageError> {
    let claimed = prepared(
        "UPDATE whoop_users SET lease_holder = $2, lease_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 \
           AND (lease_until IS NULL OR lease_until < now() OR lease_holder = $2)",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(lasts.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(claimed > 0)
}

/// Gives the lease back; nothing happens if it is no longer ours.
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

/// Whether anybody is syncing this member now.
pub async fn is_held(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let held = prepared("SELECT 1 FROM whoop_users WHERE user_id = $1 AND lease_until > now()")
        .bind::<Text, _>(user_id.as_str())
        .execute(conn)
        .await?;
    Ok(held > 0)
}
