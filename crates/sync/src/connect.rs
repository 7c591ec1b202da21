//! Connecting a member: from a random state to stored tokens.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use url::Url;
use whoop_client::{BodyMeasurement, SCOPES, WhoopError};
use whoop_core::{DataType, UserId, day::Connection, plan::Reason, quota::PriorityClass};
use whoop_storage::{
    StorageError,
    table::{
        audit::{self, Actor},
        oauth_states::{self, Consumed, Pending},
        refresh, sync_log,
        tokens::{self, Tokens},
        users::{self, Connected},
        webhook_event, webhook_signal,
    },
};

use crate::{Engine, Job, SyncError, engine::random_text, held_pair::Claim, member::Errand};

/// Pauses between attempts to store a connection.
const STORE_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// A pair that is to be stored for a member.
pub(crate) struct NewConnection<'a> {
    pub(crate) user_id: &'a UserId,
    pub(crate) tokens: Tokens,
    pub(crate) consent: Option<String>,
}

/// A member who has just connected, and where the app wants them back.
#[derive(Debug)]
pub struct Welcome {
    pub user_id: UserId,
    pub return_to: Option<String>,
    /// Goes on by itself; whoever wants to see its end may wait for it.
    pub first_sync: JoinHandle<()>,
}

/// Why a callback from WHOOP led to no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error("this state was never given out, or is long over")]
    StateUnknown,
    #[error("this state was used before; each works once")]
    StateUsed { return_to: Option<String> },
    #[error("this state has expired; a connect has to be finished within ten minutes")]
    StateExpired { return_to: Option<String> },
    /// The state was good, so the app can be told.
    #[error("WHOOP did not complete the connect")]
    Failed {
        return_to: Option<String>,
        #[source]
        source: SyncError,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Engine {
    /// Begins a connect: the address of WHOOP's consent page.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn begin_connect(
        &self,
        user_id: &UserId,
        return_to: Option<String>,
        consent: Option<String>,
    ) -> Result<Url, SyncError> {
        let state = random_text()?;
        let pending = Pending {
            user_id: user_id.to_string(),
            return_to,
            consent,
            created_at: self.clock.now(),
        };
        let mut transaction = self.database.begin().await?;
        oauth_states::lock_member(&mut transaction, user_id.as_str()).await?;
        oauth_states::insert(&mut transaction, &state, &pending).await?;
        transaction.commit().await?;
        Ok(self.whoop.authorization_url(&state))
    }

    /// Ends a connect that WHOOP or the member refused: where to send them.
    ///
    /// # Errors
    ///
    /// The state is not one of a connect under way.
    pub async fn refuse_connect(&self, state: &str) -> Result<Option<String>, ConnectError> {
        Ok(self.spend_state(state).await?.return_to)
    }

    /// Completes a connect, and starts the first sync without waiting for it.
    ///
    /// # Errors
    ///
    /// The state or the code is not good, or WHOOP is out of order. Nothing is
    /// stored then, and a pair that WHOOP issued is revoked.
    pub async fn complete_connect(&self, state: &str, code: &str) -> Result<Welcome, ConnectError> {
        let pending = self.spend_state(state).await?;
        let return_to = pending.return_to.clone();
        let engine = self.clone();
        let (state, code) = (state.to_owned(), SecretString::from(code));
        // A task of its own: the code works once, so a browser that hangs up
        // must not come between WHOOP's answer and our commit.
        let connected =
            tokio::spawn(async move { engine.store_connection(&state, pending, &code).await })
                .await
                .map_err(SyncError::from)
                .and_then(|connected| connected);
        match connected {
            Ok(user_id) => Ok(Welcome {
                first_sync: self.begin_first_sync(&user_id),
                user_id,
                return_to,
            }),
            Err(SyncError::ConnectWithdrawn) => Err(ConnectError::StateUnknown),
            Err(source) => Err(ConnectError::Failed { return_to, source }),
        }
    }

    pub(crate) fn begin_first_sync(&self, user_id: &UserId) -> JoinHandle<()> {
        tokio::spawn(first_sync(self.clone(), user_id.clone()))
    }

    pub(crate) async fn spend_state(&self, state: &str) -> Result<Pending, ConnectError> {
        let mut conn = self.database.get().await?;
        match oauth_states::consume(&mut conn, state, self.clock.now()).await? {
            Consumed::Valid(pending) => Ok(pending),
            Consumed::Unknown => Err(ConnectError::StateUnknown),
            Consumed::Used { return_to } => Err(ConnectError::StateUsed { return_to }),
            Consumed::Expired { return_to } => Err(ConnectError::StateExpired { return_to }),
        }
    }

    async fn store_connection(
        &self,
        state: &str,
        pending: Pending,
        code: &SecretString,
    ) -> Result<UserId, SyncError> {
        let user_id = member_of(&pending)?;
        let tokens = self.exchange(code).await?;
        let held = self.hold_pair(&tokens).await?;
        let claim = Claim::Callback { state, held };
        let connection = NewConnection {
            user_id: &user_id,
            tokens,
            consent: pending.consent,
        };
        let stored = self.identify_and_store(connection, claim).await;
        if stored.is_err() {
            self.give_up_hold(held).await;
        }
        stored?;
        Ok(user_id)
    }

    /// The pair for a code, and what was granted.
    pub(crate) async fn exchange(&self, code: &SecretString) -> Result<Tokens, SyncError> {
        let pair = self.whoop.exchange_code(code.expose_secret()).await?;
        // What WHOOP says was granted; the whole list where it is silent.
        let scope = pair
            .scope
            .filter(|scope| !scope.is_empty())
            .unwrap_or_else(|| SCOPES.to_owned());
        Ok(Tokens {
            expires_at: self.clock.now() + pair.expires_in,
            scope,
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
        })
    }

    /// Asks WHOOP for the profile of the token pair, and stores the pair for the member.
    pub(crate) async fn identify_and_store(
        &self,
        connection: NewConnection<'_>,
        claim: Claim<'_>,
    ) -> Result<(), SyncError> {
        let NewConnection {
            user_id,
            tokens,
            consent,
        } = connection;
        // The reply names no member: the profile does, and webhooks need it.
        let whoop = self.whoop_for(&Job::interactive());
        let profile = whoop.profile(&tokens.access_token).await?;
        let body = self
            .body_of(user_id, &tokens.access_token, &tokens.scope)
            .await?;
        let now = self.clock.now();
        let member = Connected {
            user_id: user_id.to_string(),
            whoop_user_id: profile.user_id,
            status: "connected",
            status_detail: None,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            height_meter: body.as_ref().and_then(|body| body.height_meter),
            weight_kilogram: body.as_ref().and_then(|body| body.weight_kilogram),
            max_heart_rate: body.as_ref().and_then(|body| body.max_heart_rate),
            consented_at: consent.as_ref().map(|_| now),
            consent,
            connected_at: now,
            disconnected_at: None,
            updated_at: now,
        };
        self.store_patiently(user_id, &member, &tokens, claim)
            .await?;
        tracing::info!(member = %user_id, "connected to WHOOP");
        Ok(())
    }

    /// Stores the connection, again after a failure that passes.
    async fn store_patiently(
        &self,
        user_id: &UserId,
        member: &Connected,
        tokens: &Tokens,
        claim: Claim<'_>,
    ) -> Result<(), SyncError> {
        let mut pauses = STORE_PAUSES.into_iter();
        loop {
            let stored = self.store(user_id, member.clone(), tokens, claim).await;
            match (stored, pauses.next()) {
                (Err(SyncError::Storage(error)), Some(pause)) if error.is_transient() => {
                    tracing::warn!(member = %user_id, %error, "storing the connection is tried again");
                    tokio::time::sleep(pause).await;
                }
                (stored, _) => return stored,
            }
        }
    }

    async fn store(
        &self,
        user_id: &UserId,
        mut member: Connected,
        tokens: &Tokens,
        claim: Claim<'_>,
    ) -> Result<(), SyncError> {
        let now = member.updated_at;
        let mut transaction = self.database.begin().await?;
        if !claim.redeem(&mut transaction).await? {
            // An earlier attempt may have stored it and lost the answer.
            let stored = tokens::find(&mut transaction, &self.keys, user_id).await?;
            transaction.rollback().await?;
            let ours = tokens.access_token.expose_secret();
            return match stored {
                Some(stored) if stored.access_token.expose_secret() == ours => Ok(()),
                _ => Err(SyncError::ConnectWithdrawn),
            };
        }
        tokens::hold(&mut transaction, user_id).await?;
        if member.consent.is_none()
            && let Some(before) = users::find(&mut transaction, user_id).await?
            && before.connection() != Connection::Disconnected
        {
            // Repaired, not begun anew: what was agreed to still stands.
            member.consent = before.consent;
            member.consented_at = before.consented_at;
        }
        if !users::connect(&mut transaction, &member).await? {
            transaction.rollback().await?;
            return Err(SyncError::OtherAccount);
        }
        let not_granted = DataType::not_granted(&tokens.scope);
        tokens::put(&mut transaction, &self.keys, user_id, tokens, now).await?;
        sync_log::note_not_granted(&mut transaction, user_id, &not_granted).await?;
        webhook_signal::drop_of(&mut transaction, user_id).await?;
        webhook_event::end_updates(&mut transaction, member.whoop_user_id, now).await?;
        refresh::end(&mut transaction, user_id).await?;
        let entry = Actor::whoop().entry("connect", now);
        let entry = entry.about(user_id.as_str()).with_detail("completed");
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Not worth a lost connect: it can be absent, or not granted. Where it was
    /// not, WHOOP is not asked, for its answer may read like a dead token's.
    async fn body_of(
        &self,
        user_id: &UserId,
        access_token: &SecretString,
        scope: &str,
    ) -> Result<Option<BodyMeasurement>, WhoopError> {
        if !scope.split(' ').any(|one| one == "read:body_measurement") {
            return Ok(None);
        }
        match self
            .whoop_for(&Job::interactive())
            .body_measurement(access_token)
            .await
        {
            Err(error) if !matches!(error, WhoopError::Unauthorized) => {
                tracing::info!(member = %user_id, error = %error, "no body measurement");
                Ok(None)
            }
            answer => answer,
        }
    }
}

/// The member who began a connect.
pub(crate) fn member_of(pending: &Pending) -> Result<UserId, SyncError> {
    let parsed = pending.user_id.parse();
    Ok(parsed.map_err(|_| StorageError::MemberGone(pending.user_id.clone()))?)
}

/// The last 30 days, so that the app has something to show at once.
async fn first_sync(engine: Engine, user_id: UserId) {
    let errand = Errand {
        reason: Reason::NeverRead,
        slot: None,
        data_types: DataType::ALL.to_vec(),
        since: None::<DateTime<Utc>>,
        history: false,
    };
    // Patient: the quota's minute may be spent at just this moment.
    let job = Job::scheduled(None, tokio_util::sync::CancellationToken::new())
        .of(PriorityClass::Interactive);
    match engine.sync_member(&user_id, &job, &errand).await {
        Ok(report) => {
            tracing::info!(member = %user_id, outcome = ?report.outcome, stored = ?report.stored(), "first sync");
        }
        Err(error) => tracing::warn!(member = %user_id, error = %error, "the first sync failed"),
    }
}
