//! Deleting a member: every row in every table, in the caller's transaction.

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{
    PgConnection, StorageError, legacy,
    table::{adopted, audit, change::notify_change, users},
};

/// Those that name a member; the member itself last, which the others refer to.
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

/// Deletes every row of a member, in the member's turn; returns how many there
/// were.
///
/// Without the turn, a page that is being stored and this would each wait for
/// rows of the other.
///
/// Table by table rather than by the foreign keys alone, so that they can be
/// counted. The keys see to what a later table adds.
///
/// The audit trail keeps its rows, under the pseudonym.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if somebody else was faster; PostgreSQL refused
/// or is gone.
pub async fn erase(
    conn: &mut PgConnection,
    user_id: &UserId,
    pseudonym: &str,
) -> Result<i64, StorageError> {
    users::lock_member(conn, user_id).await?;
    // What WHOOP has said of the account, unless it serves another member too.
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
    // What an older service left of them is not taken over any more.
    note_erased(conn, user_id).await?;
    audit::pseudonymise(conn, user_id.as_str(), pseudonym).await?;
    notify_change(conn, user_id.as_str()).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}

/// Notes that a member was erased, so that no legacy data of theirs is imported later.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn note_erased(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    if legacy::exists(conn).await? {
        adopted::note_erased(conn, user_id).await?;
    }
    Ok(())
}
