//! A read replica, and what it may not be asked.
//!
//! It is behind. A member who saw something must not see what was before it, so of
//! whoever changed lately the primary is read, and a replica that is far behind is not
//! read at all.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use whoop_core::UserId;
use whoop_storage::{Database, StorageError, replication_lag, table::change::notify_payload};
use whoop_sync::Engine;

/// For so long after a change the primary is read of its member.
const PRIMARY_READ_WINDOW: Duration = Duration::from_secs(60);

/// A replica that has not seen what the primary had so long ago is not read. With
/// the time between two looks this is less than [`SETTLES_WITHIN`].
const MAX_REPLICATION_LAG: Duration = Duration::from_secs(30);

/// How often it is looked how far behind it is.
const LAG_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a look may take.
const LAG_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Changed members that are remembered; with more, nobody is read from the replica
/// for a while.
const MAX_CHANGED_MEMBERS: usize = 200_000;

/// What is known of the replica, by all workers of a process.
pub(crate) struct ReadReplica {
    /// Whether it is near enough, and every change is heard of.
    is_usable: AtomicBool,
    /// By what stands for them in notifications: until when the primary is read.
    changed: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for ReadReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("is_good", &self.is_usable)
            .finish_non_exhaustive()
    }
}

impl ReadReplica {
    /// Not read before it was looked at.
    pub(crate) fn new() -> Self {
        Self {
            is_usable: AtomicBool::new(false),
            changed: Mutex::default(),
        }
    }

    pub(super) fn is_current_for(&self, user_id: &UserId) -> bool {
        if !self.is_usable.load(Ordering::Relaxed) {
            return false;
        }
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let until = changed.get(&notify_payload(user_id.as_str()));
        until.is_none_or(|until| *until <= Instant::now())
    }

    pub(super) fn note_write(&self, user_id: &UserId) {
        self.note_change(notify_payload(user_id.as_str()));
    }

    fn note_change(&self, signal: String) {
        let now = Instant::now();
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.len() >= MAX_CHANGED_MEMBERS {
            changed.retain(|_, until| *until > now);
        }
        if changed.len() >= MAX_CHANGED_MEMBERS {
            self.is_usable.store(false, Ordering::Relaxed);
        }
        changed.insert(signal, now + PRIMARY_READ_WINDOW);
    }

    fn set_usable(&self, is_good: bool) {
        let was_good = self.is_usable.swap(is_good, Ordering::Relaxed);
        if was_good != is_good {
            let state = if is_good { "read" } else { "not read" };
            tracing::info!("the replica is {state} from now on");
        }
    }
}

/// Keeps what is known up to date. Behind a pooler in transaction mode nothing can be
/// heard of what other processes write: then only our own writes are known.
pub(crate) async fn watch_replica(
    engine: Engine,
    reads: Database,
    replica: std::sync::Arc<ReadReplica>,
    may_listen: bool,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = run_listener(&engine, &replica, may_listen) => {}
        () = run_lag_checks(&engine, &reads, &replica) => {}
    }
}

/// Ends never; while nothing can be heard the replica is not good.
async fn run_listener(engine: &Engine, replica: &ReadReplica, may_listen: bool) {
    if !may_listen {
        std::future::pending::<()>().await;
    }
    loop {
        if let Err(error) = listen_for_changes(engine, replica).await {
            tracing::warn!(%error, "cannot hear what changes; the replica is not read");
        }
        replica.set_usable(false);
        sleep(LAG_CHECK_INTERVAL).await;
    }
}

async fn listen_for_changes(engine: &Engine, replica: &ReadReplica) -> Result<(), StorageError> {
    let mut listener = engine.database.listen().await?;
    loop {
        replica.note_change(listener.next().await?);
    }
}

async fn run_lag_checks(engine: &Engine, reads: &Database, replica: &ReadReplica) {
    let mut marks: Vec<(Instant, i64)> = Vec::new();
    loop {
        let looked = timeout(LAG_CHECK_TIMEOUT, read_log_positions(engine, reads)).await;
        match looked {
            Ok(Ok((primary, replayed))) => {
                let now = Instant::now();
                marks.push((now, primary));
                // What it has is not in question any more.
                marks.retain(|(_, position)| *position > replayed);
                let oldest = marks.first().map(|(at, _)| now - *at);
                replica.set_usable(oldest.is_none_or(|behind| behind < MAX_REPLICATION_LAG));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the replica cannot be looked at");
                replica.set_usable(false);
            }
            Err(_) => replica.set_usable(false),
        }
        sleep(LAG_CHECK_INTERVAL).await;
    }
}

/// Where the primary is and what the replica has, in bytes of the log.
async fn read_log_positions(engine: &Engine, reads: &Database) -> Result<(i64, i64), StorageError> {
    let primary = replication_lag::written(&mut *engine.database.get().await?).await?;
    let replayed = replication_lag::replayed(&mut *reads.get().await?).await?;
    Ok((primary, replayed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> UserId {
        UserId::try_from(name.to_owned()).unwrap()
    }

    #[test]
    fn nobody_is_read_from_a_replica_that_was_not_looked_at_or_is_far_behind() {
        let replica = ReadReplica::new();
        assert!(!replica.is_current_for(&member("alice")));
        replica.set_usable(true);
        assert!(replica.is_current_for(&member("alice")));
        replica.set_usable(false);
        assert!(!replica.is_current_for(&member("alice")));
    }

    #[test]
    fn whoever_changed_lately_is_read_from_the_primary_and_nobody_else() {
        let replica = ReadReplica::new();
        replica.set_usable(true);
        replica.note_write(&member("alice"));
        // As another process said it.
        replica.note_change(notify_payload("carol"));

        assert!(!replica.is_current_for(&member("alice")));
        assert!(!replica.is_current_for(&member("carol")));
        assert!(replica.is_current_for(&member("bob")));
    }

    #[test]
    fn more_changes_than_can_be_remembered_are_no_reason_to_guess() {
        let replica = ReadReplica::new();
        replica.set_usable(true);
        for number in 0..=MAX_CHANGED_MEMBERS {
            replica.note_change(number.to_string());
        }
        assert!(!replica.is_current_for(&member("bob")));
    }
}
