//! Member leases: a lease allows only one process at a time to sync a member.
//!
//! This module takes a lease or waits for it, and extends it while it is held. It also interrupts
//! background work that holds the lease if an interactive caller waits for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

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
    member_lease::{self, LeaseClaim},
    table::users,
};

use crate::{MemberCalls, SyncContext, SyncError, engine::random_text};

/// Lifetime of a lease that is not extended. For this time, the lease of a killed process blocks
/// its member.
const LEASE_TTL: Duration = Duration::from_secs(60);

/// Interval at which the holder of a lease extends it, and checks whether an interactive caller
/// waits for it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Interval at which a waiting caller tries again to claim the lease.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Interval at which an interactive caller asks the holder of the lease again to release it.
const WANT_INTERVAL: Duration = Duration::from_secs(1);

/// Queues of the callers in this process that wait for a member's lease, by member. Only the first
/// caller in a queue asks PostgreSQL for the lease.
#[derive(Debug, Default)]
pub(crate) struct LeaseQueues(Mutex<HashMap<UserId, Weak<AsyncMutex<()>>>>);

impl LeaseQueues {
    fn queue_of(&self, user_id: &UserId) -> Arc<AsyncMutex<()>> {
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

/// A held member lease: the right to sync one member, until the lease is released.
pub(crate) struct MemberLease {
    database: Database,
    user_id: UserId,
    holder: String,
    /// Cancellation token that is cancelled when an interactive caller waits for the lease.
    wanted: CancellationToken,
    heartbeat: JoinHandle<()>,
    unidentified_pair: Option<Uuid>,
    /// Whether the caller had to wait because another holder had the lease.
    pub(crate) waited: bool,
}

/// A held member lease, and the sync context to use while it is held.
pub(crate) struct LeasedContext {
    pub(crate) context: SyncContext,
    lease: MemberLease,
}

/// Leases members to processes, so that only one process at a time syncs a member.
#[derive(Debug, Clone)]
pub struct MemberLeases {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) calls: Arc<MemberCalls>,
    pub(crate) queues: Arc<LeaseQueues>,
}

impl MemberLeases {
    /// Takes the member lease, after making sure that the member's access token is valid.
    ///
    /// Background work with the returned context is interrupted if an interactive caller waits for
    /// the lease.
    ///
    /// # Errors
    ///
    /// [`SyncError::Busy`] if another holder still has the lease after the context's
    /// `lease_timeout`.
    pub(crate) async fn lease_member(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<LeasedContext, SyncError> {
        context.check_calls_left()?;
        self.calls.ensure_valid_token(user_id, context).await?;
        let lease = self.acquire_lease(user_id, context).await?;
        let context = if context.is_interactive() {
            context.clone()
        } else {
            context.yielding_to(&lease.wanted)
        };
        Ok(LeasedContext { context, lease })
    }

    pub(crate) async fn release_member(&self, leased: LeasedContext) -> Result<(), SyncError> {
        Ok(leased.lease.release().await?)
    }

    /// Waits for the member lease, for at most the context's `lease_timeout`.
    ///
    /// If the member has just connected, the WHOOP account of the member's token pair is confirmed
    /// before the lease is returned.
    pub(crate) async fn acquire_lease(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<MemberLease, SyncError> {
        let lease = self.claim_or_wait(user_id, context).await?;
        if let Some(pair) = lease.unidentified_pair
            && let Err(error) = self.identify_member(user_id, pair, context).await
        {
            lease.release().await?;
            return Err(error);
        }
        Ok(lease)
    }

    async fn claim_or_wait(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<MemberLease, SyncError> {
        if let Some(lease) = self
            .try_claim_lease(user_id, context.is_interactive())
            .await?
        {
            return Ok(lease);
        }
        let mut conn = self.database.get().await?;
        let is_known = users::find(&mut conn, user_id).await?.is_some();
        drop(conn);
        if !is_known {
            return Err(SyncError::NotConnected);
        }
        self.wait_for_lease(user_id, context).await
    }

    /// Waits for the member lease.
    ///
    /// An attempt to claim the lease is never cancelled half-way, because a claimed but unused
    /// lease would block the member until it expires.
    async fn wait_for_lease(
        &self,
        user_id: &UserId,
        context: &SyncContext,
    ) -> Result<MemberLease, SyncError> {
        let deadline = Instant::now() + context.lease_timeout;
        let queue = self.queues.queue_of(user_id);
        let _queue_lock = tokio::select! {
            () = context.stop.cancelled() => return Err(SyncError::Stopped),
            locked = timeout_at(deadline, queue.lock()) => locked.map_err(|_| SyncError::Busy)?,
        };
        let mut wanted_at: Option<Instant> = None;
        while Instant::now() < deadline {
            if context.is_interactive() && wanted_at.is_none_or(|at| at.elapsed() > WANT_INTERVAL) {
                member_lease::request_release(&mut *self.database.get().await?, user_id).await?;
                wanted_at = Some(Instant::now());
            }
            if let Some(mut lease) = self
                .try_claim_lease(user_id, context.is_interactive())
                .await?
            {
                lease.waited = true;
                return Ok(lease);
            }
            tokio::select! {
                () = context.stop.cancelled() => return Err(SyncError::Stopped),
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        Err(SyncError::Busy)
    }

    /// Tries to claim the member lease. Returns `None` if another process holds it, or if an
    /// interactive caller waits for it and has precedence.
    async fn try_claim_lease(
        &self,
        user_id: &UserId,
        is_interactive: bool,
    ) -> Result<Option<MemberLease>, SyncError> {
        let holder = random_text()?;
        let mut conn = self.database.get().await?;
        let claim =
            member_lease::claim(&mut conn, user_id, &holder, is_interactive, LEASE_TTL).await?;
        drop(conn);
        let LeaseClaim::Held { unidentified_pair } = claim else {
            return Ok(None);
        };
        let wanted = CancellationToken::new();
        let heartbeat = extend_until_aborted(
            self.database.clone(),
            user_id.clone(),
            holder.clone(),
            wanted.clone(),
        );
        Ok(Some(MemberLease {
            database: self.database.clone(),
            user_id: user_id.clone(),
            holder,
            wanted,
            heartbeat: tokio::spawn(heartbeat),
            unidentified_pair,
            waited: false,
        }))
    }
}

async fn extend_until_aborted(
    database: Database,
    user_id: UserId,
    holder: String,
    wanted: CancellationToken,
) {
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        let extended = async {
            let mut conn = database.get().await?;
            member_lease::extend(&mut conn, &user_id, &holder, LEASE_TTL).await
        };
        match extended.await {
            Ok(true) => wanted.cancel(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(member = %user_id, %error, "could not extend the member lease");
            }
        }
    }
}

impl MemberLease {
    pub(crate) async fn release(self) -> Result<(), StorageError> {
        self.heartbeat.abort();
        let mut conn = self.database.get().await?;
        member_lease::release(&mut conn, &self.user_id, &self.holder).await
    }
}

impl Drop for MemberLease {
    /// Stops extending the lease. A lease that is dropped without being released expires after
    /// [`LEASE_TTL`].
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
