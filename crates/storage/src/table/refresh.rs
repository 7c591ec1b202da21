//! Refresh claims: one process at a time refreshes the tokens of a member. The results of earlier
//! refreshes are stored too.
//!
//! Like the member lease, a claim is stored in columns and expires by the database's clock. It
//! works through every pooler, and no database connection is held while the process waits for
//! WHOOP's answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Double, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Results of the earlier refreshes of a member, as stored when a new refresh is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct RefreshHistory {
    /// Start of an earlier refresh for which no result was stored.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub cut_off_at: Option<DateTime<Utc>>,
    /// Time of WHOOP's first `invalid_request` answer since the last successful refresh.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub invalid_request_since: Option<DateTime<Utc>>,
}

/// Claims the refresh of a member's tokens for `holder`, until `duration` from now.
///
/// Returns `None` if another process holds the claim, or if the member has no tokens.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    duration: Duration,
) -> Result<Option<RefreshHistory>, StorageError> {
    // Two statements are needed here, because Citus does not allow `now()` in `ON CONFLICT DO
    // UPDATE`.
    prepared(
        "INSERT INTO whoop_refresh (user_id) SELECT user_id FROM whoop_tokens WHERE user_id = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(user_id.as_str())
    .execute(conn)
    .await?;
    Ok(prepared(
        "UPDATE whoop_refresh SET holder = $2, claimed_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 AND (claimed_until IS NULL OR claimed_until < now()) \
         RETURNING begun_at AS cut_off_at, invalid_request_since",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(duration.as_secs_f64())
    .get_result(conn)
    .await
    .optional()?)
}

/// Extends the claim of `holder`, even if it has expired. Does nothing if another process holds the
/// claim now.
pub async fn extend(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    duration: Duration,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_refresh SET claimed_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 AND holder = $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(duration.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns whether any process is refreshing the tokens of this member.
pub async fn is_claimed(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let claimed =
        prepared("SELECT 1 FROM whoop_refresh WHERE user_id = $1 AND claimed_until > now()")
            .bind::<Text, _>(user_id.as_str())
            .execute(conn)
            .await?;
    Ok(claimed > 0)
}

/// Records that a refresh is about to be sent to WHOOP. An earlier start time without a result is
/// kept.
///
/// If the process dies before it stores WHOOP's answer, the next process can see why the stored
/// token pair is invalid.
pub async fn note_started(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let of_member = whoop_refresh::table.find(user_id.as_str());
    diesel::update(of_member.filter(whoop_refresh::begun_at.is_null()))
        .set(whoop_refresh::begun_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the start time of a refresh that WHOOP rejected, because WHOOP has not replaced the
/// stored token pair.
pub async fn clear_started(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::update(whoop_refresh::table.find(user_id.as_str()))
        .set(whoop_refresh::begun_at.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores the time at which WHOOP's token endpoint answered `invalid_request`, unless an earlier
/// time is stored.
pub async fn note_invalid_request(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let of_member = whoop_refresh::table.find(user_id.as_str());
    diesel::update(of_member.filter(whoop_refresh::invalid_request_since.is_null()))
        .set(whoop_refresh::invalid_request_since.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the results of earlier refreshes. Called in the transaction that stores a new token pair
/// or ends the connection.
pub async fn clear(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    let none = None::<DateTime<Utc>>;
    diesel::update(whoop_refresh::table.find(user_id.as_str()))
        .set((
            whoop_refresh::begun_at.eq(none),
            whoop_refresh::invalid_request_since.eq(none),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Releases the claim of `holder`. Does nothing if another process holds the claim.
pub async fn release(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
) -> Result<(), StorageError> {
    let of_member = whoop_refresh::table.find(user_id.as_str());
    diesel::update(of_member.filter(whoop_refresh::holder.eq(holder)))
        .set((
            whoop_refresh::holder.eq(None::<String>),
            whoop_refresh::claimed_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the claim and the stored results of a member, because the member has a new token pair or
/// none.
pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_refresh::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
