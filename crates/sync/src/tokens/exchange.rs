//! One refresh of a member's tokens.
//!
//! A claim in the member's row keeps other processes from refreshing at the same time. It expires
//! by itself, so that no connection and no transaction is held while WHOOP answers, and it is
//! extended for as long as the refresh takes.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use whoop_client::Pace;
use whoop_core::{UserId, day::Connection};
use whoop_storage::table::{
    refresh::{self, Claimed},
    tokens::{self, Tokens},
};

use crate::{Engine, SyncError, engine::random_text};

/// Time for which a refresh that was killed blocks its member.
const CLAIM_LASTS: Duration = Duration::from_secs(60);

/// Interval at which a claim is extended; it survives two lost extensions.
const EXTEND_EVERY: Duration = Duration::from_secs(20);

/// Interval at which a refresh looks whether another process has finished its own.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Maximum wait for the refresh of another process.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2 * 60);

/// Why a member's tokens are refreshed.
#[derive(Debug, Clone)]
pub(super) enum Reason {
    /// The access token has ended, or is about to.
    Ended,
    /// WHOOP refused this access token.
    Refused(SecretString),
    /// The operator has the pair of a member in `reauth_required` tried once more.
    Retry,
}

/// What a refresh finds once it may begin.
enum Turn {
    /// The pair is to be exchanged.
    Begin(Tokens, Claimed),
    /// Another refresh has brought this access token.
    Done(SecretString),
}

impl Engine {
    pub(super) async fn refresh_once(
        &self,
        user_id: &UserId,
        reason: &Reason,
    ) -> Result<SecretString, SyncError> {
        let holder = random_text()?;
        let refreshed = async {
            match self.claim_refresh(user_id, &holder, reason).await? {
                Turn::Begin(stored, claimed) => self.exchange_pair(user_id, stored, claimed).await,
                Turn::Done(token) => Ok(token),
            }
        };
        let refreshed = tokio::select! {
            refreshed = refreshed => refreshed,
            never = self.keep_claim(user_id, &holder) => match never {},
        };
        if let Err(error) = self.release_claim(user_id, &holder).await {
            tracing::warn!(member = %user_id, %error, "the refresh claim is left to expire");
        }
        refreshed
    }

    /// Waits until no other process refreshes this member's tokens, and claims them.
    async fn claim_refresh(
        &self,
        user_id: &UserId,
        holder: &str,
        reason: &Reason,
    ) -> Result<Turn, SyncError> {
        let give_up_at = Instant::now() + WAIT_FOR_OTHERS;
        loop {
            let mut conn = self.database.get().await?;
            let claimed = refresh::claim(&mut conn, user_id, holder, CLAIM_LASTS).await?;
            // After the claim: the previous holder may have stored another pair.
            let (member, stored) = tokens::find_with_member(&conn, &self.keys, user_id).await?;
            drop(conn);
            let (Some(member), Some(stored)) = (member, stored) else {
                return Err(SyncError::NotConnected);
            };
            let is_done = match reason {
                Reason::Ended => self.is_usable(&stored, None),
                Reason::Refused(token) => self.is_usable(&stored, Some(token)),
                Reason::Retry => false,
            };
            if is_done {
                return Ok(Turn::Done(stored.access_token));
            }
            // A dead token is shown to WHOOP once, not once by every caller.
            if member.connection() == Connection::ReauthRequired && !matches!(reason, Reason::Retry)
            {
                return Err(SyncError::ReauthRequired);
            }
            if let Some(claimed) = claimed {
                return Ok(Turn::Begin(stored, claimed));
            }
            if Instant::now() > give_up_at {
                return Err(SyncError::RefreshPending);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Shows the refresh token to WHOOP, and stores what it answers.
    async fn exchange_pair(
        &self,
        user_id: &UserId,
        stored: Tokens,
        claimed: Claimed,
    ) -> Result<SecretString, SyncError> {
        let Some(refresh_token) = &stored.refresh_token else {
            let detail = "the access token has ended, and the member did not grant `offline`";
            return self.refuse(user_id, &stored, detail).await;
        };
        if self.refreshes.are_ending() {
            return Err(SyncError::Stopped);
        }
        let mut conn = self.database.get().await?;
        refresh::begin(&mut conn, user_id, self.clock.now()).await?;
        drop(conn);
        let whoop = self.whoop.with_pace(Pace::refresh());
        match whoop.refresh(refresh_token, &stored.scope).await {
            Ok(pair) => self.store_pair(user_id, stored, pair).await,
            Err(error) => self.note_refusal(user_id, &stored, claimed, error).await,
        }
    }

    async fn keep_claim(&self, user_id: &UserId, holder: &str) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(EXTEND_EVERY).await;
            let extended = async {
                let mut conn = self.database.get().await?;
                refresh::extend(&mut conn, user_id, holder, CLAIM_LASTS).await
            };
            if let Err(error) = extended.await {
                tracing::warn!(member = %user_id, %error, "the refresh claim could not be extended");
            }
        }
    }

    async fn release_claim(&self, user_id: &UserId, holder: &str) -> Result<(), SyncError> {
        let mut conn = self.database.get().await?;
        Ok(refresh::release(&mut conn, user_id, holder).await?)
    }

    /// Waits until no process refreshes this member's tokens, or the limit is over.
    pub(crate) async fn wait_for_refresh(
        &self,
        user_id: &UserId,
        limit: Duration,
    ) -> Result<(), SyncError> {
        let give_up_at = Instant::now() + limit;
        while refresh::is_claimed(&mut *self.database.get().await?, user_id).await?
            && Instant::now() < give_up_at
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}
