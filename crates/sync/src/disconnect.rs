use whoop_core::{UserId, day::Connection};
use whoop_storage::table::{oauth_states, tokens, users};

use crate::{Engine, Job, SyncError};

/// What leaving came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Whether WHOOP confirmed that the permission is gone.
    pub revoked: bool,
    /// Whether everything stored of the member was deleted.
    pub erased: bool,
}

impl Engine {
    /// Ends a member's connection: revoked at WHOOP, the tokens destroyed.
    ///
    /// A WHOOP that is out of order does not keep anybody from leaving.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotConnected`] for a member who never was; PostgreSQL away.
    pub async fn disconnect(&self, user_id: &UserId, erase: bool) -> Result<Left, SyncError> {
        let known = {
            let mut conn = self.database.get().await?;
            users::find(&mut conn, user_id).await?
        };
        let Some(member) = known else {
            return Err(SyncError::NotConnected);
        };
        let revoked = match member.connection() {
            Connection::Connected => {
                let revoked = self
                    .call(user_id, &Job::interactive(), |whoop, token| async move {
                        whoop.revoke(&token).await
                    })
                    .await;
                if let Err(error) = &revoked {
                    tracing::warn!(member = %user_id, error = %error, "WHOOP did not confirm the revocation");
                }
                revoked.is_ok()
            }
            _ => false,
        };
        let mut transaction = self.database.begin().await?;
        tokens::hold(&mut transaction, user_id).await?;
        if erase {
            users::delete(&mut transaction, user_id).await?;
        } else {
            tokens::delete(&mut transaction, user_id).await?;
            let now = self.clock.now();
            users::set_status(
                &mut transaction,
                user_id,
                Connection::Disconnected,
                None,
                now,
            )
            .await?;
        }
        oauth_states::delete_of(&mut transaction, user_id.as_str()).await?;
        transaction.commit().await?;
        tracing::info!(member = %user_id, revoked, erased = erase, "disconnected");
        Ok(Left {
            revoked,
            erased: erase,
        })
    }
}
