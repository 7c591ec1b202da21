//! Token refreshes of this process.
//!
//! Each refresh runs in a task of its own. All callers that need a refresh for the same member
//! share one task. If a caller stops waiting, the refresh continues.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use whoop_client::WhoopError;
use whoop_core::UserId;

use super::exchange::RefreshReason;
use crate::{Quota, SyncContext, SyncError, sync_context::REFRESH_GRACE_PERIOD};

/// Result of a token refresh, which every waiting caller gets: the new access token, or the error.
type RefreshResult = Result<SecretString, Arc<SyncError>>;

/// The token refreshes of this process that have not ended, by member.
#[derive(Debug, Default)]
pub(crate) struct TokenRefreshes {
    running: Mutex<HashMap<UserId, Shared<BoxFuture<'static, RefreshResult>>>>,
    /// Access tokens that replaced a refused token, by member. A token is removed when the API
    /// accepts it.
    replacements: Mutex<HashMap<UserId, SecretString>>,
    tasks: TaskTracker,
}

impl TokenRefreshes {
    /// Whether the process is about to end, so that no new refresh may begin.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.tasks.is_closed()
    }

    fn note_replacement(&self, user_id: &UserId, token: &SecretString) {
        let replacements = self.replacements.lock();
        replacements
            .unwrap_or_else(PoisonError::into_inner)
            .insert(user_id.clone(), token.clone());
    }

    /// Whether this token replaced a refused token, and the API has not accepted it yet. If the API
    /// refuses it as well, another refresh does not help.
    pub(super) fn is_replacement(&self, user_id: &UserId, token: &SecretString) -> bool {
        let replacements = self.replacements.lock();
        let replacements = replacements.unwrap_or_else(PoisonError::into_inner);
        let replacement = replacements.get(user_id);
        replacement.is_some_and(|stored| stored.expose_secret() == token.expose_secret())
    }

    /// Records that the API accepts the member's token, if the answer to a call is a success.
    /// Returns the answer unchanged.
    pub(super) fn note_answer<T>(
        &self,
        user_id: &UserId,
        answer: Result<T, WhoopError>,
    ) -> Result<T, WhoopError> {
        if answer.is_ok() {
            let replacements = self.replacements.lock();
            replacements
                .unwrap_or_else(PoisonError::into_inner)
                .remove(user_id);
        }
        answer
    }
}

/// Refreshes token pairs, one refresh per member at a time, and stores WHOOP's answers.
#[derive(Debug, Clone)]
pub struct TokenRefresher {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) refreshes: Arc<TokenRefreshes>,
}

impl TokenRefresher {
    /// Refreshes the member's tokens, and returns the new access token. If a refresh of these
    /// tokens has already begun in this process, waits for it instead.
    ///
    /// A failed refresh is not repeated.
    ///
    /// # Errors
    ///
    /// [`SyncError::RefreshPending`] if the refresh takes longer than the caller waits. The refresh
    /// continues, and the next caller gets its result.
    pub(super) async fn refresh_tokens(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        reason: RefreshReason,
    ) -> Result<SecretString, SyncError> {
        // After a stop was requested, no refresh begins, because the process may end before WHOOP's
        // answer is stored.
        if context.stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        let refreshed = async {
            let refreshed = self.shared_refresh(user_id, &reason).await;
            match (&reason, &refreshed) {
                // The shared refresh began before WHOOP refused this token, and returned the token
                // because it seemed valid. Another refresh is necessary.
                (RefreshReason::Refused(refused), Ok(token))
                    if refused.expose_secret() == token.expose_secret() =>
                {
                    self.shared_refresh(user_id, &reason).await
                }
                _ => refreshed,
            }
        };
        let waited = tokio::time::timeout(context.refresh_timeout, refreshed);
        let refreshed = context.finish_refresh(waited).await?;
        let refreshed = refreshed.map_err(|_| SyncError::RefreshPending)?;
        refreshed.map_err(|error| SyncError::from_shared_refresh(&error))
    }

    fn shared_refresh(
        &self,
        user_id: &UserId,
        reason: &RefreshReason,
    ) -> Shared<BoxFuture<'static, RefreshResult>> {
        let refreshes = Arc::clone(&self.refreshes);
        let mut under_way = refreshes
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(refresh) = under_way.get(user_id).filter(|one| one.peek().is_none()) {
            return refresh.clone();
        }
        let (engine, member, reason) = (self.clone(), user_id.clone(), reason.clone());
        let task = refreshes.tasks.spawn(async move {
            let refreshed = engine.refresh_once(&member, &reason).await;
            if let (RefreshReason::Refused(refused), Ok(token)) = (&reason, &refreshed)
                && refused.expose_secret() != token.expose_secret()
            {
                engine.refreshes.note_replacement(&member, token);
            }
            let under_way = engine.refreshes.running.lock();
            under_way
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&member);
            refreshed.map_err(Arc::new)
        });
        let refreshed = async move {
            task.await
                .unwrap_or_else(|_| Err(Arc::new(SyncError::Aborted)))
        };
        let refreshed = refreshed.boxed().shared();
        under_way.insert(user_id.clone(), refreshed.clone());
        refreshed
    }

    /// Waits for the token refreshes that have not ended, before the process ends. No new refresh
    /// begins after this call.
    ///
    /// After a stop was requested, it waits for at most another 7 seconds.
    pub async fn finish_refreshes(&self, stop: &CancellationToken) {
        let tasks = &self.refreshes.tasks;
        tasks.close();
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(REFRESH_GRACE_PERIOD).await;
        };
        tokio::select! {
            () = tasks.wait() => {}
            () = overdue => tracing::error!(
                refreshes = tasks.len(),
                "ending before WHOOP has answered all token refreshes; the affected members may \
                 have to connect WHOOP again"
            ),
        }
    }
}
