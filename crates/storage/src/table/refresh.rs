//! One refresh of a member's tokens at a time, across processes, and how earlier ones ended.
//!
//! The claim is a column that expires, by the database's clock, as the member lease is: it works
//! through every pooler, and needs no connection while WHOOP answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Double, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_refresh};

/// Earlier refreshes of a member, as their claimant finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct RefreshHistory {
    /// Start of a refresh whose result was never stored.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub cut_off_at: Option<DateTime<Utc>>,
    /// First `invalid_request` since the last refresh that succeeded.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub invalid_request_since: Option<DateTime<Utc>>,
}

/// Claims a member's refresh. Returns `None` if another holder has it, or the member has no tokens.
pub async fn claim(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    lasts: Duration,
) -> Result<Option<RefreshHistory>, StorageError> {
    // Two statements: Citus allows no `now()` in `ON CONFLICT DO UPDATE`.
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
    .bind::<Double, _>(lasts.as_secs_f64())
    .get_result(conn)
    .await
    .optional()?)
}

/// Extends a claim, also one that has expired, unless another holder has it.
pub async fn extend(
    conn: &mut PgConnection,
    user_id: &UserId,
    holder: &str,
    lasts: Duration,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_refresh SET claimed_until = now() + make_interval(secs => $3) \
         WHERE user_id = $1 AND holder = $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(holder)
    .bind::<Double, _>(lasts.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a refresh of this member is under way in any process.
pub async fn is_claimed(conn: &mut PgConnection, user_id: &UserId) -> Result<bool, StorageError> {
    let claimed =
        prepared("SELECT 1 FROM whoop_refresh WHERE user_id = $1 AND claimed_until > now()")
            .bind::<Text, _>(user_id.as_str())
            .execute(conn)
            .await?;
    Ok(claimed > 0)
}

/// Notes that WHOOP is about to be asked. If the process dies before it stores the answer, the
/// next one knows why the stored pair is dead. The earliest such note stays.
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

/// Forgets that a refresh began, because WHOOP refused it and the pair is as it was.
pub async fn clear_started(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::update(whoop_refresh::table.find(user_id.as_str()))
        .set(whoop_refresh::begun_at.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that the token endpoint answers `invalid_request`, unless that is noted already.
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

/// Forgets how earlier refreshes ended: in the transaction that stores the new pair, or ends the
/// connection.
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

/// Gives the claim back; does nothing if another holder has it.
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

/// Deletes the row: the member has another pair, or none.
pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_refresh::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
