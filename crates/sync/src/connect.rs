//! Connects members to WHOOP: from the random OAuth state to the stored token pair.

use std::sync::Arc;
use std::time::Duration;
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

use secrecy::{ExposeSecret, SecretString};
use tokio::{task::JoinHandle, time::timeout};
use url::Url;
use uuid::Uuid;
use whoop_client::{SCOPES, WhoopError};
use whoop_core::{DataType, UserId, day::ConnectionStatus};
use whoop_storage::{
    StorageError,
    table::{
        audit::{self, Actor},
        oauth_states::{self, ConsumeOutcome, PendingConnect},
        refresh,
        revocation::{self, NewRevocation},
        sync_log,
        tokens::{self, OAuthTokens},
        users::{self, ProfileAccount},
        webhook_signal,
    },
};

use crate::{
    FirstSyncs, Quota, Revocations, SyncContext, SyncError, TokenRefresher,
    engine::random_text,
    held_pair::ConnectClaim,
    identify::{PROFILE_TIMEOUT, account_of, is_identified},
};

/// Pauses between the attempts to store a connection after temporary failures of PostgreSQL.
const STORE_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// A token pair that WHOOP issued, and the member for whom it is to be stored.
pub(crate) struct GrantedConnection<'a> {
    pub(crate) user_id: &'a UserId,
    pub(crate) tokens: OAuthTokens,
    pub(crate) consent: Option<String>,
}

/// A member who has just connected, and the app's address to which the member's browser is sent.
#[derive(Debug)]
pub struct CompletedConnect {
    pub user_id: UserId,
    pub return_to: Option<String>,
    /// Task of the first sync. It continues even if no caller waits for its end.
    pub first_sync: JoinHandle<()>,
}

/// Reason for which WHOOP's callback did not connect a member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error("unknown state: it was not issued by this service, or expired long ago")]
    StateUnknown,
    #[error("this state was already used; each state works once")]
    StateUsed { return_to: Option<String> },
    #[error("this state has expired; a connect has to be completed within ten minutes")]
    StateExpired { return_to: Option<String> },
    /// The OAuth state was valid, but connecting the member failed. The failure can be reported to
    /// the app at `return_to`.
    #[error("the connect could not be completed")]
    Failed {
        return_to: Option<String>,
        #[source]
        source: SyncError,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Connects members through WHOOP's consent page, and disconnects them.
#[derive(Debug, Clone)]
pub struct Connections {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) refresher: Arc<TokenRefresher>,
    pub(crate) first_syncs: Arc<FirstSyncs>,
    pub(crate) revocations: Arc<Revocations>,
}

impl Connections {
    /// Begins a connection request. Returns the address of WHOOP's consent page, to which the
    /// member's browser is sent.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn begin_connect(
        &self,
        user_id: &UserId,
        return_to: Option<String>,
        consent: Option<String>,
    ) -> Result<Url, SyncError> {
        let state = random_text()?;
        let pending = PendingConnect {
            user_id: user_id.to_string(),
            return_to,
            consent,
            created_at: self.clock.now(),
        };
        let mut transaction = self.database.begin().await?;
        oauth_states::lock_member(&mut transaction, user_id.as_str()).await?;
        oauth_states::insert(&mut transaction, &state, &pending).await?;
        transaction.commit().await?;
        Ok(self.quota.whoop.authorization_url(&state))
    }

    /// Ends a connection request that WHOOP or the member refused. Returns the app's address to
    /// which the member's browser is sent, if the connection request has one.
    ///
    /// # Errors
    ///
    /// The OAuth state is unknown, was already used or has expired, or PostgreSQL is unavailable.
    pub async fn cancel_connect(&self, state: &str) -> Result<Option<String>, ConnectError> {
        Ok(self.consume_state(state).await?.return_to)
    }

    /// Completes a connection request, and starts the first sync without waiting for its end.
    ///
    /// The connection is stored before any call that counts against the quota, unless the member
    /// already has a working connection. If WHOOP's profile shows within a second that the token
    /// pair belongs to another account, the connection request fails. If the profile arrives later
    /// and shows this, the member has to connect again.
    ///
    /// # Errors
    ///
    /// The OAuth state or the code is invalid, the token endpoint fails, or the member's stored
    /// data belongs to another WHOOP account. If WHOOP has already issued a token pair, the pair is
    /// revoked.
    pub async fn complete_connect(
        &self,
        state: &str,
        code: &str,
    ) -> Result<CompletedConnect, ConnectError> {
        let pending = self.consume_state(state).await?;
        let return_to = pending.return_to.clone();
        let engine = self.clone();
        let (state, code) = (state.to_owned(), SecretString::from(code));
        // The code is exchanged in a separate task, because it can be used only once. If the
        // browser disconnects, the work between WHOOP's answer and the commit must not be
        // interrupted.
        let connected =
            tokio::spawn(async move { engine.exchange_and_connect(&state, pending, &code).await })
                .await
                .map_err(SyncError::from)
                .and_then(|connected| connected);
        match connected {
            Ok((user_id, first_sync)) => Ok(CompletedConnect {
                first_sync,
                user_id,
                return_to,
            }),
            Err(SyncError::ConnectWithdrawn | SyncError::NotConnected) => {
                Err(ConnectError::StateUnknown)
            }
            Err(source) => Err(ConnectError::Failed { return_to, source }),
        }
    }

    pub(crate) async fn consume_state(&self, state: &str) -> Result<PendingConnect, ConnectError> {
        let mut conn = self.database.get().await?;
        match oauth_states::consume(&mut conn, state, self.clock.now()).await? {
            ConsumeOutcome::Valid(pending) => Ok(pending),
            ConsumeOutcome::Unknown => Err(ConnectError::StateUnknown),
            ConsumeOutcome::Used { return_to } => Err(ConnectError::StateUsed { return_to }),
            ConsumeOutcome::Expired { return_to } => Err(ConnectError::StateExpired { return_to }),
        }
    }

    async fn exchange_and_connect(
        &self,
        state: &str,
        pending: PendingConnect,
        code: &SecretString,
    ) -> Result<(UserId, JoinHandle<()>), SyncError> {
        let user_id = member_of(&pending)?;
        let tokens = self.exchange_code(code).await?;
        let held = self.hold_pair(&tokens).await?;
        let claim = ConnectClaim::Callback { state, held };
        let connection = GrantedConnection {
            user_id: &user_id,
            tokens,
            consent: pending.consent,
        };
        match self.connect_member(&connection, claim).await {
            Ok(first_sync) => Ok((user_id, first_sync)),
            Err(error) => {
                self.revoke_held_pair(held).await;
                Err(error)
            }
        }
    }

    /// Exchanges an authorization code for a token pair. The result contains the granted scopes.
    pub(crate) async fn exchange_code(
        &self,
        code: &SecretString,
    ) -> Result<OAuthTokens, SyncError> {
        let pair = self.quota.whoop.exchange_code(code.expose_secret()).await?;
        // The granted scopes are those that WHOOP lists. If WHOOP lists none, all requested scopes
        // count as granted.
        let scope = pair
            .scope
            .filter(|scope| !scope.is_empty())
            .unwrap_or_else(|| SCOPES.to_owned());
        Ok(OAuthTokens {
            expires_at: self.clock.now() + pair.expires_in,
            scope,
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
        })
    }

    /// Stores a token pair for the member, and begins the first sync. Returns the task of the first
    /// sync.
    ///
    /// # Errors
    ///
    /// The token pair belongs to another WHOOP account, its claim no longer exists, or PostgreSQL
    /// is unavailable.
    pub(crate) async fn connect_member(
        &self,
        connection: &GrantedConnection<'_>,
        claim: ConnectClaim<'_>,
    ) -> Result<JoinHandle<()>, SyncError> {
        let GrantedConnection {
            user_id, tokens, ..
        } = connection;
        let pair = Uuid::new_v4();
        // A working connection is not replaced by a token pair that may belong to another account.
        let account = if self.has_active_connection(user_id).await? {
            self.try_fetch_account(&tokens.access_token).await?
        } else {
            None
        };
        self.store_with_retries(connection, pair, account.as_ref(), claim)
            .await?;
        tracing::info!(member = %user_id, "member connected to WHOOP");
        self.first_syncs
            .begin_first_sync(user_id, tokens.access_token.clone())
            .await
    }

    async fn has_active_connection(&self, user_id: &UserId) -> Result<bool, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        Ok(member.is_some_and(|member| {
            member.connection() == ConnectionStatus::Connected && is_identified(&member)
        }))
    }

    /// Requests the WHOOP account of a token pair that is not stored yet.
    ///
    /// Returns `None` if WHOOP does not answer within [`PROFILE_TIMEOUT`], if the quota allows no
    /// call, or if WHOOP fails. It is an error if WHOOP refuses the access token (status 401 or
    /// 403).
    async fn try_fetch_account(
        &self,
        access_token: &SecretString,
    ) -> Result<Option<ProfileAccount>, SyncError> {
        let whoop = self.quota.whoop_for(&SyncContext::interactive());
        match timeout(PROFILE_TIMEOUT, whoop.fetch_profile(access_token)).await {
            Ok(Ok(profile)) => Ok(Some(account_of(profile))),
            Ok(Err(error @ (WhoopError::Unauthorized | WhoopError::Forbidden))) => {
                Err(error.into())
            }
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// Stores the connection. Tries again after a temporary failure of PostgreSQL.
    async fn store_with_retries(
        &self,
        connection: &GrantedConnection<'_>,
        pair: Uuid,
        account: Option<&ProfileAccount>,
        claim: ConnectClaim<'_>,
    ) -> Result<(), SyncError> {
        let user_id = connection.user_id;
        let mut pauses = STORE_PAUSES.into_iter();
        loop {
            let stored = self
                .try_store_connection(connection, pair, account, claim)
                .await;
            match (stored, pauses.next()) {
                (Err(SyncError::Storage(error)), Some(pause)) if error.is_transient() => {
                    tracing::warn!(
                        member = %user_id, %error,
                        "could not store the connection; trying again"
                    );
                    tokio::time::sleep(pause).await;
                }
                (stored, _) => return stored,
            }
        }
    }

    async fn try_store_connection(
        &self,
        connection: &GrantedConnection<'_>,
        pair: Uuid,
        account: Option<&ProfileAccount>,
        claim: ConnectClaim<'_>,
    ) -> Result<(), SyncError> {
        let GrantedConnection {
            user_id,
            tokens,
            consent,
        } = connection;
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        if !claim.redeem(&mut transaction).await? {
            // An earlier attempt may have stored the connection although its confirmation was lost.
            let stored = tokens::find(&mut transaction, &self.keys, user_id).await?;
            transaction.rollback().await?;
            let access_token = tokens.access_token.expose_secret();
            return match stored {
                Some(stored) if stored.access_token.expose_secret() == access_token => Ok(()),
                _ => Err(SyncError::ConnectWithdrawn),
            };
        }
        tokens::lock_row(&mut transaction, user_id).await?;
        let before = users::find(&mut transaction, user_id).await?;
        if before.is_some_and(|before| before.unidentified_pair.is_some())
            && let Some(superseded) = tokens::find(&mut transaction, &self.keys, user_id).await?
        {
            // The account of the superseded token pair was never confirmed, and may be another one.
            // The revocation will not take place if a connected member uses that account.
            let id = Uuid::new_v4();
            revocation::insert(
                &mut transaction,
                &self.keys,
                &NewRevocation::due_now(id, &superseded, now),
            )
            .await?;
        }
        let connection = users::NewMemberConnection {
            pair,
            consent: consent.as_deref(),
            connected_at: now,
        };
        users::connect(&mut transaction, user_id, &connection).await?;
        if let Some(account) = account
            && !users::identify(&mut transaction, user_id, pair, account, now).await?
        {
            transaction.rollback().await?;
            return Err(SyncError::OtherAccount);
        }
        let not_granted = DataType::not_granted(&tokens.scope);
        tokens::upsert(&mut transaction, &self.keys, user_id, tokens, now).await?;
        sync_log::note_not_granted(&mut transaction, user_id, &not_granted).await?;
        webhook_signal::clear_for_member(&mut transaction, user_id).await?;
        refresh::delete(&mut transaction, user_id).await?;
        let entry = Actor::whoop().entry("connect", now);
        let entry = entry.about(user_id.as_str()).with_detail("completed");
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Returns the member who began the connection request.
pub(crate) fn member_of(pending: &PendingConnect) -> Result<UserId, SyncError> {
    let parsed = pending.user_id.parse();
    Ok(parsed.map_err(|_| StorageError::MemberGone(pending.user_id.clone()))?)
}
