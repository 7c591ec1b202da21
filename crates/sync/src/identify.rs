//! Identifies the WHOOP account of a new token pair.
//!
//! The token endpoint does not name the account. The profile does, but requesting it counts against
//! the quota. Therefore the token pair is stored first. The next holder of the member lease
//! requests the profile before it reads any record, so that the records of two accounts are never
//! stored for one member.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;
use whoop_client::MemberProfile;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::{
    refresh,
    revocation::{self, NewRevocation},
    tokens,
    users::{self, ProfileAccount, UserRow},
    webhook_event,
};

use crate::{MemberLeases, SyncContext, SyncError, tokens::PROFILE_SCOPE};

/// Maximum time for which connecting a member waits for WHOOP's profile.
pub(crate) const PROFILE_TIMEOUT: Duration = Duration::from_secs(1);

/// Delay before a refused token pair is revoked, because the member may be connecting again with
/// the right account.
const REVOCATION_DELAY: TimeDelta = TimeDelta::minutes(1);

impl MemberLeases {
    /// Confirms the account of the token pair with the id `pair` by requesting WHOOP's profile. The
    /// caller holds the member lease.
    ///
    /// A token pair that cannot belong to the member is removed and revoked, and the member has to
    /// connect again.
    ///
    /// # Errors
    ///
    /// [`SyncError::OtherAccount`], or an error with which WHOOP refuses the profile for this token
    /// pair; both are final. After any other error the token pair is kept, and the next holder of
    /// the lease requests the profile again.
    pub(crate) async fn identify_member(
        &self,
        user_id: &UserId,
        pair: Uuid,
        context: &SyncContext,
    ) -> Result<(), SyncError> {
        let identified = self.fetch_account(user_id, pair, context).await;
        if let Err(error) = &identified
            && let Some(detail) = rejection_detail(error)
        {
            self.reject_pair(user_id, pair, detail).await?;
        }
        identified
    }

    /// Does the same as [`MemberLeases::identify_member`], but does not remove a token pair that is
    /// refused.
    pub(crate) async fn fetch_account(
        &self,
        user_id: &UserId,
        pair: Uuid,
        context: &SyncContext,
    ) -> Result<(), SyncError> {
        let profile = self
            .calls
            .call_whoop(user_id, context, PROFILE_SCOPE, |whoop, token| async move {
                whoop.fetch_profile(&token).await
            })
            .await?;
        let account = account_of(profile);
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let identified = users::identify(&mut transaction, user_id, pair, &account, now).await?;
        if identified {
            // The first sync reads all changes that WHOOP announced before it, so their events are
            // done.
            webhook_event::finish_updates(&mut transaction, account.whoop_user_id, now).await?;
            transaction.commit().await?;
            return Ok(());
        }
        let member = users::find(&mut transaction, user_id).await?;
        transaction.rollback().await?;
        match member {
            Some(member) if member.unidentified_pair == Some(pair) => Err(SyncError::OtherAccount),
            // Another process has identified the member in the meantime.
            Some(member)
                if member.unidentified_pair.is_none()
                    && member.whoop_user_id == account.whoop_user_id =>
            {
                Ok(())
            }
            Some(_) => Err(SyncError::ConnectWithdrawn),
            None => Err(SyncError::NotConnected),
        }
    }

    /// Removes a token pair that cannot be used for the member, and schedules its revocation. The
    /// member has to connect again.
    async fn reject_pair(
        &self,
        user_id: &UserId,
        pair: Uuid,
        detail: &str,
    ) -> Result<(), SyncError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        tokens::lock_row(&mut transaction, user_id).await?;
        if !users::end_identification(&mut transaction, user_id, pair).await? {
            // The member has connected again, disconnected or was erased in the meantime.
            transaction.rollback().await?;
            return Ok(());
        }
        if let Some(refused) = tokens::find(&mut transaction, &self.keys, user_id).await? {
            let id = Uuid::new_v4();
            let due_at = now + REVOCATION_DELAY;
            revocation::insert(
                &mut transaction,
                &self.keys,
                &NewRevocation {
                    due_at,
                    ..NewRevocation::due_now(id, &refused, now)
                },
            )
            .await?;
        }
        tokens::delete(&mut transaction, user_id).await?;
        refresh::delete(&mut transaction, user_id).await?;
        let status = ConnectionStatus::ReauthRequired;
        users::set_status(&mut transaction, user_id, status, Some(detail), now).await?;
        transaction.commit().await?;
        tracing::warn!(
            member = %user_id, detail,
            "token pair rejected; its permission at WHOOP will be revoked"
        );
        Ok(())
    }
}

/// Whether WHOOP has confirmed the account of the member's stored token pair.
pub(crate) const fn is_identified(member: &UserRow) -> bool {
    member.unidentified_pair.is_none() && member.whoop_user_id != users::UNKNOWN_ACCOUNT
}

pub(crate) fn account_of(profile: MemberProfile) -> ProfileAccount {
    ProfileAccount {
        whoop_user_id: profile.user_id,
        email: profile.email,
        first_name: profile.first_name,
        last_name: profile.last_name,
    }
}

/// Returns the reason for which a token pair cannot be used; `None` if another request for the
/// profile may succeed.
const fn rejection_detail(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::OtherAccount => Some("the stored records belong to another WHOOP account"),
        error if error.is_profile_refused() => {
            Some("WHOOP refused the profile, so the account is unknown")
        }
        _ => None,
    }
}
