//! Makes one call to WHOOP's API for a member.

use std::sync::Arc;
use std::{future::Future, time::Duration};
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

use secrecy::{ExposeSecret, SecretString};
use whoop_client::{WhoopClient, WhoopError};
use whoop_core::UserId;
use whoop_storage::{acceptance, member_calls, table::tokens};

use super::{exchange::RefreshReason, token_verdict::is_dead_connection};
use crate::{EngineSettings, Quota, SyncContext, SyncError, TokenRefresher};

/// OAuth scope that is needed to read the profile, which names the WHOOP account.
pub(crate) const PROFILE_SCOPE: &str = "read:profile";

/// Share of the day limit that app requests of one member may use: one call in 20, which is 5
/// percent.
const MEMBER_SHARE_DIVISOR: u32 = 20;

/// Minimum number of calls per day that app requests of one member may cause. It suffices for ten
/// days with four lists each, even if the day limit is only a few hundred calls.
const MIN_MEMBER_SHARE: u32 = 40;

/// Makes calls to WHOOP's API with valid access tokens of members.
#[derive(Debug, Clone)]
pub struct MemberCalls {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) settings: EngineSettings,
    pub(crate) quota: Arc<Quota>,
    pub(crate) refresher: Arc<TokenRefresher>,
}

impl MemberCalls {
    /// Makes one call to WHOOP's API with a valid access token of the member.
    ///
    /// After a 401, the token is refreshed and the call is repeated, both only once. If the API
    /// refuses the new token as well, the call fails with [`SyncError::TokenRejected`], which
    /// counts as an outage of WHOOP. The token is then not refreshed again until
    /// [`is_dead_connection`] can decide that the member has to connect again.
    pub(crate) async fn call_whoop<T, F>(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        scope: &'static str,
        call: impl Fn(WhoopClient, SecretString) -> F,
    ) -> Result<T, SyncError>
    where
        F: Future<Output = Result<T, WhoopError>>,
    {
        let context = &context.for_member(user_id);
        let token = self.token_for(user_id, context, None, Some(scope)).await?;
        if context.is_interactive() {
            self.check_member_share(user_id).await?;
        }
        match self.attempt(context, token.clone(), &call).await? {
            Err(WhoopError::Unauthorized) => {}
            other => return Ok(self.refresher.refreshes.note_answer(user_id, other)?),
        }
        if self.is_rejected(user_id).await? {
            return Err(SyncError::TokenRejected);
        }
        if self.refresher.refreshes.is_replacement(user_id, &token) {
            // A concurrent call has already refreshed the token, and WHOOP refuses the new token as
            // well.
            return Err(self.note_rejection(user_id, &token).await?);
        }
        let reason = RefreshReason::Refused(token);
        let fresh = self
            .refresher
            .refresh_tokens(user_id, context, reason)
            .await?;
        match self.attempt(context, fresh.clone(), &call).await? {
            Err(WhoopError::Unauthorized) => Err(self.note_rejection(user_id, &fresh).await?),
            other => Ok(self.refresher.refreshes.note_answer(user_id, other)?),
        }
    }

    /// Counts a call for an app request against the member's share of the day limit. Fails if the
    /// share is used up.
    async fn check_member_share(&self, user_id: &UserId) -> Result<(), SyncError> {
        let limit = (self.settings.limits.per_day / MEMBER_SHARE_DIVISOR).max(MIN_MEMBER_SHARE);
        let mut conn = self.database.get().await?;
        match member_calls::count_call(&mut conn, user_id, limit).await? {
            None => Ok(()),
            Some(seconds) => Err(SyncError::MemberShareUsed {
                retry_after: Duration::from_secs_f64(seconds.max(1.0)),
            }),
        }
    }

    /// Makes one call, and counts it. Each repetition by the client is counted as well.
    pub(crate) async fn attempt<T, F>(
        &self,
        context: &SyncContext,
        token: SecretString,
        call: &impl Fn(WhoopClient, SecretString) -> F,
    ) -> Result<Result<T, WhoopError>, SyncError>
    where
        F: Future<Output = Result<T, WhoopError>>,
    {
        context.count_call()?;
        let whoop = self.quota.whoop_for(context);
        let answer = context.finish_call(call(whoop.clone(), token)).await;
        context.correct_call_count(whoop.requests_sent());
        answer
    }

    /// Whether the API has already refused a newly issued token of the member, and
    /// [`is_dead_connection`] cannot decide yet that the connection is dead.
    async fn is_rejected(&self, user_id: &UserId) -> Result<bool, SyncError> {
        let mut conn = self.database.get().await?;
        let Some(since) = acceptance::rejected_since(&mut conn, user_id).await? else {
            return Ok(false);
        };
        let others = acceptance::other_members_since(&mut conn, user_id, since).await?;
        Ok(!is_dead_connection(since, self.clock.now(), others))
    }

    /// Stores that the API refused a token right after WHOOP issued it. Returns the error with
    /// which the call fails.
    async fn note_rejection(
        &self,
        user_id: &UserId,
        token: &SecretString,
    ) -> Result<SyncError, SyncError> {
        let now = self.clock.now();
        let mut locked = self.database.begin().await?;
        let stored = tokens::find_for_update(&mut locked, &self.keys, user_id).await?;
        let is_stored = stored
            .is_some_and(|stored| stored.access_token.expose_secret() == token.expose_secret());
        if !is_stored {
            // The member has connected again in the meantime, and the new token pair may work.
            locked.rollback().await?;
            return Ok(SyncError::TokenRejected);
        }
        let error = match acceptance::rejected_since(&mut locked, user_id).await? {
            None => {
                acceptance::note_rejected(&mut locked, user_id, now).await?;
                SyncError::TokenRejected
            }
            Some(since) => {
                let others = acceptance::other_members_since(&mut locked, user_id, since).await?;
                if is_dead_connection(since, now, others) {
                    let detail = format!(
                        "WHOOP has refused newly issued tokens of this member since {}",
                        whoop_core::instant::to_text(since)
                    );
                    self.refresher
                        .require_reauth(&mut locked, user_id, &detail)
                        .await?;
                    SyncError::ReauthRequired
                } else {
                    SyncError::TokenRejected
                }
            }
        };
        locked.commit().await?;
        Ok(error)
    }
}
