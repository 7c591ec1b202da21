//! The member lease in one process: waiting for it, keeping it, giving it up for an interactive caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Mutex as AsyncMutex,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whoop_core::UserId;
use whoop_storage::{
    StorageError,
    lease::{self, Claim},
    table::users,
};

use crate::{Engine, Job, SyncError, engine::random_text};

/// How long a holder that was killed blocks its member.
const LASTS: Duration = Duration::from_secs(60);

/// Interval at which a holder extends the lease and looks whether an interactive caller waits.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Interval at which a waiting caller tries again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Interval at which an interactive caller renews its wish for the lease.
const WANT_AGAIN: Duration = Duration::from_secs(1);

/// Callers of this process that wait for a member's lease: one of them asks PostgreSQL.
#[derive(Debug, Default)]
pub(crate) struct LeaseQueues(Mutex<HashMap<UserId, Weak<AsyncMutex<()>>>>);

impl LeaseQueues {
    fn of(&self, user_id: &UserId) -> Arc<AsyncMutex<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(user_id).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        queues.insert(user_id.clone(), Arc::downgrade(&queue));
        queue
    }
}

/// The right to sync one member, until released.
pub(crate) struct Lease {
    engine: Engine,
    user_id: UserId,
    holder: String,
    /// Cancelled when an interactive caller waits for the lease.
    wanted: CancellationToken,
    heartbeat: JoinHandle<()>,
    unidentified_pair: Option<Uuid>,
    /// Whether another holder had to end first.
    pub(crate) waited: bool,
}

/// A member lease, and the job to use while it is held.
pub(crate) struct Turn {
    pub(crate) job: Job,
    lease: Lease,
}

impl Engine {
    /// Takes the member lease, after making sure of a living token.
    ///
    /// # Errors
    ///
    /// [`SyncError::Busy`] after the job's `lease_patience`.
    pub(crate) async fn take_turn(&self, user_id: &UserId, job: &Job) -> Result<Turn, SyncError> {
        job.check_calls_left()?;
        self.ensure_living_token(user_id, job).await?;
        let lease = self.take_lease(user_id, job).await?;
        let job = if job.is_interactive() {
            job.clone()
        } else {
            job.yielding_to(&lease.wanted)
        };
        Ok(Turn { job, lease })
    }

    pub(crate) async fn end_turn(&self, turn: Turn) -> Result<(), SyncError> {
        Ok(turn.lease.release().await?)
    }

    /// Waits for the lease, for the job's `lease_patience`. The account of a member who has just connected
    /// is confirmed before anything else.
    pub(crate) async fn take_lease(&self, user_id: &UserId, job: &Job) -> Result<Lease, SyncError> {
        let lease = self.claim_or_wait(user_id, job).await?;
        if let Some(pair) = lease.unidentified_pair
            && let Err(error) = self.identify(user_id, pair, job).await
        {
            lease.release().await?;
            return Err(error);
        }
        Ok(lease)
    }

    async fn claim_or_wait(&self, user_id: &UserId, job: &Job) -> Result<Lease, SyncError> {
        if let Some(lease) = self.claim(user_id, job.is_interactive()).await? {
            return Ok(lease);
        }
        let mut conn = self.database.get().await?;
        let is_known = users::find(&mut conn, user_id).await?.is_some();
        drop(conn);
        if !is_known {
            return Err(SyncError::NotConnected);
        }
        self.wait_for_lease(user_id, job).await
    }

    /// A claim is never cancelled half-way: its lease would be held by no one until it expires.
    async fn wait_for_lease(&self, user_id: &UserId, job: &Job) -> Result<Lease, SyncError> {
        let deadline = Instant::now() + job.lease_patience;
        let queue = self.lease_queues.of(user_id);
        let _first = tokio::select! {
            () = job.stop.cancelled() => return Err(SyncError::Stopped),
            first = timeout_at(deadline, queue.lock()) => first.map_err(|_| SyncError::Busy)?,
        };
        let mut wanted_at: Option<Instant> = None;
        while Instant::now() < deadline {
            if job.is_interactive() && wanted_at.is_none_or(|at| at.elapsed() > WANT_AGAIN) {
                lease::want(&mut *self.database.get().await?, user_id).await?;
                wanted_at = Some(Instant::now());
            }
            if let Some(mut lease) = self.claim(user_id, job.is_interactive()).await? {
                lease.waited = true;
                return Ok(lease);
            }
            tokio::select! {
                () = job.stop.cancelled() => return Err(SyncError::Stopped),
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
        Err(SyncError::Busy)
    }

    /// `None` if another process holds it.
    async fn claim(
        &self,
        user_id: &UserId,
        is_interactive: bool,
    ) -> Result<Option<Lease>, SyncError> {
        let holder = random_text()?;
        let mut conn = self.database.get().await?;
        let claim = lease::claim(&mut conn, user_id, &holder, is_interactive, LASTS).await?;
        drop(conn);
        let Claim::Held { unidentified_pair } = claim else {
            return Ok(None);
        };
        let wanted = CancellationToken::new();
        let beat = beat(
            self.clone(),
            user_id.clone(),
            holder.clone(),
            wanted.clone(),
        );
        Ok(Some(Lease {
            engine: self.clone(),
            user_id: user_id.clone(),
            holder,
            wanted,
            heartbeat: tokio::spawn(beat),
            unidentified_pair,
            waited: false,
        }))
    }
}

async fn beat(engine: Engine, user_id: UserId, holder: String, wanted: CancellationToken) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let extended = async {
            let mut conn = engine.database.get().await?;
            lease::extend(&mut conn, &user_id, &holder, LASTS).await
        };
        match extended.await {
            Ok(true) => wanted.cancel(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(member = %user_id, %error, "the member lease could not be extended");
            }
        }
    }
}

impl Lease {
    pub(crate) async fn release(self) -> Result<(), StorageError> {
        self.heartbeat.abort();
        let mut conn = self.engine.database.get().await?;
        lease::release(&mut conn, &self.user_id, &self.holder).await
    }
}

impl Drop for Lease {
    /// A lease that is dropped without release ends by itself.
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
