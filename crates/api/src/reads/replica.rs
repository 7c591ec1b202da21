//! Read replica, and the conditions under which it is used.
//!
//! A replica lags behind the primary. A member who has seen new data must not see older data
//! afterwards. Therefore members with recent changes are read from the primary, and a replica that
//! lags too far behind is not used.

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

/// Time after a change during which the member is read from the primary.
const PRIMARY_READ_WINDOW: Duration = Duration::from_secs(60);

/// Maximum replication lag at which the replica is used. Together with [`LAG_CHECK_INTERVAL`] it
/// must be less than [`PRIMARY_READ_WINDOW`].
const MAX_REPLICATION_LAG: Duration = Duration::from_secs(30);

/// Interval between two checks of the replication lag.
const LAG_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of a check of the replication lag.
const LAG_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of changed members that are remembered. If more change, the replica is not used
/// until the next successful check.
const MAX_CHANGED_MEMBERS: usize = 200_000;

/// State of the replica, shared by all workers of a process.
pub(crate) struct ReadReplica {
    /// Whether the replication lag is small enough and notifications arrive.
    is_usable: AtomicBool,
    /// Time until which a member is read from the primary, by the payload of the member's
    /// notifications.
    changed: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for ReadReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadReplica")
            .field("is_usable", &self.is_usable)
            .finish_non_exhaustive()
    }
}

impl ReadReplica {
    /// Returns a replica that is not used until the first successful check.
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

    fn set_usable(&self, is_usable: bool) {
        let was_usable = self.is_usable.swap(is_usable, Ordering::Relaxed);
        match (was_usable, is_usable) {
            (false, true) => tracing::info!("replica is used for reads"),
            (true, false) => tracing::info!("replica is no longer used for reads"),
            _ => {}
        }
    }
}

/// Keeps the state of the replica up to date. Behind a pooler in transaction mode notifications do
/// not arrive: then only the changes made by this process are known.
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

/// Listens for changes and never returns. The replica is not used while listening fails.
async fn run_listener(engine: &Engine, replica: &ReadReplica, may_listen: bool) {
    if !may_listen {
        std::future::pending::<()>().await;
    }
    loop {
        if let Err(error) = listen_for_changes(engine, replica).await {
            tracing::warn!(%error, "cannot listen for changes; replica is not used");
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
    let mut primary_positions: Vec<(Instant, i64)> = Vec::new();
    loop {
        let positions = timeout(LAG_CHECK_TIMEOUT, read_log_positions(engine, reads)).await;
        match positions {
            Ok(Ok((primary, replayed))) => {
                let now = Instant::now();
                primary_positions.push((now, primary));
                // Positions that the replica has reached no longer count as lag.
                primary_positions.retain(|(_, position)| *position > replayed);
                let lag = primary_positions.first().map(|(at, _)| now - *at);
                replica.set_usable(lag.is_none_or(|lag| lag < MAX_REPLICATION_LAG));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the replication lag; replica is not used");
                replica.set_usable(false);
            }
            Err(_) => replica.set_usable(false),
        }
        sleep(LAG_CHECK_INTERVAL).await;
    }
}

/// Returns the primary's position and the replica's position, in bytes of the write-ahead log.
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
    fn a_replica_is_not_used_before_the_first_check_or_after_a_failed_one() {
        let replica = ReadReplica::new();
        assert!(!replica.is_current_for(&member("alice")));
        replica.set_usable(true);
        assert!(replica.is_current_for(&member("alice")));
        replica.set_usable(false);
        assert!(!replica.is_current_for(&member("alice")));
    }

    #[test]
    fn only_members_with_recent_changes_are_read_from_the_primary() {
        let replica = ReadReplica::new();
        replica.set_usable(true);
        replica.note_write(&member("alice"));
        // A change notified by another process.
        replica.note_change(notify_payload("carol"));

        assert!(!replica.is_current_for(&member("alice")));
        assert!(!replica.is_current_for(&member("carol")));
        assert!(replica.is_current_for(&member("bob")));
    }

    #[test]
    fn a_replica_is_not_used_after_too_many_changed_members() {
        let replica = ReadReplica::new();
        replica.set_usable(true);
        for number in 0..=MAX_CHANGED_MEMBERS {
            replica.note_change(number.to_string());
        }
        assert!(!replica.is_current_for(&member("bob")));
    }
}
