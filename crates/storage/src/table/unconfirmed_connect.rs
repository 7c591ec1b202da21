//! Attempts to connect a WHOOP account (connection attempts) that the app has to confirm with the
//! member's JWT before the member is connected.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::UserId;

use crate::{
    PgConnection, StorageError,
    schema::whoop_unconfirmed_connect,
    seal::{SealedText, TokenKeys},
    tokens::OAuthTokens,
};

/// Time within which the app has to confirm a connection attempt.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// A connection attempt to store until the app confirms it.
#[derive(Debug)]
pub struct NewUnconfirmedConnect<'a> {
    pub user_id: &'a UserId,
    /// One-time code of the connection attempt; only its hash is stored.
    pub word: &'a str,
    pub tokens: &'a OAuthTokens,
    pub consent: Option<&'a str>,
    pub created_at: DateTime<Utc>,
}

/// A stored connection attempt with sealed tokens.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = whoop_unconfirmed_connect, check_for_backend(diesel::pg::Pg))]
pub struct UnconfirmedConnectRow {
    pub user_id: String,
    sealed: Vec<u8>,
    key_id: String,
    scope: String,
    expires_at: DateTime<Utc>,
    pub consent: Option<String>,
    pub confirm_until: DateTime<Utc>,
}

impl UnconfirmedConnectRow {
    /// Opens the sealed token pair.
    ///
    /// # Errors
    ///
    /// [`StorageError::Seal`] if no key opens the token pair.
    pub fn open(self, keys: &TokenKeys) -> Result<OAuthTokens, StorageError> {
        let sealed = SealedText {
            key_id: self.key_id,
            bytes: self.sealed,
        };
        OAuthTokens::open(keys, &self.user_id, &sealed, self.scope, self.expires_at)
    }
}

fn hash(code: &str) -> Vec<u8> {
    Sha256::digest(code.as_bytes()).to_vec()
}

pub async fn insert(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    connect: &NewUnconfirmedConnect<'_>,
) -> Result<(), StorageError> {
    let sealed = connect.tokens.seal(keys, connect.user_id.as_str())?;
    diesel::insert_into(whoop_unconfirmed_connect::table)
        .values((
            whoop_unconfirmed_connect::user_id.eq(connect.user_id.as_str()),
            whoop_unconfirmed_connect::word_hash.eq(hash(connect.word)),
            whoop_unconfirmed_connect::sealed.eq(sealed.bytes),
            whoop_unconfirmed_connect::key_id.eq(sealed.key_id),
            whoop_unconfirmed_connect::scope.eq(&connect.tokens.scope),
            whoop_unconfirmed_connect::expires_at.eq(connect.tokens.expires_at),
            whoop_unconfirmed_connect::consent.eq(connect.consent),
            whoop_unconfirmed_connect::created_at.eq(connect.created_at),
            whoop_unconfirmed_connect::confirm_until.eq(connect.created_at + LIFETIME),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the connection attempt with this one-time code, whichever member it belongs to.
pub async fn find(
    conn: &mut PgConnection,
    code: &str,
) -> Result<Option<UnconfirmedConnectRow>, StorageError> {
    Ok(whoop_unconfirmed_connect::table
        .filter(whoop_unconfirmed_connect::word_hash.eq(hash(code)))
        .select(UnconfirmedConnectRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Deletes the connection attempt with this one-time code and returns it. If two calls do this at
/// the same time, only one of them gets the attempt.
pub async fn take(
    conn: &mut PgConnection,
    code: &str,
) -> Result<Option<UnconfirmedConnectRow>, StorageError> {
    Ok(diesel::delete(
        whoop_unconfirmed_connect::table
            .filter(whoop_unconfirmed_connect::word_hash.eq(hash(code))),
    )
    .returning(UnconfirmedConnectRow::as_returning())
    .get_result(conn)
    .await
    .optional()?)
}

/// Deletes the connection attempt of a member and returns it.
pub async fn take_of(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<UnconfirmedConnectRow>, StorageError> {
    Ok(
        diesel::delete(whoop_unconfirmed_connect::table.find(user_id.as_str()))
            .returning(UnconfirmedConnectRow::as_returning())
            .get_result(conn)
            .await
            .optional()?,
    )
}

/// Deletes the connection attempts that were not confirmed in time and returns them.
pub async fn take_expired(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<UnconfirmedConnectRow>, StorageError> {
    Ok(diesel::delete(
        whoop_unconfirmed_connect::table.filter(whoop_unconfirmed_connect::confirm_until.le(now)),
    )
    .returning(UnconfirmedConnectRow::as_returning())
    .get_results(conn)
    .await?)
}

/// Returns whether any connection attempt that was stored after the time `since` still waits for
/// its confirmation.
pub async fn is_any_since(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<bool, StorageError> {
    Ok(diesel::select(diesel::dsl::exists(
        whoop_unconfirmed_connect::table.filter(whoop_unconfirmed_connect::created_at.gt(since)),
    ))
    .get_result(conn)
    .await?)
}
