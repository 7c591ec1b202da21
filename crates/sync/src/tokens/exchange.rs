//! One refresh of a member's tokens.
//!
//! A claim in the member's row prevents other processes from refreshing at the same time. The claim
//! expires, so that no connection and no transaction is held while WHOOP answers, and it is
//! extended during the refresh.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use whoop_client::RetryPolicy;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::{
    refresh::{self, RefreshHistory},
    tokens::{self, OAuthTokens},
};

use super::access_token::is_usable;
use crate::{SyncError, TokenRefresher, engine::random_text};

/// Time for which the claim of a killed refresh blocks its member.
const CLAIM_TTL: Duration = Duration::from_secs(60);

/// Interval at which a claim is extended; it survives two lost extensions.
const EXTEND_INTERVAL: Duration = Duration::from_secs(20);

/// Interval at which a refresh checks whether another process has finished its own.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum wait for the refresh of another process.
const MAX_CLAIM_WAIT: Duration = Duration::from_secs(2 * 60);

/// Reason for refreshing a member's tokens.
#[derive(Debug, Clone)]
pub(super) enum RefreshReason {
    /// The access token has expired, or is about to.
    Ended,
    /// WHOOP refused this access token.
    Refused(SecretString),
    /// The operator retries the pair of a member in `reauth_required`.
    Retry,
}

/// The next step of a refresh after its claim.
enum RefreshStep {
    /// The pair has to be exchanged.
    Begin(OAuthTokens, RefreshHistory),
    /// Another refresh has stored this access token.
    Done(SecretString),
}

impl TokenRefresher {
    pub(super) async fn refresh_once(
        &self,
        user_id: &UserId,
        reason: &RefreshReason,
    ) -> Result<SecretString, SyncError> {
        let holder = random_text()?;
        let refreshed = async {
            match self.claim_refresh(user_id, &holder, reason).await? {
                RefreshStep::Begin(stored, claimed) => {
                    self.exchange_pair(user_id, stored, claimed).await
                }
                RefreshStep::Done(token) => Ok(token),
            }
        };
        let refreshed = tokio::select! {
            refreshed = refreshed => refreshed,
            impossible = self.extend_claim(user_id, &holder) => match impossible {},
        };
        if let Err(error) = self.release_claim(user_id, &holder).await {
            tracing::warn!(
                member = %user_id, %error,
                "could not release the refresh claim; it will expire"
            );
        }
        refreshed
    }

    /// Waits until no other process refreshes this member's tokens, and claims the refresh.
    async fn claim_refresh(
        &self,
        user_id: &UserId,
        holder: &str,
        reason: &RefreshReason,
    ) -> Result<RefreshStep, SyncError> {
        let deadline = Instant::now() + MAX_CLAIM_WAIT;
        loop {
            let mut conn = self.database.get().await?;
            let claimed = refresh::claim(&mut conn, user_id, holder, CLAIM_TTL).await?;
            // The pair is read after the claim, because the previous holder may have stored another
            // one.
            let (member, stored) = tokens::find_with_member(&conn, &self.keys, user_id).await?;
            drop(conn);
            let (Some(member), Some(stored)) = (member, stored) else {
                return Err(SyncError::NotConnected);
            };
            let is_done = match reason {
                RefreshReason::Ended => is_usable(&stored, None, self.clock.now()),
                RefreshReason::Refused(token) => is_usable(&stored, Some(token), self.clock.now()),
                RefreshReason::Retry => false,
            };
            if is_done {
                return Ok(RefreshStep::Done(stored.access_token));
            }
            // A dead token is sent to WHOOP only once, not by every caller.
            if member.connection() == ConnectionStatus::ReauthRequired
                && !matches!(reason, RefreshReason::Retry)
            {
                return Err(SyncError::ReauthRequired);
            }
            if let Some(claimed) = claimed {
                return Ok(RefreshStep::Begin(stored, claimed));
            }
            if Instant::now() > deadline {
                return Err(SyncError::RefreshPending);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends the refresh token to WHOOP, and stores the answer.
    async fn exchange_pair(
        &self,
        user_id: &UserId,
        stored: OAuthTokens,
        claimed: RefreshHistory,
    ) -> Result<SecretString, SyncError> {
        let Some(refresh_token) = &stored.refresh_token else {
            let detail = "the access token has expired, and there is no refresh token, because the \
                member did not grant `offline`";
            return self.reject_stored_pair(user_id, &stored, detail).await;
        };
        if self.refreshes.is_shutting_down() {
            return Err(SyncError::Stopped);
        }
        let mut conn = self.database.get().await?;
        refresh::note_started(&mut conn, user_id, self.clock.now()).await?;
        drop(conn);
        let whoop = self.quota.whoop.with_retry_policy(RetryPolicy::refresh());
        match whoop.refresh_tokens(refresh_token, &stored.scope).await {
            Ok(pair) => self.store_pair(user_id, stored, pair).await,
            Err(error) => self.handle_refusal(user_id, &stored, claimed, error).await,
        }
    }

    async fn extend_claim(&self, user_id: &UserId, holder: &str) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EXTEND_INTERVAL).await;
            let extended = async {
                let mut conn = self.database.get().await?;
                refresh::extend(&mut conn, user_id, holder, CLAIM_TTL).await
            };
            if let Err(error) = extended.await {
                tracing::warn!(member = %user_id, %error, "could not extend the refresh claim");
            }
        }
    }

    async fn release_claim(&self, user_id: &UserId, holder: &str) -> Result<(), SyncError> {
        let mut conn = self.database.get().await?;
        Ok(refresh::release(&mut conn, user_id, holder).await?)
    }

    /// Waits until no process refreshes this member's tokens, for at most `limit`.
    pub(crate) async fn wait_for_refresh(
        &self,
        user_id: &UserId,
        limit: Duration,
    ) -> Result<(), SyncError> {
        let deadline = Instant::now() + limit;
        while refresh::is_claimed(&mut *self.database.get().await?, user_id).await?
            && Instant::now() < deadline
        {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}
