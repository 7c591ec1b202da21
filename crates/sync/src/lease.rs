use std::time::Duration;

use tokio::{task::JoinHandle, time::Instant};
use whoop_core::UserId;
use whoop_storage::{StorageError, lease};

use crate::{Engine, Job, SyncError, engine::random_text};

/// How long a holder that was killed blocks its member.
const LASTS: Duration = Duration::from_secs(60);

/// Extended this often, a lease survives two lost heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How often a waiting caller looks whether the other one is done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The right to sync one member, until released.
pub(crate) struct Lease {
    engine: Engine,
    user_id: UserId,
    holder: String,
    heartbeat: JoinHandle<()>,
}

impl Engine {
    /// `None` if somebody else holds it.
    pub(crate) async fn claim(&self, user_id: &UserId) -> Result<Option<Lease>, SyncError> {
        let holder = random_text()?;
        let mut conn = self.database.get().await?;
        if !lease::claim(&mut conn, user_id, &holder, LASTS).await? {
            return Ok(None);
        }
        drop(conn);
        let heartbeat = tokio::spawn(beat(self.clone(), user_id.clone(), holder.clone()));
        Ok(Some(Lease {
            engine: self.clone(),
            user_id: user_id.clone(),
            holder,
            heartbeat,
        }))
    }

    /// Waits for the lease, as long as the job has patience.
    pub(crate) async fn take_lease(&self, user_id: &UserId, job: &Job) -> Result<Lease, SyncError> {
        loop {
            if let Some(lease) = self.claim(user_id).await? {
                return Ok(lease);
            }
            self.wait_for_others(user_id, job).await?;
        }
    }

    /// Waits until nobody is at this member, as long as the job has patience.
    pub(crate) async fn wait_for_others(
        &self,
        user_id: &UserId,
        job: &Job,
    ) -> Result<(), SyncError> {
        if self.is_unknown(user_id).await? {
            return Err(SyncError::NotConnected);
        }
        tokio::select! {
            () = job.stop.cancelled() => Err(SyncError::Stopped),
            free = self.wait_for_lease(user_id, job.lease_patience) => match free? {
                true => Ok(()),
                false => Err(SyncError::Busy),
            },
        }
    }

    async fn is_unknown(&self, user_id: &UserId) -> Result<bool, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(whoop_storage::table::users::find(&mut conn, user_id)
            .await?
            .is_none())
    }

    /// Waits until nobody syncs this member; `false` if that took too long.
    pub(crate) async fn wait_for_lease(
        &self,
        user_id: &UserId,
        patience: Duration,
    ) -> Result<bool, SyncError> {
        let give_up_at = Instant::now() + patience;
        loop {
            // The connection goes back between two looks: many may wait.
            let held = lease::is_held(&mut *self.database.get().await?, user_id).await?;
            if !held {
                return Ok(true);
            }
            if Instant::now() > give_up_at {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

async fn beat(engine: Engine, user_id: UserId, holder: String) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let extended = async {
            let mut conn = engine.database.get().await?;
            lease::claim(&mut conn, &user_id, &holder, LASTS).await
        };
        if let Err(error) = extended.await {
            tracing::warn!(member = %user_id, error = %error, "the lease could not be extended");
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
    /// Dropped without release, it ends by itself.
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
