//! Limits on the exports that run at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use whoop_core::UserId;

use crate::one_per_member::{MemberClaim, OnePerMember};

/// Maximum number of exports at the same time. A few downloads must not occupy the database
/// connections that other members' requests need.
const MAX_EXPORTS: usize = 4;

/// Permits for exports: one per member, [`MAX_EXPORTS`] in all.
#[derive(Debug)]
pub(crate) struct ExportPermits {
    all: Arc<Semaphore>,
    members: OnePerMember,
}

/// Permission for one export; returned when it is dropped.
#[derive(Debug)]
pub(crate) struct ExportPermit {
    _one_of_all: OwnedSemaphorePermit,
    _member: MemberClaim,
}

/// Reason for refusing a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportPermitRefusal {
    /// This member has an export that is running.
    MemberHasExport,
    /// The maximum number of exports is running.
    AllInUse,
}

impl Default for ExportPermits {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MAX_EXPORTS)),
            members: OnePerMember::default(),
        }
    }
}

impl ExportPermits {
    /// Returns a permit for an export of this member.
    pub(crate) fn take(&self, user_id: &UserId) -> Result<ExportPermit, ExportPermitRefusal> {
        let member = self
            .members
            .claim(user_id)
            .ok_or(ExportPermitRefusal::MemberHasExport)?;
        let one_of_all = Arc::clone(&self.all)
            .try_acquire_owned()
            .map_err(|_| ExportPermitRefusal::AllInUse)?;
        Ok(ExportPermit {
            _one_of_all: one_of_all,
            _member: member,
        })
    }
}
