//! Stored evidence of whether WHOOP accepts tokens, for one member and for all other members.
//!
//! Callers compare the two to decide whether one member has to connect again or WHOOP has an
//! outage.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Returns the time at which WHOOP's API first rejected an access token of this member that WHOOP
/// had just issued.
///
/// Returns `None` if no such rejection is stored, or if a sync of the member succeeded after it.
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

/// Stores `now` as the time at which WHOOP's API first rejected a newly issued access token of this
/// member. An earlier stored time is replaced.
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

/// Activity of all members except one since a given time; see [`other_members_since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherMembersActivity {
    /// Whether at least one other member is connected now.
    pub are_connected: bool,
    /// Whether a sync of another member has succeeded since the given time.
    pub were_synced: bool,
    /// Whether another member's tokens have been refreshed since the given time.
    pub were_refreshed: bool,
}

/// Returns which operations have succeeded since the time `since` for members other than `user_id`.
///
/// The queries read rows of all members. Callers therefore use this function only while WHOOP
/// rejects the tokens of this member.
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

/// Returns whether a query finds a row. The parameters of the query are a member's id (`$1`) and a
/// time (`$2`).
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
