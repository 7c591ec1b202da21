use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

pub use crate::tokens::OAuthTokens;
use crate::{
    PgConnection, StorageError,
    schema::{whoop_tokens, whoop_users},
    seal::{SealedText, TokenKeys},
    table::users::UserRow,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = whoop_tokens, check_for_backend(diesel::pg::Pg))]
struct TokenRow {
    sealed: Vec<u8>,
    key_id: String,
    scope: String,
    expires_at: DateTime<Utc>,
}

impl TokenRow {
    fn open(self, keys: &TokenKeys, user_id: &UserId) -> Result<OAuthTokens, StorageError> {
        let sealed = SealedText {
            key_id: self.key_id,
            bytes: self.sealed,
        };
        OAuthTokens::open(keys, user_id.as_str(), &sealed, self.scope, self.expires_at)
    }
}

pub async fn find(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
) -> Result<Option<OAuthTokens>, StorageError> {
    let row = whoop_tokens::table
        .find(user_id.as_str())
        .select(TokenRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(|row| row.open(keys, user_id)).transpose()
}

/// Returns a member and the member's tokens, read in one round trip.
pub async fn find_with_member(
    conn: &PgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
) -> Result<(Option<UserRow>, Option<OAuthTokens>), StorageError> {
    let (members, rows) = futures::try_join!(
        whoop_users::table
            .find(user_id.as_str())
            .select(UserRow::as_select())
            .load::<UserRow>(&mut &*conn),
        whoop_tokens::table
            .find(user_id.as_str())
            .select(TokenRow::as_select())
            .load::<TokenRow>(&mut &*conn),
    )?;
    let tokens = rows.into_iter().next().map(|row| row.open(keys, user_id));
    Ok((members.into_iter().next(), tokens.transpose()?))
}

/// Returns the tokens of a member, and locks their row until the caller's transaction ends.
///
/// Meanwhile no other process can replace the token pair. The caller can therefore check that the
/// stored pair is the expected one, and then change it.
pub async fn find_for_update(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
) -> Result<Option<OAuthTokens>, StorageError> {
    let row = whoop_tokens::table
        .find(user_id.as_str())
        .select(TokenRow::as_select())
        .for_update()
        .first(conn)
        .await
        .optional()?;
    row.map(|row| row.open(keys, user_id)).transpose()
}

/// Locks the row of a member's tokens until the caller's transaction ends, so that no other process
/// replaces the tokens.
///
/// A transaction that writes both the member and the tokens has to take this lock first. A refresh
/// locks the tokens before the member, so a transaction with the opposite order could deadlock with
/// it.
pub async fn lock_row(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    whoop_tokens::table
        .find(user_id.as_str())
        .select(whoop_tokens::user_id)
        .for_update()
        .first::<String>(conn)
        .await
        .optional()?;
    Ok(())
}

/// Seals a member's tokens and stores them. Earlier tokens of the member are replaced.
pub async fn upsert(
    conn: &mut PgConnection,
    keys: &TokenKeys,
    user_id: &UserId,
    tokens: &OAuthTokens,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let sealed = tokens.seal(keys, user_id.as_str())?;
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

pub async fn delete(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_tokens::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
