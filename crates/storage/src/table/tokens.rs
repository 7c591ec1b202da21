use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use whoop_core::UserId;

use crate::{
    StorageError,
    schema::whoop_tokens,
    seal::{SealError, Sealed, TokenKeys},
};

/// A member's tokens, opened.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_token: SecretString,
    /// Absent where the member did not grant `offline`.
    pub refresh_token: Option<SecretString>,
    /// What the member granted, as a space-separated list.
    pub scope: String,
    /// When the access token ends.
    pub expires_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = whoop_tokens, check_for_backend(diesel::pg::Pg))]
struct TokenRow {
    sealed: Vec<u8>,
    key_id: String,
    scope: String,
    expires_at: DateTime<Utc>,
}

/// What is inside the seal.
#[derive(Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
struct Pair {
    access_token: String,
    refresh_token: Option<String>,
}

impl TokenRow {
    fn open(self, keys: &TokenKeys, user_id: &UserId) -> Result<Tokens, StorageError> {
        let text = keys.open(
            user_id,
            &Sealed {
                key_id: self.key_id,
                bytes: self.sealed,
            },
        )?;
        let pair: Pair =
            serde_json::from_str(text.expose_secret()).map_err(|_| SealError::DoesNotOpen)?;
        Ok(Tokens {
            access_token: SecretString::from(pair.access_token.clone()),
            refresh_token: pair.refresh_token.clone().map(SecretString::from),
            scope: self.scope,
            expires_at: self.expires_at,
        })
    }
}

pub async fn find(
    conn: &mut AsyncPgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
) -> Result<Option<Tokens>, StorageError> {
    let row = whoop_tokens::table
        .find(user_id.as_str())
        .select(TokenRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(|row| row.open(keys, user_id)).transpose()
}

/// What the member granted, as a space-separated list.
pub async fn scope(
    conn: &mut AsyncPgConnection,
    user_id: &UserId,
) -> Result<Option<String>, StorageError> {
    Ok(whoop_tokens::table
        .find(user_id.as_str())
        .select(whoop_tokens::scope)
        .first(conn)
        .await
        .optional()?)
}

/// The tokens, with their row locked until the caller's transaction ends.
///
/// WHOOP kills the old pair when it gives a new one, so only the holder of
/// this lock may ask for one.
pub async fn lock(
    conn: &mut AsyncPgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
) -> Result<Option<Tokens>, StorageError> {
    let row = whoop_tokens::table
        .find(user_id.as_str())
        .select(TokenRow::as_select())
        .for_update()
        .first(conn)
        .await
        .optional()?;
    row.map(|row| row.open(keys, user_id)).transpose()
}

/// Keeps everybody else from replacing the tokens until the caller's
/// transaction ends.
///
/// First of all in a transaction that writes both the member and the tokens:
/// a refresh locks the tokens before the member, and two that lock in opposite
/// order stop each other.
pub async fn hold(conn: &mut AsyncPgConnection, user_id: &UserId) -> Result<(), StorageError> {
    whoop_tokens::table
        .find(user_id.as_str())
        .select(whoop_tokens::user_id)
        .for_update()
        .first::<String>(conn)
        .await
        .optional()?;
    Ok(())
}

/// Writes a member's tokens, sealed, over any that were there.
pub async fn put(
    conn: &mut AsyncPgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
    tokens: &Tokens,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let pair = Pair {
        access_token: tokens.access_token.expose_secret().to_owned(),
        refresh_token: tokens
            .refresh_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
    };
    let text = serde_json::to_string(&pair).map_err(|_| SealError::DoesNotOpen)?;
    let sealed = keys.seal(user_id, &SecretString::from(text))?;
    let columns = (
        whoop_tokens::sealed.eq(sealed.bytes),
        whoop_tokens::key_id.eq(sealed.key_id),
        whoop_tokens::scope.eq(&tokens.scope),
        whoop_tokens::expires_at.eq(tokens.expires_at),
        whoop_tokens::refreshed_at.eq(now),
    );
    diesel::insert_into(whoop_tokens::table)
        .values((whoop_tokens::user_id.eq(user_id.as_str()), columns.clone()))
        .on_conflict(whoop_tokens::user_id)
        .do_update()
        .set(columns)
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn delete(conn: &mut AsyncPgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_tokens::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
