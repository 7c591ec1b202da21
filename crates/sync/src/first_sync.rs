//! The first sync after a member has connected: confirms the WHOOP account, then reads the newest
//! days, the body measurement and 30 days of history.
//!
//! Hundreds of members may connect within minutes. Their first syncs wait in one queue per process
//! and have the priority of scheduled runs, so that no other member has to wait for them.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use whoop_core::Clock;
use whoop_core::{
    DataType, UserId,
    plan::{BACKFILL_AFTER_CONNECT, ReadReason},
    quota::PriorityClass,
};
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;
use whoop_storage::table::{
    tokens,
    users::{self, BodyColumns},
};

use crate::{
    Backfill, DataTypeSync, MemberCalls, MemberLeases, MemberOutcome, MemberSync, SyncContext,
    SyncError, identify::PROFILE_TIMEOUT, member_sync::SyncRequest,
};

/// Maximum number of first syncs that one process runs at the same time. Each of them holds a
/// member lease.
pub(crate) const MAX_CONCURRENT_FIRST_SYNCS: usize = 8;

/// Time after connecting within which an unfinished first sync is resumed: 7 days. After that, only
/// scheduled runs read the member.
const RESUME_WINDOW: TimeDelta = TimeDelta::days(7);

/// OAuth scope that is needed to read the body measurement.
const BODY_SCOPE: &str = "read:body_measurement";

/// Runs the first syncs of members who have just connected.
#[derive(Debug, Clone)]
pub struct FirstSyncs {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) calls: Arc<MemberCalls>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) types: Arc<DataTypeSync>,
    pub(crate) backfill: Arc<Backfill>,
    pub(crate) members: Arc<MemberSync>,
    pub(crate) first_sync_slots: Arc<Semaphore>,
}

impl FirstSyncs {
    /// Starts the first sync of a member who has just connected with this access token. Returns the
    /// task of the first sync.
    ///
    /// Before it returns, it waits until WHOOP has confirmed the account, for at most
    /// [`PROFILE_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// The token pair belongs to another account, WHOOP refuses it, or the member has connected
    /// again or disconnected meanwhile. The first sync then ends without reading anything.
    pub(crate) async fn begin_first_sync(
        &self,
        user_id: &UserId,
        access_token: SecretString,
    ) -> Result<JoinHandle<()>, SyncError> {
        let (identified, answer) = oneshot::channel();
        let (engine, user_id) = (self.clone(), user_id.clone());
        let first_sync = tokio::spawn(async move {
            let _slot = engine.first_sync_slots.acquire().await;
            let context = SyncContext::scheduled(None, CancellationToken::new());
            let confirmed = engine
                .confirm_account(&user_id, &access_token, &context)
                .await;
            let is_confirmed = confirmed.is_ok();
            if let Err(error) = &confirmed {
                tracing::info!(member = %user_id, %error, "first sync could not begin");
            }
            // The caller may have stopped waiting and reported that the member is connected. It
            // then does not receive this result.
            let _ = identified.send(confirmed);
            if is_confirmed {
                engine.run_first_sync(&user_id, &context).await;
            }
        });
        match timeout(PROFILE_TIMEOUT, answer).await {
            Ok(Ok(Err(error))) if is_final(&error) => Err(error),
            _ => Ok(first_sync),
        }
    }

    /// Resumes the first syncs that have not ended, because their process was stopped or the quota
    /// was used up. Ignores members who connected more than 7 days ago.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn resume_first_syncs(&self, context: &SyncContext) -> Result<(), SyncError> {
        let pending = {
            let mut conn = self.database.get().await?;
            let connected_since = self.clock.now() - RESUME_WINDOW;
            users::with_first_sync_pending(&mut conn, connected_since).await?
        };
        for user_id in pending {
            let Ok(user_id) = user_id.parse() else {
                continue;
            };
            if context.stop.is_cancelled() {
                break;
            }
            let _slot = self.first_sync_slots.acquire().await;
            self.run_first_sync(&user_id, context).await;
        }
        Ok(())
    }

    /// Confirms the WHOOP account by taking and releasing the member lease, which is granted only
    /// after WHOOP has confirmed the account. Fails if this access token is no longer stored.
    async fn confirm_account(
        &self,
        user_id: &UserId,
        access_token: &SecretString,
        context: &SyncContext,
    ) -> Result<(), SyncError> {
        let leased = self.leases.lease_member(user_id, context).await?;
        self.leases.release_member(leased).await?;
        let mut conn = self.database.get().await?;
        let stored = tokens::find(&mut conn, &self.keys, user_id).await?;
        let is_stored = stored.is_some_and(|stored| {
            stored.access_token.expose_secret() == access_token.expose_secret()
        });
        is_stored.then_some(()).ok_or(SyncError::ConnectWithdrawn)
    }

    async fn run_first_sync(&self, user_id: &UserId, context: &SyncContext) {
        match self.read_first_days(user_id, context).await {
            Ok(true) => tracing::info!(member = %user_id, "first sync finished"),
            Ok(false) => {
                tracing::info!(member = %user_id, "first sync is incomplete and will be resumed");
            }
            Err(error) => {
                tracing::info!(
                    member = %user_id, error = error.error_chain(),
                    "first sync is incomplete and will be resumed"
                );
            }
        }
    }

    /// Reads the newest days, then the body measurement, then 30 days of history. Returns `false`
    /// if the newest days could not be read.
    ///
    /// Data types that were already read after the member connected are not read again.
    async fn read_first_days(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<bool, SyncError> {
        let member = {
            let mut conn = self.database.get().await?;
            users::find(&mut conn, user_id).await?
        };
        let Some(member) = member.filter(|member| member.first_sync_pending) else {
            return Ok(true);
        };
        let data_types = self
            .unread_types_since(user_id, member.connected_at)
            .await?;
        if !data_types.is_empty() {
            let request = SyncRequest {
                slot: None,
                reason: ReadReason::NeverRead,
                data_types,
                since: None,
                backfill: false,
            };
            let report = self.members.sync_member(user_id, context, &request).await?;
            if !matches!(report.outcome, MemberOutcome::Done | MemberOutcome::Shared) {
                return Ok(false);
            }
        }
        let backfill = context.with_class(PriorityClass::Backfill);
        let body = self.fetch_body(user_id, &backfill).await?;
        let from = self.clock.now() - BACKFILL_AFTER_CONNECT;
        self.backfill
            .backfill_types(user_id, &backfill, &DataType::ALL, Some(from))
            .await;
        let mut conn = self.database.get().await?;
        users::end_first_sync(&mut conn, user_id, body.as_ref()).await?;
        Ok(true)
    }

    /// Returns the data types that were not read since the member connected.
    async fn unread_types_since(
        &self,
        user_id: &UserId,
        connected_at: DateTime<Utc>,
    ) -> Result<Vec<DataType>, SyncError> {
        let coverage = self.types.load_coverage(user_id).await?;
        let unread = coverage
            .iter()
            .filter(|one| one.last_sync_at.is_none_or(|at| at < connected_at));
        Ok(unread.map(|one| one.data_type).collect())
    }

    /// Reads the body measurement from WHOOP; `None` if WHOOP does not provide it for this member.
    async fn fetch_body(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<Option<BodyColumns>, SyncError> {
        let measurement =
            self.calls
                .call_whoop(user_id, context, BODY_SCOPE, |whoop, token| async move {
                    whoop.fetch_body_measurement(&token).await
                });
        match measurement.await {
            Ok(body) => Ok(body.map(|body| BodyColumns {
                height_meter: body.height_meter,
                weight_kilogram: body.weight_kilogram,
                max_heart_rate: body.max_heart_rate,
            })),
            Err(error) if error.is_deferred() || error.is_transient() => Err(error),
            Err(error) => {
                tracing::info!(member = %user_id, %error, "could not read the body measurement");
                Ok(None)
            }
        }
    }
}

/// Whether an error at the start of a first sync is final: the member is not connected with this
/// token pair, and another attempt would not change that.
const fn is_final(error: &SyncError) -> bool {
    error.is_profile_refused()
        || matches!(
            error,
            SyncError::OtherAccount
                | SyncError::ReauthRequired
                | SyncError::NotConnected
                | SyncError::ConnectWithdrawn
        )
}
