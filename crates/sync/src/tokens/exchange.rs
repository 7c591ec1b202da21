//! One refresh of a member's tokens: exchanges the refresh token for a new token pair.
//!
//! A claim in the member's row of `whoop_refresh` prevents other processes from refreshing the
//! tokens at the same time. The claim expires by itself, and is extended during the refresh.
//! Therefore no connection and no transaction is held while WHOOP answers.

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

/// Lifetime of a claim that is not extended. For this time, the claim of a killed process blocks
/// its member.
const CLAIM_TTL: Duration = Duration::from_secs(60);

/// Interval at which a claim is extended. The claim survives two lost extensions.
const EXTEND_INTERVAL: Duration = Duration::from_secs(20);

/// Interval at which a waiting process checks whether another process has finished its refresh.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time to wait for the refresh of another process.
const MAX_CLAIM_WAIT: Duration = Duration::from_secs(2 * 60);

/// Reason for refreshing a member's tokens.
#[derive(Debug, Clone)]
pub(super) enum RefreshReason {
    /// The access token has expired, or is about to expire.
    Ended,
    /// WHOOP refused this access token.
    Refused(SecretString),
    /// The operator retries the token pair of a member with the status `reauth_required`.
    Retry,
}

/// Next step of a token refresh, after an attempt to claim it.
enum RefreshStep {
    /// This process holds the claim, and has to exchange this stored token pair.
    Begin(OAuthTokens, RefreshHistory),
    /// No exchange is necessary: this stored access token, usually from another refresh, can be
    /// used.
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
    ///
    /// Claims nothing if a usable access token is stored in the meantime.
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
            // The token pair is read after the claim, because the previous holder of the claim may
            // have stored another pair.
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
            // A dead refresh token is sent to WHOOP only once, not again by every caller. Only the
            // operator's retry sends it again.
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

    /// Sends the refresh token to WHOOP, and stores WHOOP's answer. Returns the new access token.
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

    /// Waits until no process refreshes this member's tokens, but for at most `limit`.
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
