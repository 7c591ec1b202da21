//! Stores WHOOP's answer to a token refresh: the new token pair, or the refusal.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use whoop_client::{TokenPair, WhoopError};
use whoop_core::{UserId, day::ConnectionStatus, instant};
use whoop_storage::{
    StorageError, Transaction, acceptance,
    table::{
        refresh::{self, RefreshHistory},
        revocation::{self, NewRevocation},
        tokens::{self, OAuthTokens},
        users,
    },
};

use super::token_verdict::is_dead_refresh_token;
use crate::{SyncError, TokenRefresher};

/// Maximum pause between two attempts to store a new token pair.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Maximum number of attempts to store a new token pair, which take about five minutes together.
const MAX_ATTEMPTS: usize = 70;

/// The token pair that is stored for the member after WHOOP's answer was handled.
enum StoredPair {
    Ours,
    /// Another token pair, because the member has connected again in the meantime.
    Another(OAuthTokens),
    /// No token pair, because the member has disconnected in the meantime.
    None,
}

impl TokenRefresher {
    /// Stores the new token pair of a refresh, and returns its access token.
    ///
    /// WHOOP no longer accepts the old token pair, so the new one must not be lost if a database
    /// connection fails. Therefore each attempt uses a new connection.
    pub(super) async fn store_pair(
        &self,
        user_id: &UserId,
        before: OAuthTokens,
        pair: TokenPair,
    ) -> Result<SecretString, SyncError> {
        let exchanged = before.refresh_token.clone();
        let renewed = renewed_tokens(before, pair, self.clock.now());
        let superseded = Uuid::new_v4();
        let store = || self.try_store_pair(user_id, exchanged.as_ref(), &renewed, superseded);
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(MAX_PAUSE)
            .with_max_times(MAX_ATTEMPTS)
            .with_jitter();
        let stored = store
            .retry(pauses)
            .when(|error| !matches!(error, StorageError::Seal(_)))
            .notify(|error, pause| {
                tracing::warn!(
                    member = %user_id, %error, pause_ms = pause.as_millis(),
                    "could not store refreshed tokens; trying again on a new connection"
                );
            })
            .await;
        match stored {
            Ok(StoredPair::Ours) => {
                tracing::debug!(member = %user_id, "access token refreshed");
                Ok(renewed.access_token)
            }
            Ok(StoredPair::Another(tokens)) => Ok(tokens.access_token),
            Ok(StoredPair::None) => Err(SyncError::NotConnected),
            Err(error) => {
                tracing::error!(
                    member = %user_id, %error,
                    "could not store refreshed tokens; the member will have to connect WHOOP again"
                );
                Err(error.into())
            }
        }
    }

    async fn try_store_pair(
        &self,
        user_id: &UserId,
        exchanged: Option<&SecretString>,
        renewed: &OAuthTokens,
        superseded: Uuid,
    ) -> Result<StoredPair, StorageError> {
        let now = self.clock.now();
        let mut locked = self.database.begin().await?;
        let found = tokens::find_for_update(&mut locked, &self.keys, user_id).await?;
        if let Some(found) = &found
            && is_same_secret(Some(&found.access_token), Some(&renewed.access_token))
        {
            // An earlier attempt was committed, but its confirmation was lost.
            return Ok(StoredPair::Ours);
        }
        if !is_exchanged_pair(found.as_ref(), exchanged) {
            // The member does not use this token pair, so its permission is revoked. The revocation
            // will not take place if a connected member uses the same WHOOP account.
            revocation::insert(
                &mut locked,
                &self.keys,
                &NewRevocation::due_now(superseded, renewed, now),
            )
            .await?;
            locked.commit().await?;
            return Ok(found.map_or(StoredPair::None, StoredPair::Another));
        }
        tokens::upsert(&mut locked, &self.keys, user_id, renewed, now).await?;
        refresh::clear(&mut locked, user_id).await?;
        let member = users::find(&mut locked, user_id).await?;
        if member.is_some_and(|member| member.connection() == ConnectionStatus::ReauthRequired) {
            // The operator retried the token pair. Or WHOOP refused the old token pair to another
            // process while this process could not reach the database.
            let status = ConnectionStatus::Connected;
            users::set_status(&mut locked, user_id, status, None, now).await?;
            tracing::info!(
                member = %user_id,
                "WHOOP renewed the tokens; the member is connected again"
            );
        }
        locked.commit().await?;
        Ok(StoredPair::Ours)
    }

    /// Stores the reason for which WHOOP issued no new token pair.
    ///
    /// Returns the error of the refresh. If the member has connected again in the meantime, returns
    /// the access token of the new connection instead.
    pub(super) async fn handle_refusal(
        &self,
        user_id: &UserId,
        shown: &OAuthTokens,
        claimed: RefreshHistory,
        error: WhoopError,
    ) -> Result<SecretString, SyncError> {
        if error.is_invalid_grant() {
            let detail = with_interruption("WHOOP refused the refresh token", claimed.cut_off_at);
            return self.reject_stored_pair(user_id, shown, &detail).await;
        }
        let now = self.clock.now();
        let mut conn = self.database.get().await?;
        if error.is_invalid_request() {
            refresh::note_invalid_request(&mut conn, user_id, now).await?;
            let since = claimed.invalid_request_since.unwrap_or(now);
            let others = acceptance::other_members_since(&mut conn, user_id, since).await?;
            if is_dead_refresh_token(since, now, others) {
                drop(conn);
                let detail = format!(
                    "WHOOP has refused the refresh token with invalid_request since {}, but has \
                     renewed other members' tokens",
                    instant::to_text(since)
                );
                let detail = with_interruption(&detail, claimed.cut_off_at);
                return self.reject_stored_pair(user_id, shown, &detail).await;
            }
        }
        if claimed.cut_off_at.is_none() && error.is_definite_refusal() {
            refresh::clear_started(&mut conn, user_id).await?;
        }
        Err(error.into())
    }

    /// Sets the member's status to `reauth_required`. If the stored token pair is not the refused
    /// one, returns its access token instead.
    pub(super) async fn reject_stored_pair(
        &self,
        user_id: &UserId,
        refused: &OAuthTokens,
        detail: &str,
    ) -> Result<SecretString, SyncError> {
        let mut locked = self.database.begin().await?;
        let found = tokens::find_for_update(&mut locked, &self.keys, user_id).await?;
        if !is_exchanged_pair(found.as_ref(), refused.refresh_token.as_ref()) {
            locked.rollback().await?;
            let found = found.ok_or(SyncError::NotConnected)?;
            return Ok(found.access_token);
        }
        refresh::clear(&mut locked, user_id).await?;
        self.require_reauth(&mut locked, user_id, detail).await?;
        locked.commit().await?;
        Err(SyncError::ReauthRequired)
    }

    /// Sets the member's status to `reauth_required`, and stores the reason.
    pub(super) async fn require_reauth(
        &self,
        locked: &mut Transaction,
        user_id: &UserId,
        detail: &str,
    ) -> Result<(), SyncError> {
        let status = ConnectionStatus::ReauthRequired;
        users::set_status(locked, user_id, status, Some(detail), self.clock.now()).await?;
        tracing::warn!(member = %user_id, detail, "member has to connect WHOOP again");
        Ok(())
    }
}

/// Returns the token pair that replaces `before`. Values that WHOOP's answer does not contain are
/// taken from `before`.
pub(crate) fn renewed_tokens(
    before: OAuthTokens,
    pair: TokenPair,
    now: DateTime<Utc>,
) -> OAuthTokens {
    OAuthTokens {
        access_token: pair.access_token,
        refresh_token: pair.refresh_token.or(before.refresh_token),
        // WHOOP may list fewer scopes after a refresh. The scopes that the member granted are kept.
        scope: before.scope,
        expires_at: now + pair.expires_in,
    }
}

fn is_same_secret(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}

/// Whether the stored token pair is the one whose refresh token was sent to WHOOP.
fn is_exchanged_pair(found: Option<&OAuthTokens>, shown: Option<&SecretString>) -> bool {
    found.is_some_and(|found| is_same_secret(found.refresh_token.as_ref(), shown))
}

/// Returns the reason for a refusal. If an earlier refresh was interrupted before its answer was
/// stored, the text begins with a note about it.
fn with_interruption(detail: &str, cut_off_at: Option<DateTime<Utc>>) -> String {
    match cut_off_at {
        Some(since) => format!(
            "a refresh that began at {} was interrupted before WHOOP's new tokens were stored; \
             {detail}",
            instant::to_text(since)
        ),
        None => detail.to_owned(),
    }
}
