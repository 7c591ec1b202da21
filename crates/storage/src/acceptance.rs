//! WHOOP's acceptance of access tokens: for one member, and for all other members in the same
//! period.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Returns the time since which WHOOP's API rejects new access tokens of this member.
///
/// Returns `None` if WHOOP accepts them, or if a sync of the member succeeded after that time.
pub async fn rejected_since(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    let rejected_since: Option<Option<DateTime<Utc>>> = whoop_refresh::table
        .find(user_id.as_str())
        .select(whoop_refresh::rejected_since)
        .first(conn)
        .await
        .optional()?;
    let Some(rejected_since) = rejected_since.flatten() else {
        return Ok(None);
    };
    let was_synced =
        "SELECT 1 FROM whoop_sync_log WHERE user_id = $1 AND last_sync_at > $2 LIMIT 1";
    let was_accepted_since = row_exists(conn, was_synced, user_id, rejected_since).await?;
    Ok(Some(rejected_since).filter(|_| !was_accepted_since))
}

/// Stores `now` as the time since which WHOOP's API rejects new access tokens of this member.
pub async fn note_rejected(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::insert_into(whoop_refresh::table)
        .values((
            whoop_refresh::user_id.eq(user_id.as_str()),
            whoop_refresh::rejected_since.eq(now),
        ))
        .on_conflict(whoop_refresh::user_id)
        .do_update()
        .set(whoop_refresh::rejected_since.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Result of [`other_members_since`]: recent successes of all members except one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherMembersActivity {
    /// Whether another member is connected.
    pub are_connected: bool,
    /// Whether a sync of another member succeeded after the instant.
    pub were_synced: bool,
    /// Whether another member's tokens were refreshed after the instant.
    pub were_refreshed: bool,
}

/// Returns which operations succeeded for the other members after an instant. The query reads rows
/// of all members, so it is made only while WHOOP rejects this member's tokens.
pub async fn other_members_since(
    conn: &mut PgConnection,
    user_id: &UserId,
    since: DateTime<Utc>,
) -> Result<OtherMembersActivity, StorageError> {
    let connected = "SELECT 1 FROM whoop_users \
         WHERE user_id <> $1 AND status = 'connected' AND $2 IS NOT NULL LIMIT 1";
    let synced = "SELECT 1 FROM whoop_sync_log WHERE user_id <> $1 AND last_sync_at > $2 LIMIT 1";
    let refreshed = "SELECT 1 FROM whoop_tokens WHERE user_id <> $1 AND refreshed_at > $2 LIMIT 1";
    Ok(OtherMembersActivity {
        are_connected: row_exists(conn, connected, user_id, since).await?,
        were_synced: row_exists(conn, synced, user_id, since).await?,
        were_refreshed: row_exists(conn, refreshed, user_id, since).await?,
    })
}

/// Whether a query with a member and an instant as parameters finds a row.
async fn row_exists(
    conn: &mut PgConnection,
    sql: &'static str,
    user_id: &UserId,
    since: DateTime<Utc>,
) -> Result<bool, StorageError> {
    let found = prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Timestamptz, _>(since)
        .execute(conn)
        .await?;
    Ok(found > 0)
}
