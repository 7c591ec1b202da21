//! Connection requests that the member's app has to confirm (`CONNECT_CONFIRM=required`).
//!
//! A connection request is one attempt to connect a WHOOP account to a member. An attacker can
//! begin a connection request for their own member and send the link to another person. If that
//! person consents, their records would be stored for the attacker's member.
//!
//! Therefore the callback stores only the token pair, and gives the browser a one-time word. The
//! app sends this word together with the JWT of its member. The app of the person who consented is
//! signed in as that person, not as the attacker's member, so the service refuses the word.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;
use whoop_client::WhoopError;
use whoop_core::Clock;
use whoop_core::UserId;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;
use whoop_storage::{
    StorageError, Transaction,
    table::{
        oauth_states::PendingConnect,
        revocation::{self, NewRevocation},
        tokens::OAuthTokens,
        unconfirmed_connect::{self, NewUnconfirmedConnect, UnconfirmedConnectRow},
    },
};

use crate::{
    Connections, Revocations, SyncError,
    connect::{ConnectError, GrantedConnection, member_of},
    disconnect::RevocationOutcome,
    engine::random_text,
    held_pair::ConnectClaim,
};

/// Maximum length of a one-time word, in bytes. A longer word is refused without a query.
const MAX_WORD_BYTES: usize = 100;

/// A connection request that waits for the app's confirmation.
pub struct PendingConfirmation {
    /// One-time word that the app has to send to confirm the connection request.
    pub word: String,
    pub return_to: Option<String>,
}

impl std::fmt::Debug for PendingConfirmation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingConfirmation")
            .field("return_to", &self.return_to)
            .finish_non_exhaustive()
    }
}

/// Reason for which a confirmation did not connect the member.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    #[error(
        "unknown confirmation word: it was not issued by this service, was already used, or \
         expired long ago"
    )]
    Unknown,
    #[error("this connect was not confirmed within ten minutes; start the connect again")]
    Expired,
    /// The tokens were deleted, and their permission at WHOOP will be revoked.
    #[error("another member began this connect; it was cancelled and no connection was stored")]
    OtherMember,
    #[error("WHOOP no longer accepts this permission; start the connect again")]
    PermissionEnded,
    #[error("the connect could not be completed")]
    Failed(#[source] SyncError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Connects members after their app has confirmed the connection request.
#[derive(Debug, Clone)]
pub struct Confirmations {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) revocations: Arc<Revocations>,
}

impl Confirmations {
    /// Handles WHOOP's callback without connecting the member: the token pair is kept until the app
    /// confirms the connection request. Returns the one-time word for the confirmation.
    ///
    /// # Errors
    ///
    /// The OAuth state or the authorization code is invalid, or WHOOP or PostgreSQL failed.
    pub async fn prepare_confirmation(
        &self,
        state: &str,
        code: &str,
    ) -> Result<PendingConfirmation, ConnectError> {
        let pending = self.connections.consume_state(state).await?;
        let return_to = pending.return_to.clone();
        let engine = self.clone();
        let (state, code) = (state.to_owned(), SecretString::from(code));
        // The code is exchanged in a separate task, because it can be used only once. If the
        // browser disconnects, the work between WHOOP's answer and the commit must not be
        // interrupted.
        let result =
            tokio::spawn(async move { engine.exchange_and_keep(&state, &pending, &code).await })
                .await
                .map_err(SyncError::from)
                .and_then(|result| result);
        match result {
            Ok(word) => Ok(PendingConfirmation { word, return_to }),
            Err(SyncError::ConnectWithdrawn) => Err(ConnectError::StateUnknown),
            Err(source) => Err(ConnectError::Failed { return_to, source }),
        }
    }

    /// Connects the member with the connection request that the one-time word belongs to, and
    /// starts the first sync. Returns the task of the first sync, without waiting for its end.
    ///
    /// # Errors
    ///
    /// The word is unknown, has expired or belongs to another member, or WHOOP or PostgreSQL
    /// failed. After a failure of PostgreSQL the word is still valid.
    pub async fn confirm_connect(
        &self,
        user_id: &UserId,
        word: &str,
    ) -> Result<JoinHandle<()>, ConfirmError> {
        if word.len() > MAX_WORD_BYTES {
            return Err(ConfirmError::Unknown);
        }
        let row = {
            let mut conn = self.database.get().await?;
            unconfirmed_connect::find(&mut conn, word).await?
        };
        let row = row.ok_or(ConfirmError::Unknown)?;
        if row.user_id != user_id.as_str() {
            self.discard_unconfirmed(word).await?;
            tracing::warn!(
                "refused a connect confirmation of a member who did not begin the connect"
            );
            return Err(ConfirmError::OtherMember);
        }
        if row.confirm_until <= self.clock.now() {
            return Err(ConfirmError::Expired);
        }
        let consent = row.consent.clone();
        let connection = GrantedConnection {
            user_id,
            tokens: row.open(&self.keys)?,
            consent,
        };
        match self
            .connections
            .connect_member(&connection, ConnectClaim::Word(word))
            .await
        {
            Ok(first_sync) => Ok(first_sync),
            // Another request has meanwhile confirmed or replaced the connection request, or the
            // member was erased.
            Err(SyncError::ConnectWithdrawn) => Err(ConfirmError::Unknown),
            Err(error) => {
                // If PostgreSQL failed, the word is still valid. After any other error, the
                // connection request is discarded.
                if !matches!(error, SyncError::Storage(_)) {
                    self.discard_unconfirmed(word).await?;
                }
                Err(match error {
                    SyncError::ReauthRequired
                    | SyncError::Whoop(WhoopError::Unauthorized | WhoopError::Forbidden) => {
                        ConfirmError::PermissionEnded
                    }
                    error => ConfirmError::Failed(error),
                })
            }
        }
    }

    async fn exchange_and_keep(
        &self,
        state: &str,
        pending: &PendingConnect,
        code: &SecretString,
    ) -> Result<String, SyncError> {
        let user_id = member_of(pending)?;
        let tokens = self.connections.exchange_code(code).await?;
        let held = self.connections.hold_pair(&tokens).await?;
        let result = self
            .move_to_unconfirmed(state, held, &user_id, pending, &tokens)
            .await;
        if result.is_err() {
            self.connections.revoke_held_pair(held).await;
        }
        result
    }

    async fn move_to_unconfirmed(
        &self,
        state: &str,
        held: Uuid,
        user_id: &UserId,
        pending: &PendingConnect,
        tokens: &OAuthTokens,
    ) -> Result<String, SyncError> {
        let word = random_text()?;
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        if !(ConnectClaim::Callback { state, held }
            .redeem(&mut transaction)
            .await?)
        {
            transaction.rollback().await?;
            return Err(SyncError::ConnectWithdrawn);
        }
        // A member can have only one unconfirmed connection request, so a later one replaces an
        // earlier one. Both may be for the same WHOOP account, and a revocation ends all
        // permissions of an account. Therefore the earlier permission is revoked only after the
        // later connection request was confirmed or has expired.
        if let Some(earlier) = unconfirmed_connect::take_of(&mut transaction, user_id).await? {
            let due_at = now + unconfirmed_connect::LIFETIME + TimeDelta::minutes(1);
            self.revocations
                .schedule_revocation(&mut transaction, earlier, due_at)
                .await?;
        }
        let unconfirmed = NewUnconfirmedConnect {
            user_id,
            word: &word,
            tokens,
            consent: pending.consent.as_deref(),
            created_at: now,
        };
        unconfirmed_connect::insert(&mut transaction, &self.keys, &unconfirmed).await?;
        transaction.commit().await?;
        tracing::info!(member = %user_id, "connect waits for confirmation by the app");
        Ok(word)
    }

    /// Deletes an unconfirmed connection request, and schedules the revocation of its permission at
    /// WHOOP.
    async fn discard_unconfirmed(&self, word: &str) -> Result<(), StorageError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        if let Some(row) = unconfirmed_connect::take(&mut transaction, word).await? {
            self.revocations
                .schedule_revocation(&mut transaction, row, now)
                .await?;
        }
        transaction.commit().await
    }
}

impl Revocations {
    /// Deletes the expired unconfirmed connection requests, and schedules the revocation of their
    /// permissions at WHOOP.
    pub(crate) async fn revoke_expired_unconfirmed(&self) -> Result<(), StorageError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        for row in unconfirmed_connect::take_expired(&mut transaction, now).await? {
            self.schedule_revocation(&mut transaction, row, now).await?;
        }
        transaction.commit().await
    }

    /// Deletes the unconfirmed connection request of a member who disconnects.
    ///
    /// Returns the id of the scheduled revocation, or the outcome if the permission cannot be
    /// revoked; `None` if the member had no unconfirmed connection request.
    pub(crate) async fn take_unconfirmed(
        &self,
        transaction: &mut Transaction,
        user_id: &UserId,
    ) -> Result<Option<Result<Uuid, RevocationOutcome>>, StorageError> {
        let now = self.clock.now();
        match unconfirmed_connect::take_of(transaction, user_id).await? {
            Some(row) => {
                let revocation = self.schedule_revocation(transaction, row, now).await?;
                Ok(Some(revocation.ok_or(RevocationOutcome::NotPossible)))
            }
            None => Ok(None),
        }
    }

    /// Schedules the revocation of the permission that belongs to a connection request. Returns the
    /// id of the revocation; `None` if the sealed token pair cannot be opened.
    async fn schedule_revocation(
        &self,
        transaction: &mut Transaction,
        row: UnconfirmedConnectRow,
        due_at: DateTime<Utc>,
    ) -> Result<Option<Uuid>, StorageError> {
        match row.open(&self.keys) {
            Ok(pair) => {
                let (id, now) = (Uuid::new_v4(), self.clock.now());
                revocation::insert(
                    transaction,
                    &self.keys,
                    &NewRevocation {
                        due_at,
                        ..NewRevocation::due_now(id, &pair, now)
                    },
                )
                .await?;
                Ok(Some(id))
            }
            Err(StorageError::Seal(error)) => {
                tracing::error!(
                    %error,
                    "could not open the tokens of an unconfirmed connect; its permission cannot be \
                     revoked"
                );
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}
