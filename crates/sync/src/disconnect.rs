//! Leaving: what is stored goes first, then the permission at WHOOP.

use serde::Serialize;
use uuid::Uuid;
use whoop_core::{UserId, day::Connection};
use whoop_storage::{
    StorageError, Transaction, erase,
    table::{
        erasure::{self, Receipt},
        oauth_states, refresh, revocation, tokens, users,
    },
};

use crate::{Engine, Job, SyncError};

/// What leaving came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub revocation: Revocation,
    /// Of everything stored of the member, where it was deleted.
    pub receipt: Option<Receipt>,
}

/// What became of the permission at WHOOP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// WHOOP confirmed that it is gone.
    Done,
    /// WHOOP did not answer; it is tried again until it does.
    Pending,
    /// There was none, or it was gone already.
    NotNeeded,
    /// The same WHOOP account serves another member who is connected: ending
    /// it would end theirs as well.
    InUse,
    /// Our tokens are dead or cannot be opened. If the permission still stands,
    /// only the member can end it, in WHOOP's own app.
    NotPossible,
}

impl Left {
    /// Whether everything stored of the member was deleted.
    pub const fn erased(&self) -> bool {
        self.receipt.is_some()
    }

    /// Whether WHOOP confirmed that the permission is gone.
    pub fn revoked(&self) -> bool {
        self.revocation == Revocation::Done
    }
}

impl Engine {
    /// Ends a member's connection: the tokens destroyed, revoked at WHOOP.
    ///
    /// One transaction ends all that is here, and notes the permission that is
    /// to be ended there under a name that leads to nobody. So a WHOOP that is
    /// out of order keeps nobody from leaving, and a crash loses nothing.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotConnected`] for a member who never was; PostgreSQL away.
    pub async fn disconnect(&self, user_id: &UserId, erase: bool) -> Result<Left, SyncError> {
        let mut transaction = self.database.begin().await?;
        // Whoever refreshes this member now has ended after this.
        tokens::hold(&mut transaction, user_id).await?;
        let Some(member) = users::find(&mut transaction, user_id).await? else {
            transaction.rollback().await?;
            return Err(SyncError::NotConnected);
        };
        let to_end = match member.connection() {
            Connection::Connected => self.note_revocation(&mut transaction, user_id).await?,
            Connection::ReauthRequired => Err(Revocation::NotPossible),
            Connection::Disconnected | Connection::NeverConnected => Err(Revocation::NotNeeded),
        };
        let now = self.clock.now();
        let receipt = if erase {
            let receipt = Receipt {
                id: Uuid::new_v4(),
                erased_at: now,
                deleted_rows: erase::erase(&mut transaction, user_id).await?,
            };
            erasure::insert(&mut transaction, &receipt).await?;
            Some(receipt)
        } else {
            tokens::delete(&mut transaction, user_id).await?;
            refresh::end(&mut transaction, user_id).await?;
            let status = Connection::Disconnected;
            users::set_status(&mut transaction, user_id, status, None, now).await?;
            oauth_states::delete_of(&mut transaction, user_id.as_str()).await?;
            None
        };
        transaction.commit().await?;

        let revocation = match to_end {
            Ok(id) => self.revoke(id, &Job::interactive()).await,
            Err(why_not) => why_not,
        };
        tracing::info!(member = %user_id, ?revocation, erased = receipt.is_some(), "disconnected");
        Ok(Left {
            revocation,
            receipt,
        })
    }

    /// Hands the member's pair over to whoever ends the permission.
    async fn note_revocation(
        &self,
        transaction: &mut Transaction,
        user_id: &UserId,
    ) -> Result<Result<Uuid, Revocation>, SyncError> {
        match tokens::find(transaction, &self.keys, user_id).await {
            Ok(Some(pair)) => {
                let id = Uuid::new_v4();
                let now = self.clock.now();
                revocation::insert(transaction, &self.keys, id, &pair, now).await?;
                Ok(Ok(id))
            }
            Ok(None) => Ok(Err(Revocation::NotNeeded)),
            Err(StorageError::Seal(error)) => {
                tracing::error!(member = %user_id, %error, "the permission at WHOOP cannot be ended");
                Ok(Err(Revocation::NotPossible))
            }
            Err(other) => Err(other.into()),
        }
    }
}
