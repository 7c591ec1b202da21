//! Revocations: ends permissions at WHOOP that this service no longer needs, and repeats this until
//! WHOOP confirms it.

use std::sync::Arc;
use std::time::Duration;
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whoop_client::{MemberProfile, WhoopClient, WhoopError};
use whoop_storage::{
    StorageError,
    table::{
        revocation::{self, ClaimedRevocation},
        unconfirmed_connect, users,
    },
};

use crate::{
    MemberCalls, Quota, SyncContext, SyncError,
    disconnect::RevocationOutcome,
    tokens::{is_usable, renewed_tokens},
};

/// Time after which a revocation is given up: 30 days. By then the refresh token has certainly
/// expired.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(30);

/// Maximum pause between two attempts to revoke a permission.
const MAX_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// Time within which an app usually confirms a connection request: one minute. Revocations wait
/// while there is an unconfirmed connection request that is younger.
const CONFIRM_WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Maximum time for which a revocation waits for connection requests in progress.
const MAX_WAIT_FOR_CONNECTS: TimeDelta = TimeDelta::hours(1);

/// Number of attempts that [`Revocations::retry_revocations`] makes. With their pauses, they take
/// about an hour.
const ATTEMPTS_PER_HOUR: i32 = 6;

/// Returns the pause after this number of attempts: one minute after the first attempt, twice as
/// long after each further one, and at most [`MAX_PAUSE`].
fn pause_after(attempts: i32) -> Duration {
    let doublings = attempts.clamp(1, 16) - 1;
    (Duration::from_secs(60) * (1 << doublings)).min(MAX_PAUSE)
}

/// Ends permissions at WHOOP (revocations), and tries again until WHOOP has confirmed it.
#[derive(Debug, Clone)]
pub struct Revocations {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) calls: Arc<MemberCalls>,
}

impl Revocations {
    /// Revokes the permissions that are due. Returns the number of completed revocations.
    ///
    /// Stops at the first revocation that WHOOP does not confirm: if WHOOP is unavailable, the
    /// other revocations would fail as well.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn revoke_due(&self, context: &SyncContext) -> Result<usize, SyncError> {
        self.revoke_expired_unconfirmed().await?;
        let due = {
            let now = self.clock.now();
            let mut conn = self.database.get().await?;
            // WHOOP ends all permissions of an account at once. A revocation could therefore also
            // end the permission of a token pair that a connection request is about to store, so
            // revocations wait for such requests.
            let is_connecting = revocation::is_any_held(&mut conn, now).await?
                || users::is_any_unidentified(&mut conn).await?
                || unconfirmed_connect::is_any_since(&mut conn, now - CONFIRM_WINDOW).await?;
            let created_before = if is_connecting {
                now - MAX_WAIT_FOR_CONNECTS
            } else {
                now
            };
            revocation::list_due(&mut conn, now, created_before).await?
        };
        let mut completed = 0;
        for id in due {
            if context.stop.is_cancelled()
                || self.revoke(id, context).await == RevocationOutcome::Pending
            {
                break;
            }
            completed += 1;
        }
        Ok(completed)
    }

    /// Tries the due revocations again for about an hour, in a process that continues to run. The
    /// next scheduled run handles the remaining revocations.
    pub async fn retry_revocations(&self, stop: CancellationToken) {
        for attempts in 1..=ATTEMPTS_PER_HOUR {
            tokio::select! {
                () = tokio::time::sleep(pause_after(attempts)) => {}
                () = stop.cancelled() => return,
            }
            let context = SyncContext::scheduled(None, stop.clone());
            if let Err(error) = self.revoke_due(&context).await {
                tracing::warn!(%error, "could not look up the revocations that are due");
            }
        }
    }

    /// Makes one attempt to revoke the permission with this id. After an error, the outcome is
    /// [`RevocationOutcome::Pending`].
    pub(crate) async fn revoke(&self, id: Uuid, context: &SyncContext) -> RevocationOutcome {
        match self.attempt_revocation(id, context).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // The claim on the revocation expires, and then the revocation is tried again.
                tracing::error!(
                    revocation = %id, %error,
                    "revocation failed; it will be tried again"
                );
                RevocationOutcome::Pending
            }
        }
    }

    async fn attempt_revocation(
        &self,
        id: Uuid,
        context: &SyncContext,
    ) -> Result<RevocationOutcome, SyncError> {
        let now = self.clock.now();
        let claimed = {
            let mut conn = self.database.get().await?;
            revocation::claim(&mut conn, &self.keys, id, now).await
        };
        let mut claimed = match claimed {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Ok(RevocationOutcome::Pending),
            Err(StorageError::Seal(error)) => {
                tracing::error!(
                    revocation = %id, %error,
                    "could not open the tokens of a revocation; the permission cannot be revoked"
                );
                return Ok(RevocationOutcome::NotPossible);
            }
            Err(other) => return Err(other.into()),
        };
        let outcome = match self.end_permission(&mut claimed, context).await {
            Ok(outcome) => outcome,
            // WHOOP no longer accepts the token pair, because the member ended the permission in
            // WHOOP's app or the pair has expired.
            Err(SyncError::Whoop(WhoopError::InvalidGrant | WhoopError::Unauthorized)) => {
                RevocationOutcome::NotNeeded
            }
            Err(SyncError::Whoop(error)) if now - claimed.created_at < GIVE_UP_AFTER => {
                self.defer_revocation(&claimed, &error).await?;
                return Ok(RevocationOutcome::Pending);
            }
            Err(SyncError::Whoop(error)) => {
                tracing::error!(
                    revocation = %id, %error,
                    "revocation given up; the member can still end the permission in WHOOP's app"
                );
                RevocationOutcome::NotPossible
            }
            Err(other) => return Err(other),
        };
        let mut conn = self.database.get().await?;
        revocation::delete(&mut conn, id).await?;
        Ok(outcome)
    }

    async fn end_permission(
        &self,
        claimed: &mut ClaimedRevocation,
        context: &SyncContext,
    ) -> Result<RevocationOutcome, SyncError> {
        if !is_usable(&claimed.tokens, None, self.clock.now()) {
            self.refresh_claimed(claimed, context).await?;
        }
        // The profile shows whether the access token works. It also names the account, which is not
        // stored with the revocation.
        let mut profile = self.fetch_profile(claimed, context).await?;
        if matches!(profile, Err(WhoopError::Unauthorized)) {
            self.refresh_claimed(claimed, context).await?;
            profile = self.fetch_profile(claimed, context).await?;
        }
        let whoop_user_id = profile?.user_id;
        let in_use = {
            let mut conn = self.database.get().await?;
            users::is_connected_account(&mut conn, whoop_user_id).await?
        };
        if in_use {
            return Ok(RevocationOutcome::InUse);
        }
        let token = claimed.tokens.access_token.clone();
        let revoke = |whoop: WhoopClient, token| async move { whoop.revoke_access(&token).await };
        self.calls.attempt(context, token, &revoke).await??;
        Ok(RevocationOutcome::Done)
    }

    async fn fetch_profile(
        &self,
        claimed: &ClaimedRevocation,
        context: &SyncContext,
    ) -> Result<Result<MemberProfile, WhoopError>, SyncError> {
        let token = claimed.tokens.access_token.clone();
        let profile = |whoop: WhoopClient, token| async move { whoop.fetch_profile(&token).await };
        self.calls.attempt(context, token, &profile).await
    }

    /// Refreshes the token pair of a revocation. No refresh lock is needed, because the claim on
    /// the revocation ensures that no other process uses this pair.
    async fn refresh_claimed(
        &self,
        claimed: &mut ClaimedRevocation,
        context: &SyncContext,
    ) -> Result<(), SyncError> {
        let before = claimed.tokens.clone();
        let refresh_token = before
            .refresh_token
            .as_ref()
            .ok_or(WhoopError::InvalidGrant)?;
        let pair = self
            .quota
            .whoop
            .with_retry_policy(context.retry_policy)
            .refresh_tokens(refresh_token, &before.scope)
            .await?;
        claimed.tokens = renewed_tokens(before, pair, self.clock.now());
        let mut conn = self.database.get().await?;
        revocation::replace_tokens(&mut conn, &self.keys, claimed.id, &claimed.tokens).await?;
        Ok(())
    }

    async fn defer_revocation(
        &self,
        claimed: &ClaimedRevocation,
        error: &WhoopError,
    ) -> Result<(), SyncError> {
        let until = self.clock.now() + pause_after(claimed.attempts);
        tracing::warn!(
            revocation = %claimed.id, attempts = claimed.attempts, %error,
            "WHOOP did not revoke a permission; trying again later"
        );
        let mut conn = self.database.get().await?;
        let text = error.to_string();
        revocation::postpone(&mut conn, claimed.id, until, &text).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_six_hours_and_six_attempts_take_about_an_hour() {
        let minutes = |attempts| pause_after(attempts).as_secs() / 60;

        assert_eq!([1, 2, 3, 4].map(minutes), [1, 2, 4, 8]);
        for attempts in [i32::MIN, 0, 9, 30, i32::MAX] {
            assert!(minutes(attempts) <= 360, "{attempts}");
        }
        assert_eq!(minutes(i32::MAX), 360);
        let total: u64 = (1..=ATTEMPTS_PER_HOUR).map(minutes).sum();
        assert!((60..70).contains(&total), "{total} minutes");
    }
}
