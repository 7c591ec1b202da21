//! Keeps the token pair of a connection request until the connection is stored.
//!
//! As soon as WHOOP has issued the token pair, it is stored in the table of scheduled revocations.
//! The transaction that stores the connection of the member removes the pair from that table. If
//! the connection request fails or is withdrawn before that, or its process is killed, the pair is
//! revoked. Therefore WHOOP never has a permission that the service does not know.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;
use whoop_storage::{
    PgConnection, StorageError,
    table::{
        oauth_states,
        revocation::{self, NewRevocation},
        tokens::OAuthTokens,
        unconfirmed_connect,
    },
};

use crate::{Connections, SyncError};

/// Maximum time between WHOOP's answer and the stored connection. After that, the held token pair
/// is due for revocation.
const MAX_HOLD: TimeDelta = TimeDelta::minutes(5);

/// Pauses between the attempts to store the held token pair.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Row that must still exist when a connection is stored. It proves that the connection request was
/// not withdrawn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectClaim<'a> {
    /// The used OAuth state of WHOOP's callback, and the id of the held token pair.
    Callback { state: &'a str, held: Uuid },
    /// The one-time word of an unconfirmed connection request.
    Word(&'a str),
}

impl ConnectClaim<'_> {
    /// Uses up the claim, in the transaction that stores the connection.
    ///
    /// Returns `false` if the claim no longer exists, because the member was erased or
    /// disconnected, or because the token pair is being revoked.
    pub(crate) async fn redeem(self, conn: &mut PgConnection) -> Result<bool, StorageError> {
        match self {
            Self::Callback { state, held } => Ok(oauth_states::lock_used(conn, state).await?
                && revocation::release_held(conn, held).await?),
            Self::Word(word) => Ok(unconfirmed_connect::take(conn, word).await?.is_some()),
        }
    }
}

impl Connections {
    /// Stores the token pair of a connection request in the table of scheduled revocations. Returns
    /// the id of its row.
    pub(crate) async fn hold_pair(&self, tokens: &OAuthTokens) -> Result<Uuid, SyncError> {
        let id = Uuid::new_v4();
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match (self.try_hold_pair(id, tokens).await, pauses.next()) {
                (Ok(()), _) => return Ok(id),
                (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
                (Err(error), None) => {
                    // The token pair is not revoked here. Its WHOOP account may serve another
                    // connected member, whose connection the revocation would end, and only the
                    // database knows whether this is so.
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
        revocation::insert(
            &mut conn,
            &self.keys,
            &NewRevocation {
                due_at: now + MAX_HOLD,
                is_held: true,
                ..NewRevocation::due_now(id, tokens, now)
            },
        )
        .await
    }

    /// Makes the held token pair of a failed connection request due for revocation now.
    pub(crate) async fn revoke_held_pair(&self, held: Uuid) {
        let scheduled = async {
            let mut conn = self.database.get().await?;
            revocation::revoke_held(&mut conn, held, self.clock.now()).await
        };
        if let Err(error) = scheduled.await {
            // Even without this update, the held token pair becomes due for revocation after
            // `MAX_HOLD`.
            tracing::warn!(
                %error,
                "could not schedule the revocation for a failed connect now; it becomes due later"
            );
        }
    }
}
