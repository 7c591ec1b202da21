//! Refresh claims: one refresh of a member's tokens at a time, across processes, and the results of
//! earlier refreshes.
//!
//! Like the member lease, the claim is a column that expires by the database's clock. It works
//! through every pooler and needs no connection while WHOOP answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Double, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Earlier refreshes of a member, as found when the refresh is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct RefreshHistory {
    /// Start of a refresh for which no result was stored.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub cut_off_at: Option<DateTime<Utc>>,
    /// Time of the first `invalid_request` since the last successful refresh.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub invalid_request_since: Option<DateTime<Utc>>,
}

/// Claims the refresh of a member. Returns `None` if another process holds the claim, or if the
/// member has no tokens.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    duration: Duration,
) -> Result<Option<RefreshHistory>, StorageError> {
    // Two statements are needed, because Citus does not allow `now()` in `ON CONFLICT DO UPDATE`.
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

/// Extends a claim, even if it has expired, unless another process holds it.
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

/// Whether any process is refreshing the tokens of this member.
pub async fn is_claimed(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let claimed =
        prepared("SELECT 1 FROM whoop_refresh WHERE user_id = $1 AND claimed_until > now()")
            .bind::<Text, _>(user_id.as_str())
            .execute(conn)
            .await?;
    Ok(claimed > 0)
}

/// Stores that a refresh is about to be sent to WHOOP. If the process dies before it stores the
/// answer, the next process knows why the stored pair is invalid. An earlier stored time is kept.
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

/// Deletes the start of a refresh that WHOOP rejected, because the stored pair is unchanged.
pub async fn clear_started(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::update(whoop_refresh::table.find(user_id.as_str()))
        .set(whoop_refresh::begun_at.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores the time of an `invalid_request` of the token endpoint, unless an earlier one is stored.
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

/// Deletes the results of earlier refreshes. Called in the transaction that stores a new pair or
/// ends the connection.
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

/// Releases the claim; does nothing if another process holds it.
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

/// Deletes the row, because the member has a new token pair or none.
pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_refresh::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
