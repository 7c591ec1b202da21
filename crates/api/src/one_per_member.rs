//! Work that runs at most once per member in this process.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use whoop_core::UserId;

/// The members with running work.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnePerMember(Arc<Mutex<HashSet<UserId>>>);

/// Claim for the running work of one member. The next work may begin after it is dropped.
#[derive(Debug)]
pub(crate) struct MemberClaim {
    members: OnePerMember,
    user_id: UserId,
}

impl OnePerMember {
    /// Returns a claim for the member, or `None` if there is one already.
    pub(crate) fn claim(&self, user_id: &UserId) -> Option<MemberClaim> {
        let is_new = self.lock().insert(user_id.clone());
        is_new.then(|| MemberClaim {
            members: self.clone(),
            user_id: user_id.clone(),
        })
    }

    /// Whether the work is running for a member.
    pub(crate) fn is_running(&self, user_id: &UserId) -> bool {
        self.lock().contains(user_id)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<UserId>> {
        // Each use is one call on the set, which a panic cannot interrupt halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemberClaim {
    fn drop(&mut self) {
        self.members.lock().remove(&self.user_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_claim_until_it_is_dropped() {
        let running = OnePerMember::default();
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<UserId>().unwrap());

        let first = running.claim(&alice);

        assert!(first.is_some() && running.is_running(&alice));
        assert!(running.claim(&alice).is_none());
        assert!(!running.is_running(&bob));
        assert!(running.claim(&bob).is_some());
        drop(first);
        assert!(running.claim(&alice).is_some());
    }
}
