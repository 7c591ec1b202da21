//! The token pair of a connect under way.
//!
//! The pair is stored at once, among the scheduled revocations. The transaction that stores it for
//! its member removes it from there. If the connect fails, is withdrawn or is killed before that,
//! the pair is revoked, and no unknown permission remains at WHOOP.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;
use whoop_storage::{
    PgConnection, StorageError,
    table::{oauth_states, revocation, tokens::OAuthTokens, unconfirmed_connect},
};

use crate::{Connections, SyncError};

/// Maximum time between WHOOP's answer and the stored connection.
const MAX_HOLD: TimeDelta = TimeDelta::minutes(5);

/// Pauses between attempts to store the pair.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Row that must still exist when the connection is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectClaim<'a> {
    /// The used state of a callback, and its held pair.
    Callback { state: &'a str, held: Uuid },
    /// The word of an unconfirmed connect.
    Word(&'a str),
}

impl ConnectClaim<'_> {
    /// Deletes the claim, in the transaction that stores the connection. Returns `false` if it no
    /// longer exists: the member was erased or disconnected, or the pair is being revoked.
    pub(crate) async fn redeem(self, conn: &mut PgConnection) -> Result<bool, StorageError> {
        match self {
            Self::Callback { state, held } => Ok(oauth_states::lock_used(conn, state).await?
                && revocation::release_held(conn, held).await?),
            Self::Word(word) => Ok(unconfirmed_connect::take(conn, word).await?.is_some()),
        }
    }
}

impl Connections {
    /// Stores the pair of a connect under way among the scheduled revocations.
    pub(crate) async fn hold_pair(&self, tokens: &OAuthTokens) -> Result<Uuid, SyncError> {
        let id = Uuid::new_v4();
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match (self.try_hold_pair(id, tokens).await, pauses.next()) {
                (Ok(()), _) => return Ok(id),
                (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
                (Err(error), None) => {
                    // The pair is not revoked here, because only the database knows whether the
                    // WHOOP account serves another member.
                    tracing::error!(
                        %error,
                        "could not store the tokens of a connect; the member can end the \
                         permission in WHOOP's app"
                    );
                    return Err(error.into());
                }
            }
        }
    }

    async fn try_hold_pair(&self, id: Uuid, tokens: &OAuthTokens) -> Result<(), StorageError> {
        let now = self.clock.now();
        let mut conn = self.database.get().await?;
        revocation::insert_held(&mut conn, &self.keys, id, tokens, now, now + MAX_HOLD).await
    }

    /// Makes the held pair of a failed connect due for revocation.
    pub(crate) async fn revoke_held_pair(&self, held: Uuid) {
        let scheduled = async {
            let mut conn = self.database.get().await?;
            revocation::revoke_held(&mut conn, held, self.clock.now()).await
        };
        if let Err(error) = scheduled.await {
            // The held pair becomes due without this after `MAX_HOLD`.
            tracing::warn!(
                %error,
                "could not schedule the revocation for a failed connect now; it becomes due later"
            );
        }
    }
}
