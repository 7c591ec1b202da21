//! An access token that works.
//!
//! WHOOP rotates refresh tokens and kills the old pair at once, so a member's
//! pair is replaced under a lock on its row, and the new one is committed
//! before anybody uses it. A caller that lost the race finds the winner's pair.

use std::future::Future;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use whoop_client::{TokenPair, Whoop, WhoopError};
use whoop_core::{UserId, day::Connection, instant};
use whoop_storage::{
    Transaction,
    table::{
        refresh,
        tokens::{self, Tokens},
        users::{self, UNKNOWN_ACCOUNT},
    },
};

use crate::{Engine, Job, SyncError};

/// A token this close to its end is replaced before it is used.
const ABOUT_TO_END: TimeDelta = TimeDelta::minutes(1);

/// The scope by which WHOOP says who somebody is.
pub(crate) const PROFILE: &str = "read:profile";

/// The longest pause between two attempts at a refresh.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);

impl Engine {
    /// Makes one call to WHOOP with a token that works.
    ///
    /// A 401 leads to one refresh and one more try; a second 401 means that
    /// only the member can repair the connection.
    pub(crate) async fn call<T, F>(
        &self,
        user_id: &UserId,
        job: &Job,
        scope: &'static str,
        call: impl Fn(Whoop, SecretString) -> F,
    ) -> Result<T, SyncError>
    where
        F: Future<Output = Result<T, WhoopError>>,
    {
        let token = self.token_for(user_id, job, None, Some(scope)).await?;
        match self.attempt(job, token.clone(), &call).await? {
            Err(WhoopError::Unauthorized) => {}
            other => return Ok(other?),
        }
        let fresh = self.access_token(user_id, job, Some(&token)).await?;
        match self.attempt(job, fresh.clone(), &call).await? {
            Err(WhoopError::Unauthorized) => {
                self.give_up_on(user_id, &fresh).await?;
                Err(SyncError::ReauthRequired)
            }
            other => Ok(other?),
        }
    }

    /// One call, counted with every repetition that the client made of it.
    pub(crate) async fn attempt<T, F>(
        &self,
        job: &Job,
        token: SecretString,
        call: &impl Fn(Whoop, SecretString) -> F,
    ) -> Result<Result<T, WhoopError>, SyncError>
    where
        F: Future<Output = Result<T, WhoopError>>,
    {
        job.spend()?;
        let whoop = self.whoop_for(job);
        let answer = job.finish_call(call(whoop.clone(), token)).await;
        job.correct(whoop.requests_sent());
        answer
    }

    /// A token that was not refused yet: the stored one, or a fresh one.
    ///
    /// # Errors
    ///
    /// The member is not connected, must reconnect, or WHOOP was out of order
    /// for as long as the job has patience.
    pub async fn access_token(
        &self,
        user_id: &UserId,
        job: &Job,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SyncError> {
        self.token_for(user_id, job, refused, None).await
    }

    /// The same, for a call that needs this scope.
    async fn token_for(
        &self,
        user_id: &UserId,
        job: &Job,
        refused: Option<&SecretString>,
        scope: Option<&'static str>,
    ) -> Result<SecretString, SyncError> {
        let conn = self.database.get().await?;
        let (member, stored) = tokens::find_with_member(&conn, &self.keys, user_id).await?;
        let member = member.ok_or(SyncError::NotConnected)?;
        match member.connection() {
            Connection::Connected => {}
            Connection::ReauthRequired => return Err(SyncError::ReauthRequired),
            Connection::Disconnected | Connection::NeverConnected => {
                return Err(SyncError::NotConnected);
            }
        }
        let stored = stored.ok_or(SyncError::NotConnected)?;
        drop(conn);
        if let Some(scope) = scope.filter(|scope| !stored.scope.split(' ').any(|one| one == *scope))
        {
            return Err(SyncError::NotGranted { scope });
        }
        if member.whoop_user_id == UNKNOWN_ACCOUNT && scope.is_some_and(|one| one != PROFILE) {
            return Err(SyncError::NotIntroduced);
        }
        if self.is_usable(&stored, refused) {
            return Ok(stored.access_token);
        }
        self.refresh_with_patience(user_id, job, refused).await
    }

    pub(crate) fn is_usable(&self, tokens: &Tokens, refused: Option<&SecretString>) -> bool {
        let is_refused = refused
            .is_some_and(|refused| refused.expose_secret() == tokens.access_token.expose_secret());
        // Without a refresh token the old one is used to its very end.
        let margin = if tokens.refresh_token.is_some() {
            ABOUT_TO_END
        } else {
            TimeDelta::zero()
        };
        !is_refused && tokens.expires_at > self.clock.now() + margin
    }

    async fn refresh_with_patience(
        &self,
        user_id: &UserId,
        job: &Job,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SyncError> {
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(std::time::Duration::from_millis(500))
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        let give_up_at = tokio::time::Instant::now() + job.refresh_patience;
        loop {
            let engine = self.clone();
            let (member, job_in, before) = (user_id.clone(), job.clone(), refused.cloned());
            // A task of its own: a caller that goes away must not come between
            // WHOOP's answer and our commit, which would lose the new pair.
            let attempt = tokio::spawn(async move {
                engine
                    .refresh_in_turn(&member, &job_in, before.as_ref())
                    .await
            });
            let attempt = job.finish_refresh(attempt).await??;
            let error = match attempt {
                Err(error) if error.is_transient() => error,
                other => return other,
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            if tokio::time::Instant::now() + pause > give_up_at {
                return Err(error);
            }
            tracing::warn!(member = %user_id, error = %error, "the refresh is tried again");
            // The lock is not held here: others may try, and win.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = job.stop.cancelled() => return Err(SyncError::Stopped),
            }
        }
    }

    /// One attempt, once nobody else of this process is at it.
    async fn refresh_in_turn(
        &self,
        user_id: &UserId,
        job: &Job,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SyncError> {
        let turn = self.refresh_turns.take(user_id);
        let _turn = tokio::time::timeout(job.pace.call_timeout, turn)
            .await
            .map_err(|_| WhoopError::TimedOut)?;
        // The process may end at any moment now, also between WHOOP's answer
        // and our commit.
        if job.stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        self.refresh_once(user_id, job, refused).await
    }

    /// One attempt, with the member's row locked from the look to the commit.
    async fn refresh_once(
        &self,
        user_id: &UserId,
        job: &Job,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, SyncError> {
        let mut locked = self.database.begin().await?;
        let Some(stored) = tokens::lock(&mut locked, &self.keys, user_id).await? else {
            locked.rollback().await?;
            return Err(SyncError::NotConnected);
        };
        if self.is_usable(&stored, refused) {
            locked.rollback().await?;
            return Ok(stored.access_token);
        }
        // Whoever held the lock before may have been refused: a dead token is
        // shown to WHOOP once, not once by every caller that waited.
        let member = users::find(&mut locked, user_id).await?;
        if member.is_some_and(|member| member.connection() == Connection::ReauthRequired) {
            locked.rollback().await?;
            return Err(SyncError::ReauthRequired);
        }
        let cut_off = refresh::begun_at(&mut locked, user_id).await?;
        let answer = match &stored.refresh_token {
            Some(refresh_token) => {
                self.note_refresh(user_id).await?;
                self.whoop
                    .with_pace(job.pace)
                    .refresh(refresh_token, &stored.scope)
                    .await
            }
            // Never granted `offline`: nothing can renew this connection.
            None => Err(WhoopError::InvalidGrant),
        };
        match answer {
            Ok(pair) => {
                let now = self.clock.now();
                let tokens = renewed(stored, pair, now);
                // The old pair is dead from WHOOP's answer on: nothing may come
                // between that and this commit.
                tokens::put(&mut locked, &self.keys, user_id, &tokens, now).await?;
                refresh::end(&mut locked, user_id).await?;
                locked.commit().await?;
                tracing::debug!(member = %user_id, "the access token was refreshed");
                Ok(tokens.access_token)
            }
            Err(WhoopError::InvalidGrant) => {
                let detail = match cut_off {
                    Some(since) => format!(
                        "a refresh that began at {} was cut off before WHOOP's new tokens were \
                         stored, and WHOOP refuses the old ones",
                        instant::to_text(since)
                    ),
                    None => "WHOOP refused the refresh token".to_owned(),
                };
                refresh::end(&mut locked, user_id).await?;
                self.require_reauth(&mut locked, user_id, &detail).await?;
                locked.commit().await?;
                Err(SyncError::ReauthRequired)
            }
            Err(error) => {
                if cut_off.is_none() && error.is_an_answer() {
                    refresh::end(&mut locked, user_id).await?;
                }
                locked.commit().await?;
                Err(error.into())
            }
        }
    }

    /// Should this process die between WHOOP's answer and our commit, the next
    /// one knows why the stored pair is dead.
    async fn note_refresh(&self, user_id: &UserId) -> Result<(), SyncError> {
        let mut conn = self.database.get().await?;
        refresh::begin(&mut conn, user_id, self.clock.now()).await?;
        Ok(())
    }

    /// Only the member can repair the connection; says so, and why.
    async fn require_reauth(
        &self,
        locked: &mut Transaction,
        user_id: &UserId,
        detail: &str,
    ) -> Result<(), SyncError> {
        let status = Connection::ReauthRequired;
        users::set_status(locked, user_id, status, Some(detail), self.clock.now()).await?;
        tracing::warn!(member = %user_id, detail, "the member has to connect WHOOP again");
        Ok(())
    }

    /// After a token that was refreshed a moment ago was refused as well.
    async fn give_up_on(&self, user_id: &UserId, token: &SecretString) -> Result<(), SyncError> {
        let mut locked = self.database.begin().await?;
        let stored = tokens::lock(&mut locked, &self.keys, user_id).await?;
        let is_still_ours = stored
            .is_some_and(|stored| stored.access_token.expose_secret() == token.expose_secret());
        // Whoever connected meanwhile brought a pair that may well work.
        if is_still_ours {
            let detail = "WHOOP refuses a token that it has just given";
            self.require_reauth(&mut locked, user_id, detail).await?;
        }
        locked.commit().await?;
        Ok(())
    }
}

/// The pair that takes the place of another.
pub(crate) fn renewed(before: Tokens, pair: TokenPair, now: DateTime<Utc>) -> Tokens {
    Tokens {
        access_token: pair.access_token,
        refresh_token: pair.refresh_token.or(before.refresh_token),
        // What WHOOP echoes may be narrower; what was granted counts.
        scope: before.scope,
        expires_at: now + pair.expires_in,
    }
}
