//! Limits one kind of work to at most one running task per member in this process.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use whoop_core::UserId;

/// The set of members for whom the work is running in this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnePerMember(Arc<Mutex<HashSet<UserId>>>);

/// Claim on the work for one member. Until the claim is dropped, the work cannot start again for
/// this member.
#[derive(Debug)]
pub(crate) struct MemberClaim {
    members: OnePerMember,
    user_id: UserId,
}

impl OnePerMember {
    /// Returns a claim for the member, or `None` if another claim for this member exists.
    pub(crate) fn claim(&self, user_id: &UserId) -> Option<MemberClaim> {
        let is_new = self.lock().insert(user_id.clone());
        is_new.then(|| MemberClaim {
            members: self.clone(),
            user_id: user_id.clone(),
        })
    }

    /// Returns whether the work is running for a member.
    pub(crate) fn is_running(&self, user_id: &UserId) -> bool {
        self.lock().contains(user_id)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<UserId>> {
        // Each use of the set is a single operation, which a panic cannot interrupt halfway, so the
        // set can be used even if the lock is poisoned.
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
