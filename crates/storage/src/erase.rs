//! Deleting a member: every row in every table, in the caller's transaction.

use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use whoop_core::UserId;

use crate::{StorageError, table::users};

/// Those that name a member; the member itself last, which the others refer to.
const TABLES: [&str; 10] = [
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_workout",
    "whoop_rejected_record",
    "whoop_sync_log",
    "whoop_oauth_states",
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
/// # Errors
///
/// [`StorageError::MemberGone`] if somebody else was faster; PostgreSQL refused
/// or is gone.
pub async fn erase(conn: &mut AsyncPgConnection, user_id: &UserId) -> Result<i64, StorageError> {
    users::take_turn(conn, user_id).await?;
    let mut deleted = 0;
    for table in TABLES {
        deleted += diesel::sql_query(format!("DELETE FROM {table} WHERE user_id = $1"))
            .bind::<Text, _>(user_id.as_str())
            .execute(conn)
            .await?;
    }
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}
