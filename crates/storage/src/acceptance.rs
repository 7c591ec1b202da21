//! Whether WHOOP accepts a member's tokens, and those of the other members at the same time.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Since when WHOOP's API refuses access tokens that it has just issued to this member.
///
/// Returns `None` if a sync of the member succeeded after that.
pub async fn rejected_since(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    let since: Option<Option<DateTime<Utc>>> = whoop_refresh::table
        .find(user_id.as_str())
        .select(whoop_refresh::rejected_since)
        .first(conn)
        .await
        .optional()?;
    let Some(since) = since.flatten() else {
        return Ok(None);
    };
    let was_synced =
        "SELECT 1 FROM whoop_sync_log WHERE user_id = $1 AND last_sync_at > $2 LIMIT 1";
    let is_over = row_exists(conn, was_synced, user_id, since).await?;
    Ok(Some(since).filter(|_| !is_over))
}

/// Notes the first time that WHOOP's API refused an access token that it had just issued.
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

/// How WHOOP treats the members other than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherMembersActivity {
    /// Whether another member is connected.
    pub are_connected: bool,
    /// Whether a sync of another member succeeded after the instant.
    pub were_synced: bool,
    /// Whether another member's tokens were renewed after the instant.
    pub were_refreshed: bool,
}

/// How WHOOP treated the other members after an instant. A look-up that spans members, made only
/// while WHOOP refuses this one.
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

/// Whether a query of a member and an instant finds a row.
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
