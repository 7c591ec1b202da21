//! Disconnects members: first deletes the stored tokens, then ends the permission at WHOOP.

use serde::Serialize;
use uuid::Uuid;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::{
    StorageError, Transaction, erase,
    table::{
        audit::{self, Actor},
        erasure::{self, ErasureReceipt},
        oauth_states, refresh,
        revocation::{self, NewRevocation},
        tokens,
        users::{self, UserRow},
    },
};

use crate::{Connections, Revocations, SyncContext, SyncError};

/// Result of disconnecting a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisconnectResult {
    pub revocation: RevocationOutcome,
    /// Status of the member's connection after the disconnect.
    pub connection: ConnectionStatus,
    /// Receipt for the deletion of all data of the member (erasure); `None` if the data was kept.
    pub receipt: Option<ErasureReceipt>,
}

/// Outcome of ending a member's permission at WHOOP (revocation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationOutcome {
    /// WHOOP confirmed that the permission has ended.
    Done,
    /// WHOOP has not confirmed the revocation yet; the revocation is tried again later.
    Pending,
    /// There was no permission at WHOOP, or it had already ended.
    NotNeeded,
    /// A connected member uses the same WHOOP account. The permission is kept, because its
    /// revocation would also end that member's connection.
    InUse,
    /// The stored tokens no longer work, or cannot be opened (decrypted). If the permission still
    /// exists, only the member can end it, in WHOOP's app.
    NotPossible,
}

impl DisconnectResult {
    /// Whether all stored data of the member was deleted.
    pub const fn is_erased(&self) -> bool {
        self.receipt.is_some()
    }

    /// Whether WHOOP confirmed that the permission has ended.
    pub fn is_revoked(&self) -> bool {
        self.revocation == RevocationOutcome::Done
    }
}

impl Connections {
    /// Ends a member's connection: deletes the stored tokens, and revokes the permission at WHOOP.
    ///
    /// One transaction deletes the tokens and schedules the revocation, under an id that does not
    /// identify the member. Therefore members can disconnect while WHOOP is unavailable, and a
    /// crash does not lose the revocation. The same transaction writes the audit trail. If `erase`
    /// is true, the transaction also deletes all data of the member, and the audit trail names the
    /// member by a pseudonym.
    ///
    /// Connection requests in progress are ended as well, even if the member never completed one.
    /// Their OAuth states are deleted, so that WHOOP's callback does not find them.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotConnected`] if the member never connected and has no connection request in
    /// progress; or PostgreSQL is unavailable.
    pub async fn disconnect(
        &self,
        user_id: &UserId,
        erase: bool,
        by: &Actor,
    ) -> Result<DisconnectResult, SyncError> {
        // If a token refresh takes longer than this wait, its new token pair is revoked as soon as
        // WHOOP has issued it.
        let max_wait = SyncContext::interactive().lease_timeout;
        self.refresher.wait_for_refresh(user_id, max_wait).await?;
        let mut transaction = self.database.begin().await?;
        oauth_states::lock_member(&mut transaction, user_id.as_str()).await?;
        // OAuth states are deleted first. A callback that is storing its token pair has locked its
        // state, so this statement waits for the callback. Afterwards the member that the callback
        // stored is visible.
        let mut pending =
            oauth_states::delete_for_member(&mut transaction, user_id.as_str()).await?;
        let unconfirmed = self
            .revocations
            .take_unconfirmed(&mut transaction, user_id)
            .await?;
        pending += usize::from(unconfirmed.is_some());
        // After this lock is taken, no refresh of this member's tokens can store a token pair.
        tokens::lock_row(&mut transaction, user_id).await?;
        let member = users::find(&mut transaction, user_id).await?;
        if member.is_none() && pending == 0 {
            transaction.rollback().await?;
            return Err(SyncError::NotConnected);
        }
        let scheduled = match member.as_ref().map(UserRow::connection) {
            Some(ConnectionStatus::Connected) => {
                self.revocations
                    .schedule_member_revocation(&mut transaction, user_id)
                    .await?
            }
            Some(ConnectionStatus::ReauthRequired) => Err(RevocationOutcome::NotPossible),
            Some(ConnectionStatus::Disconnected | ConnectionStatus::NeverConnected) | None => {
                unconfirmed.unwrap_or(Err(RevocationOutcome::NotNeeded))
            }
        };
        let now = self.clock.now();
        let mut connection = ConnectionStatus::NeverConnected;
        let receipt = if erase {
            let pseudonym = self.keys.audit_pseudonym(user_id.as_str());
            let pending = i64::try_from(pending).unwrap_or(i64::MAX);
            let deleted = if member.is_some() {
                erase::erase(&mut transaction, user_id, &pseudonym).await?
            } else {
                erase::note_erased(&mut transaction, user_id).await?;
                audit::pseudonymise(&mut transaction, user_id.as_str(), &pseudonym).await?;
                0
            };
            let receipt = ErasureReceipt {
                id: Uuid::new_v4(),
                erased_at: now,
                deleted_rows: deleted.saturating_add(pending),
            };
            erasure::insert(&mut transaction, &receipt).await?;
            let detail = format!("receipt {}", receipt.id);
            let entry = by
                .entry("erase", now)
                .about(&pseudonym)
                .with_detail(&detail);
            audit::insert(&mut transaction, &[entry]).await?;
            Some(receipt)
        } else {
            if member.is_some() {
                tokens::delete(&mut transaction, user_id).await?;
                refresh::delete(&mut transaction, user_id).await?;
                connection = ConnectionStatus::Disconnected;
                users::set_status(&mut transaction, user_id, connection, None, now).await?;
            }
            let entry = by.entry("disconnect", now).about(user_id.as_str());
            audit::insert(&mut transaction, &[entry]).await?;
            None
        };
        transaction.commit().await?;

        let revocation = match scheduled {
            Ok(id) => {
                self.revocations
                    .revoke(id, &SyncContext::interactive())
                    .await
            }
            Err(outcome) => outcome,
        };
        tracing::info!(
            member = %user_id, ?revocation, erased = receipt.is_some(),
            "member disconnected"
        );
        Ok(DisconnectResult {
            revocation,
            connection,
            receipt,
        })
    }
}

impl Revocations {
    /// Schedules the revocation of the member's stored token pair. Returns the id of the
    /// revocation, or the outcome if there is nothing that can be revoked.
    async fn schedule_member_revocation(
        &self,
        transaction: &mut Transaction,
        user_id: &UserId,
    ) -> Result<Result<Uuid, RevocationOutcome>, SyncError> {
        match tokens::find(transaction, &self.keys, user_id).await {
            Ok(Some(pair)) => {
                let id = Uuid::new_v4();
                let now = self.clock.now();
                revocation::insert(
                    transaction,
                    &self.keys,
                    &NewRevocation::due_now(id, &pair, now),
                )
                .await?;
                Ok(Ok(id))
            }
            Ok(None) => Ok(Err(RevocationOutcome::NotNeeded)),
            Err(StorageError::Seal(error)) => {
                tracing::error!(
                    member = %user_id, %error,
                    "could not open the stored tokens; the permission at WHOOP cannot be revoked"
                );
                Ok(Err(RevocationOutcome::NotPossible))
            }
            Err(other) => Err(other.into()),
        }
    }
}
