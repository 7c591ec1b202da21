//! Deletes all rows of a member in all tables, within the caller's transaction.

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{
    PgConnection, StorageError, legacy,
    table::{adopted, audit, change::notify_change, users},
};

/// Tables with rows of a member. `whoop_users` is last because the other tables refer to it.
const TABLES: [&str; 13] = [
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_workout",
    "whoop_change",
    "whoop_rejected_record",
    "whoop_record_denial",
    "whoop_sync_log",
    "whoop_oauth_states",
    "whoop_unconfirmed_connect",
    "whoop_refresh",
    "whoop_tokens",
    "whoop_users",
];

/// Deletes all rows of a member under the member's row lock, and returns the number of deleted
/// rows.
///
/// The row lock prevents a deadlock with a transaction that stores a page of records.
///
/// The rows are deleted table by table so that they can be counted. If a table is missing in
/// `TABLES`, its foreign key deletes the member's rows, which are then not counted.
///
/// The rows of the audit trail are kept, with the pseudonym instead of the member's id.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if another process has erased the member already. PostgreSQL is
/// unavailable or rejects a query.
pub async fn erase(
    conn: &mut PgConnection,
    user_id: &UserId,
    pseudonym: &str,
) -> Result<i64, StorageError> {
    users::lock_member(conn, user_id).await?;
    // Deletes the webhook events of the member's WHOOP account, unless another member uses the same
    // account.
    let mut deleted = diesel::sql_query(
        "DELETE FROM whoop_webhook_event e USING whoop_users u \
         WHERE u.user_id = $1 AND e.whoop_user_id = u.whoop_user_id \
           AND NOT EXISTS (SELECT 1 FROM whoop_users other \
                           WHERE other.whoop_user_id = u.whoop_user_id AND other.user_id <> $1)",
    )
    .bind::<Text, _>(user_id.as_str())
    .execute(conn)
    .await?;
    for table in TABLES {
        deleted += diesel::sql_query(format!("DELETE FROM {table} WHERE user_id = $1"))
            .bind::<Text, _>(user_id.as_str())
            .execute(conn)
            .await?;
    }
    // The member's data in the tables of the legacy service must not be imported later.
    note_erased(conn, user_id).await?;
    audit::pseudonymise(conn, user_id.as_str(), pseudonym).await?;
    notify_change(conn, user_id.as_str()).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}

/// Marks a member as erased, so that the member's data in the tables of the legacy service is not
/// imported later.
///
/// Does nothing if no table of the legacy service exists.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn note_erased(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    if legacy::exists(conn).await? {
        adopted::note_erased(conn, user_id).await?;
    }
    Ok(())
}
