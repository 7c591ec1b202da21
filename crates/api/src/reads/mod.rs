//! Database reads on the thread that serves the request.
//!
//! A pooled connection belongs to the runtime that opened it. The engine's connections belong to
//! the background runtime, because a sync must continue after its request has ended. A read does
//! not need to continue, and the switch to another thread and back would be half of its cost.
//! Therefore each server worker has a few database connections of its own. They lead to the read
//! replica, if there is one.

mod replica;

use std::{future::Future, sync::Arc};

use whoop_core::UserId;
use whoop_storage::{Database, PooledConnection, StorageError};

use crate::{problem::Problem, state::AppState};

pub(crate) use self::replica::{ReadReplica, watch_replica};

/// Database connections that one server worker uses for reads.
#[derive(Debug)]
pub(crate) struct ReadPool {
    /// Pool of the worker's connections; `None` if the process has too few database connections to
    /// give each worker one.
    database: Option<Database>,
    /// State of the read replica that the connections lead to; `None` if they lead to the primary.
    replica: Option<Arc<ReadReplica>>,
}

impl ReadPool {
    pub(crate) const fn new(database: Option<Database>, replica: Option<Arc<ReadReplica>>) -> Self {
        Self { database, replica }
    }

    /// Returns a connection of this worker to a database with all changes that the member may have
    /// seen before.
    ///
    /// Returns `None` if only the primary has all these changes and the worker reads from the
    /// replica, or if no connection is available.
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

    /// Returns a connection of this worker to the primary. Returns `None` if the worker reads from
    /// the replica, or if no connection is available.
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

    /// Reads data of a member through a connection of this worker. If there is none or the read
    /// fails, reads through the engine.
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

    /// Logs that a read through a connection of this worker failed. The read is then repeated
    /// through the engine, which reports the error if it fails again.
    pub(crate) fn log_fallback(error: &(dyn std::error::Error + 'static)) {
        tracing::debug!(error, "read failed and is repeated through the engine");
    }

    /// Records that the primary has new data of a member, so that the next reads of this member do
    /// not use the replica.
    pub(crate) fn note_write(&self, user_id: &UserId) {
        if let Some(replica) = &self.replica {
            replica.note_write(user_id);
        }
    }
}

/// Division of the process's database connections (`DATABASE_POOL_SIZE`): the number for each
/// worker, and the number for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolSizes {
    pub(crate) worker: usize,
    pub(crate) engine: usize,
}

impl PoolSizes {
    /// Minimum number of connections for the engine: a token refresh needs two connections at the
    /// same time.
    const MIN_ENGINE_CONNECTIONS: usize = 2;

    /// Divides the connections: half for the workers, if each worker then gets at least one and the
    /// engine at least two. Otherwise, all for the engine.
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
        let sizes = |connections, workers| {
            let PoolSizes { worker, engine } = PoolSizes::of(connections, workers);
            (worker, engine)
        };
        assert_eq!(sizes(8, 2), (2, 4));
        assert_eq!(sizes(8, 4), (1, 4));
        assert_eq!(sizes(8, 16), (0, 8));
        assert_eq!(sizes(2, 1), (0, 2));
        assert_eq!(sizes(4, 1), (2, 2));
        assert_eq!(sizes(9, 2), (2, 5));
    }
}
