//! The first sync after a connect: the account, the newest days, the body measurement, then 30 days.
//!
//! Hundreds of members may connect within minutes. Their first syncs stand in one queue of the process and
//! use the quota as scheduled runs do, so that no other member waits for them.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use whoop_core::{
    DataType, UserId,
    plan::{FIRST_HISTORY, Reason},
    quota::PriorityClass,
};
use whoop_storage::table::{
    tokens,
    users::{self, Body},
};

use crate::{Engine, Job, Outcome, SyncError, identify::PROFILE_PATIENCE, member::Errand};

/// Number of first syncs that one process runs at a time. Each holds a member lease.
pub(crate) const AT_A_TIME: usize = 8;

/// Time after a connect in which a first sync that has not ended is tried again. After that, scheduled runs
/// alone read the member.
const RESUMED_FOR: TimeDelta = TimeDelta::days(7);

/// The scope of the body measurement.
const BODY: &str = "read:body_measurement";

impl Engine {
    /// Begins the first sync of a member who has just connected with this access token, and waits for a
    /// moment whether WHOOP confirms the account.
    ///
    /// # Errors
    ///
    /// The pair is of another account, WHOOP refuses it, or another connect has replaced it. No first sync
    /// goes on then.
    pub(crate) async fn begin_first_sync(
        &self,
        user_id: &UserId,
        access_token: SecretString,
    ) -> Result<JoinHandle<()>, SyncError> {
        let (identified, answer) = oneshot::channel();
        let (engine, user_id) = (self.clone(), user_id.clone());
        let first_sync = tokio::spawn(async move {
            let _place = engine.first_syncs.acquire().await;
            let job = Job::scheduled(None, CancellationToken::new());
            let ready = engine.make_identified(&user_id, &access_token, &job).await;
            let is_ready = ready.is_ok();
            if let Err(error) = &ready {
                tracing::info!(member = %user_id, %error, "the first sync has not begun");
            }
            // The caller may have answered already that the member is connected.
            let _ = identified.send(ready);
            if is_ready {
                engine.first_sync(&user_id, &job).await;
            }
        });
        match timeout(PROFILE_PATIENCE, answer).await {
            Ok(Ok(Err(error))) if is_final(&error) => Err(error),
            _ => Ok(first_sync),
        }
    }

    /// Goes on with first syncs that have not ended: their process was stopped, or the quota was used up.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn resume_first_syncs(&self, job: &Job) -> Result<(), SyncError> {
        let pending = {
            let mut conn = self.database.get().await?;
            let connected_since = self.clock.now() - RESUMED_FOR;
            users::with_first_sync_pending(&mut conn, connected_since).await?
        };
        for user_id in pending {
            let Ok(user_id) = user_id.parse() else {
                continue;
            };
            if job.stop.is_cancelled() {
                break;
            }
            let _place = self.first_syncs.acquire().await;
            self.first_sync(&user_id, job).await;
        }
        Ok(())
    }

    /// Takes the member lease once, for which WHOOP has to confirm the account.
    async fn make_identified(
        &self,
        user_id: &UserId,
        access_token: &SecretString,
        job: &Job,
    ) -> Result<(), SyncError> {
        let turn = self.take_turn(user_id, job).await?;
        self.end_turn(turn).await?;
        let mut conn = self.database.get().await?;
        let stored = tokens::find(&mut conn, &self.keys, user_id).await?;
        let is_stored = stored.is_some_and(|stored| {
            stored.access_token.expose_secret() == access_token.expose_secret()
        });
        is_stored.then_some(()).ok_or(SyncError::ConnectWithdrawn)
    }

    async fn first_sync(&self, user_id: &UserId, job: &Job) {
        match self.read_first_days(user_id, job).await {
            Ok(true) => tracing::info!(member = %user_id, "the first sync has ended"),
            Ok(false) => tracing::info!(member = %user_id, "the first sync goes on later"),
            Err(error) => {
                tracing::info!(member = %user_id, error = error.in_full(), "the first sync goes on later");
            }
        }
    }

    /// The newest days, the body measurement, then 30 days; each only if it was not read before. Returns
    /// `false` if the newest days could not be read.
    async fn read_first_days(&self, user_id: &UserId, job: &Job) -> Result<bool, SyncError> {
        let member = {
            let mut conn = self.database.get().await?;
            users::find(&mut conn, user_id).await?
        };
        let Some(member) = member.filter(|member| member.first_sync_pending) else {
            return Ok(true);
        };
        let data_types = self.unread_since(user_id, member.connected_at).await?;
        if !data_types.is_empty() {
            let errand = Errand {
                slot: None,
                reason: Reason::NeverRead,
                data_types,
                since: None,
                history: false,
            };
            let report = self.sync_member(user_id, job, &errand).await?;
            if !matches!(report.outcome, Outcome::Done | Outcome::Shared) {
                return Ok(false);
            }
        }
        let backfill = job.of(PriorityClass::Backfill);
        let body = self.body_of(user_id, &backfill).await?;
        let from = self.clock.now() - FIRST_HISTORY;
        self.history(user_id, &backfill, &DataType::ALL, Some(from))
            .await;
        let mut conn = self.database.get().await?;
        users::end_first_sync(&mut conn, user_id, body.as_ref()).await?;
        Ok(true)
    }

    /// Data types that were not read since the member connected.
    async fn unread_since(
        &self,
        user_id: &UserId,
        connected_at: DateTime<Utc>,
    ) -> Result<Vec<DataType>, SyncError> {
        let coverage = self.coverage(user_id).await?;
        let unread = coverage
            .iter()
            .filter(|one| one.last_sync_at.is_none_or(|at| at < connected_at));
        Ok(unread.map(|one| one.data_type).collect())
    }

    /// `None` if WHOOP does not give it for this member.
    async fn body_of(&self, user_id: &UserId, job: &Job) -> Result<Option<Body>, SyncError> {
        let measured = self.call(user_id, job, BODY, |whoop, token| async move {
            whoop.body_measurement(&token).await
        });
        match measured.await {
            Ok(body) => Ok(body.map(|body| Body {
                height_meter: body.height_meter,
                weight_kilogram: body.weight_kilogram,
                max_heart_rate: body.max_heart_rate,
            })),
            Err(error) if error.is_put_off() || error.is_transient() => Err(error),
            Err(error) => {
                tracing::info!(member = %user_id, %error, "no body measurement");
                Ok(None)
            }
        }
    }
}

/// Whether the member is not connected by this pair, and will not be.
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
