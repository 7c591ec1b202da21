//! What only reads, on the thread that serves it.
//!
//! A pooled connection lives on the runtime that opened it. The engine's live beside
//! the server, as a sync must outlive its request; a read does not, and half of what
//! it costs would be the way to another thread and back. So each worker of the server
//! has a few connections of its own, to the replica where there is one.

mod replica;

use std::{future::Future, sync::Arc};

use whoop_core::UserId;
use whoop_storage::{Database, PooledConnection, StorageError};

use crate::{problem::Problem, state::AppState};

pub(crate) use self::replica::{ReadReplica, watch_replica};

/// Where one worker reads.
#[derive(Debug)]
pub(crate) struct ReadPool {
    /// `None` where there are too few connections for one each.
    database: Option<Database>,
    /// `None` where the primary is read.
    replica: Option<Arc<ReadReplica>>,
}

impl ReadPool {
    pub(crate) const fn new(database: Option<Database>, replica: Option<Arc<ReadReplica>>) -> Self {
        Self { database, replica }
    }

    /// A connection that sees everything this member may have seen before. `None`
    /// where only the primary does, or nothing else can be reached.
    pub(crate) async fn member_connection(&self, user_id: &UserId) -> Option<PooledConnection> {
        let database = self.database.as_ref()?;
        if self
            .replica
            .as_ref()
            .is_some_and(|replica| !replica.is_current_for(user_id))
        {
            return None;
        }
        match database.get().await {
            Ok(conn) => Some(conn),
            Err(error) => {
                Self::log_fallback(&error);
                None
            }
        }
    }

    /// This worker's own connection to the primary; `None` if it has none, or none that works.
    pub(crate) async fn primary_connection(&self) -> Option<PooledConnection> {
        let database = self.database.as_ref()?;
        if self.replica.is_some() {
            return None;
        }
        database
            .get()
            .await
            .inspect_err(|error| Self::log_fallback(error))
            .ok()
    }

    /// Reads something of a member here, or through the engine where that fails.
    pub(crate) async fn read<T, F>(
        &self,
        state: &AppState,
        user_id: &UserId,
        work: impl Fn(PooledConnection) -> F + Send + Sync + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
    {
        if let Some(conn) = self.member_connection(user_id).await {
            match work(conn).await {
                Ok(found) => return Ok(found),
                Err(error) => Self::log_fallback(&error),
            }
        }
        let found = state
            .run_on_engine(|engine| async move { work(engine.database.get().await?).await })
            .await??;
        Ok(found)
    }

    /// What went wrong here is tried again through the engine, which says what it is.
    pub(crate) fn log_fallback(error: &(dyn std::error::Error + 'static)) {
        tracing::debug!(error, "a read goes another way");
    }

    /// Notes that the primary has something new of a member.
    pub(crate) fn note_write(&self, user_id: &UserId) {
        if let Some(replica) = &self.replica {
            replica.note_write(user_id);
        }
    }
}

/// How many connections each worker and the engine get of those a process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolSizes {
    pub(crate) worker: usize,
    pub(crate) engine: usize,
}

impl PoolSizes {
    /// A refresh of tokens takes two.
    const MIN_ENGINE_CONNECTIONS: usize = 2;

    /// Half for the workers, if that is one for each.
    pub(crate) fn of(connections: usize, workers: usize) -> Self {
        let worker = (connections / 2) / workers.max(1);
        let engine = connections - worker * workers;
        if worker == 0 || engine < Self::MIN_ENGINE_CONNECTIONS {
            return Self {
                worker: 0,
                engine: connections,
            };
        }
        Self { worker, engine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_get_half_of_the_connections_if_that_is_one_each() {
        let shares = |connections, workers| {
            let PoolSizes { worker, engine } = PoolSizes::of(connections, workers);
            (worker, engine)
        };
        assert_eq!(shares(8, 2), (2, 4));
        assert_eq!(shares(8, 4), (1, 4));
        assert_eq!(shares(8, 16), (0, 8));
        assert_eq!(shares(2, 1), (0, 2));
        assert_eq!(shares(4, 1), (2, 2));
        assert_eq!(shares(9, 2), (2, 5));
    }
}
