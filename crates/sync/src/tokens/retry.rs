//! Retries the token pairs of members with the status `reauth_required`.

use serde::Serialize;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::tokens;

use super::exchange::RefreshReason;
use crate::{SyncContext, SyncError, TokenRefresher};

/// Result of retrying a member's stored token pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOutcome {
    /// WHOOP has renewed the token pair, and the member is connected again.
    Connected,
    /// WHOOP refuses the token pair, and the member has to connect again.
    Refused,
    /// No refresh token is stored, and the member has to connect again.
    NoPair,
    /// The member does not have the status `reauth_required`.
    NotNeeded,
}

impl TokenRefresher {
    /// Sends the stored refresh token of a member with the status `reauth_required` to WHOOP once
    /// more. If WHOOP renews the token pair, the member is connected again.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotConnected`] if the member never connected. If the refresh fails although
    /// WHOOP did not refuse the token pair, the error of the refresh; the member's status does not
    /// change.
    pub async fn retry_connection(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<RetryOutcome, SyncError> {
        let conn = self.database.get().await?;
        let (member, stored) = tokens::find_with_member(&conn, &self.keys, user_id).await?;
        drop(conn);
        let member = member.ok_or(SyncError::NotConnected)?;
        if member.connection() != ConnectionStatus::ReauthRequired {
            return Ok(RetryOutcome::NotNeeded);
        }
        if stored.is_none_or(|pair| pair.refresh_token.is_none()) {
            return Ok(RetryOutcome::NoPair);
        }
        match self
            .refresh_tokens(user_id, context, RefreshReason::Retry)
            .await
        {
            Ok(_) => Ok(RetryOutcome::Connected),
            Err(SyncError::ReauthRequired) => Ok(RetryOutcome::Refused),
            Err(error) => Err(error),
        }
    }
}
