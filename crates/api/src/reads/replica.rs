//! The read replica, and the conditions under which members are read from it.
//!
//! A replica lags behind the primary, but a member who has seen new data must not see older data
//! afterwards. Therefore members with recent changes are read from the primary, and a replica that
//! lags too far behind is not used at all.

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

/// Time after a change of a member's data during which the member is read from the primary.
const PRIMARY_READ_WINDOW: Duration = Duration::from_secs(60);

/// Maximum replication lag with which the replica is used.
///
/// The sum of this and [`LAG_CHECK_INTERVAL`] must be less than [`PRIMARY_READ_WINDOW`], so that
/// the replica has a change before the member is read from it again.
const MAX_REPLICATION_LAG: Duration = Duration::from_secs(30);

/// Interval between two checks of the replication lag.
const LAG_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of one check of the replication lag. After a timeout, the replica is not used until the
/// next successful check.
const LAG_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of members with recent changes that are remembered. If there are more, the
/// replica is not used until the next successful check.
const MAX_CHANGED_MEMBERS: usize = 200_000;

/// State of the read replica, shared by all workers of a process. It decides whether a member may
/// be read from the replica.
pub(crate) struct ReadReplica {
    /// Whether the replica may be used at all: its lag is small enough, and notifications of
    /// changes arrive.
    is_usable: AtomicBool,
    /// Time until which a member is read from the primary. The key is the payload that identifies
    /// the member in PostgreSQL's notifications.
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
    /// Returns the state of a replica that is not used until the first successful check of its lag.
    pub(crate) fn new() -> Self {
        Self {
            is_usable: AtomicBool::new(false),
            changed: Mutex::default(),
        }
    }

    /// Returns whether the replica has all changes that this member may have seen.
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

/// Keeps the state of the replica up to date until a stop is requested: listens for changes, and
/// checks the replication lag.
///
/// `may_listen` states whether PostgreSQL's notifications can be received. It is false behind a
/// pooler in transaction mode. Then only the changes that this process makes itself are known.
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

/// Listens for the notifications of changed members, and never returns. If listening fails, the
/// replica is no longer used.
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
                // Positions that the replica has reached are removed. The oldest remaining one
                // gives the lag.
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

/// Returns two positions in the write-ahead log, in bytes: the position up to which the primary has
/// written, and the position up to which the replica has replayed.
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
        // Another process made this change, and PostgreSQL sent the notification.
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
