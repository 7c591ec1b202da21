//! Who may refresh tokens now, within this process.
//!
//! A row lock decides between processes. Within one it is decided before: a
//! refresh keeps a connection while WHOOP answers, and so does everybody who
//! waits for that lock. A slow WHOOP would leave nobody else a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use whoop_core::UserId;

/// The turns of this process.
#[derive(Debug)]
pub(crate) struct RefreshTurns {
    places: Arc<Semaphore>,
    members: Mutex<HashMap<UserId, Weak<AsyncMutex<()>>>>,
}

/// The right to refresh one member's tokens, until dropped.
#[derive(Debug)]
pub(crate) struct RefreshTurn {
    _place: Option<OwnedSemaphorePermit>,
    _member: OwnedMutexGuard<()>,
}

impl RefreshTurns {
    /// Half of the connections may be kept waiting for WHOOP, not more. Each of
    /// those needs a second one for a moment, so the other half must not wait.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new((connections / 2).max(1))),
            members: Mutex::default(),
        }
    }

    pub(crate) async fn take(&self, user_id: &UserId) -> RefreshTurn {
        // The member's turn first: whoever waits for it takes nobody's place.
        let member = self.of(user_id).lock_owned().await;
        // `None` only if the semaphore were closed, which nobody does.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        RefreshTurn {
            _place: place,
            _member: member,
        }
    }

    fn of(&self, user_id: &UserId) -> Arc<AsyncMutex<()>> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = members.get(user_id).and_then(Weak::upgrade) {
            return member;
        }
        members.retain(|_, member| member.strong_count() > 0);
        let member = Arc::default();
        members.insert(user_id.clone(), Arc::downgrade(&member));
        member
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_turn_a_member_and_half_the_connections_together() {
        let turns = RefreshTurns::new(4);
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|id| id.parse().unwrap());

        let first = turns.take(&alice).await;
        assert!(turns.take(&alice).now_or_never().is_none());
        let _second = turns.take(&bob).await;
        assert!(turns.take(&carol).now_or_never().is_none());

        drop(first);
        assert!(turns.take(&carol).now_or_never().is_some());
        assert!(turns.take(&alice).now_or_never().is_some());
    }
}
