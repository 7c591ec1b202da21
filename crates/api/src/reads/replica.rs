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
use whoop_storage::{Database, StorageError, position, table::change::signal_of};
use whoop_sync::Engine;

/// For so long after a change the primary is read of its member.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// A replica that has not seen what the primary had so long ago is not read. With
/// the time between two looks this is less than [`SETTLES_WITHIN`].
const FARTHEST_BEHIND: Duration = Duration::from_secs(30);

/// How often it is looked how far behind it is.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Changed members that are remembered; with more, nobody is read from the replica
/// for a while.
const REMEMBERED: usize = 200_000;

/// What is known of the replica, by all workers of a process.
pub(crate) struct Replica {
    /// Whether it is near enough, and every change is heard of.
    is_good: AtomicBool,
    /// By what stands for them in notifications: until when the primary is read.
    changed: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("is_good", &self.is_good)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Not read before it was looked at.
    pub(crate) fn new() -> Self {
        Self {
            is_good: AtomicBool::new(false),
            changed: Mutex::default(),
        }
    }

    pub(super) fn has_all_of(&self, user_id: &UserId) -> bool {
        if !self.is_good.load(Ordering::Relaxed) {
            return false;
        }
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let until = changed.get(&signal_of(user_id.as_str()));
        until.is_none_or(|until| *until <= Instant::now())
    }

    pub(super) fn note_write(&self, user_id: &UserId) {
        self.note(signal_of(user_id.as_str()));
    }

    fn note(&self, signal: String) {
        let now = Instant::now();
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.len() >= REMEMBERED {
            changed.retain(|_, until| *until > now);
        }
        if changed.len() >= REMEMBERED {
            self.is_good.store(false, Ordering::Relaxed);
        }
        changed.insert(signal, now + SETTLES_WITHIN);
    }

    fn judge(&self, is_good: bool) {
        let was_good = self.is_good.swap(is_good, Ordering::Relaxed);
        if was_good != is_good {
            let state = if is_good { "read" } else { "not read" };
            tracing::info!("the replica is {state} from now on");
        }
    }
}

/// Keeps what is known up to date. Behind a pooler in transaction mode nothing can be
/// heard of what other processes write: then only our own writes are known.
pub(crate) async fn watch(
    engine: Engine,
    reads: Database,
    replica: std::sync::Arc<Replica>,
    may_listen: bool,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_listening(&engine, &replica, may_listen) => {}
        () = keep_looking(&engine, &reads, &replica) => {}
    }
}

/// Ends never; while nothing can be heard the replica is not good.
async fn keep_listening(engine: &Engine, replica: &Replica, may_listen: bool) {
    if !may_listen {
        std::future::pending::<()>().await;
    }
    loop {
        if let Err(error) = listen(engine, replica).await {
            tracing::warn!(%error, "cannot hear what changes; the replica is not read");
        }
        replica.judge(false);
        sleep(LOOK_EVERY).await;
    }
}

async fn listen(engine: &Engine, replica: &Replica) -> Result<(), StorageError> {
    let mut listener = engine.database.listen().await?;
    loop {
        replica.note(listener.next().await?);
    }
}

async fn keep_looking(engine: &Engine, reads: &Database, replica: &Replica) {
    let mut marks: Vec<(Instant, i64)> = Vec::new();
    loop {
        let looked = timeout(PATIENCE, look(engine, reads)).await;
        match looked {
            Ok(Ok((primary, replayed))) => {
                let now = Instant::now();
                marks.push((now, primary));
                // What it has is not in question any more.
                marks.retain(|(_, position)| *position > replayed);
                let oldest = marks.first().map(|(at, _)| now - *at);
                replica.judge(oldest.is_none_or(|behind| behind < FARTHEST_BEHIND));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the replica cannot be looked at");
                replica.judge(false);
            }
            Err(_) => replica.judge(false),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Where the primary is and what the replica has, in bytes of the log.
async fn look(engine: &Engine, reads: &Database) -> Result<(i64, i64), StorageError> {
    let primary = position::written(&mut *engine.database.get().await?).await?;
    let replayed = position::replayed(&mut *reads.get().await?).await?;
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
        let replica = Replica::new();
        assert!(!replica.has_all_of(&member("alice")));
        replica.judge(true);
        assert!(replica.has_all_of(&member("alice")));
        replica.judge(false);
        assert!(!replica.has_all_of(&member("alice")));
    }

    #[test]
    fn whoever_changed_lately_is_read_from_the_primary_and_nobody_else() {
        let replica = Replica::new();
        replica.judge(true);
        replica.note_write(&member("alice"));
        // As another process said it.
        replica.note(signal_of("carol"));

        assert!(!replica.has_all_of(&member("alice")));
        assert!(!replica.has_all_of(&member("carol")));
        assert!(replica.has_all_of(&member("bob")));
    }

    #[test]
    fn more_changes_than_can_be_remembered_are_no_reason_to_guess() {
        let replica = Replica::new();
        replica.judge(true);
        for number in 0..=REMEMBERED {
            replica.note(number.to_string());
        }
        assert!(!replica.has_all_of(&member("bob")));
    }
}
