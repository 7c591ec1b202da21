//! Provides access tokens of members: the stored token, or a refreshed one if the stored token is
//! about to expire.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::tokens::{self, OAuthTokens};

use super::{call::PROFILE_SCOPE, exchange::RefreshReason};
use crate::{MemberCalls, SyncContext, SyncError, identify::is_identified};

/// Minimum remaining lifetime of an access token. A token that expires earlier is refreshed before
/// it is used.
const MIN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

/// Pause before a failed token refresh is repeated for an interactive caller.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl MemberCalls {
    /// Makes sure that the member's access token is valid for at least another minute. Callers do
    /// this before they take the member lease and quota permits.
    ///
    /// Only errors of the token refresh are returned. Other errors are ignored here, because the
    /// first call to WHOOP gets them again.
    pub(crate) async fn ensure_valid_token(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<(), SyncError> {
        match self.access_token(user_id, context, None).await {
            Err(error) if error.is_refresh_failure() => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns an access token of the member, refreshed if necessary. `refused` is a token that
    /// WHOOP has refused and that is not returned again. The caller does not hold the member lease.
    ///
    /// If the token endpoint demands a wait (429), this function waits, up to the timeouts of
    /// `context`. For an interactive caller, it repeats the refresh after a temporary failure.
    ///
    /// # Errors
    ///
    /// The member is not connected or has to connect again, or the token refresh failed or has not
    /// ended yet.
    pub async fn access_token(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SyncError> {
        let mut max_wait = context.token_endpoint_timeout();
        let mut retries = if context.is_interactive() {
            context.retry_policy.retries
        } else {
            0
        };
        loop {
            let error = match self.token_for(user_id, context, refused, None).await {
                Err(error) if error.is_refresh_failure() => error,
                other => return other,
            };
            let may_repeat = async {
                if error.quota_wait().is_some() {
                    return self
                        .quota
                        .whoop
                        .wait_for_token_endpoint(&mut max_wait)
                        .await
                        .is_ok();
                }
                let is_repeated = retries > 0 && error.is_retryable();
                if is_repeated {
                    retries -= 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                is_repeated
            };
            tokio::select! {
                is_repeated = may_repeat => if !is_repeated { return Err(error) },
                () = context.stop.cancelled() => return Err(SyncError::Stopped),
            }
        }
    }

    /// Does the same as [`MemberCalls::access_token`] for a call that needs `scope`, but attempts a
    /// refresh at most once.
    pub(super) async fn token_for(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        refused: Option<&SecretString>,
        scope: Option<&'static str>,
    ) -> Result<SecretString, SyncError> {
        let conn = self.database.get().await?;
        let (member, stored) = tokens::find_with_member(&conn, &self.keys, user_id).await?;
        drop(conn);
        let member = member.ok_or(SyncError::NotConnected)?;
        match member.connection() {
            ConnectionStatus::Connected => {}
            ConnectionStatus::ReauthRequired => return Err(SyncError::ReauthRequired),
            ConnectionStatus::Disconnected | ConnectionStatus::NeverConnected => {
                return Err(SyncError::NotConnected);
            }
        }
        let stored = stored.ok_or(SyncError::NotConnected)?;
        if let Some(scope) = scope.filter(|scope| !stored.scope.split(' ').any(|one| one == *scope))
        {
            return Err(SyncError::NotGranted { scope });
        }
        if !is_identified(&member) && scope.is_some_and(|one| one != PROFILE_SCOPE) {
            return Err(SyncError::AccountUnconfirmed);
        }
        if is_usable(&stored, refused, self.clock.now()) {
            return Ok(stored.access_token);
        }
        let reason = refused.map_or(RefreshReason::Ended, |token| {
            RefreshReason::Refused(token.clone())
        });
        self.refresher
            .refresh_tokens(user_id, context, reason)
            .await
    }
}

/// Whether a stored access token can be used now, because WHOOP has not refused it and it is not
/// about to expire.
pub(crate) fn is_usable(
    tokens: &OAuthTokens,
    refused: Option<&SecretString>,
    now: DateTime<Utc>,
) -> bool {
    let is_refused = refused
        .is_some_and(|refused| refused.expose_secret() == tokens.access_token.expose_secret());
    // Without a refresh token, the access token cannot be renewed, so it is used until it expires.
    let margin = if tokens.refresh_token.is_some() {
        MIN_LIFETIME
    } else {
        TimeDelta::zero()
    };
    !is_refused && tokens.expires_at > now + margin
}
