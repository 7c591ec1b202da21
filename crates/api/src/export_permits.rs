//! Limits on the exports that run at the same time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use whoop_core::UserId;

use crate::one_per_member::{MemberClaim, OnePerMember};

/// Maximum number of exports that run in this process at the same time. More downloads could occupy
/// the database connections that the requests of other members need.
const MAX_EXPORTS: usize = 4;

/// Permits for exports: at most one per member, and at most [`MAX_EXPORTS`] in total.
#[derive(Debug)]
pub(crate) struct ExportPermits {
    all: Arc<Semaphore>,
    members: OnePerMember,
}

/// Permission to run one export. It is given back when this value is dropped.
#[derive(Debug)]
pub(crate) struct ExportPermit {
    _one_of_all: OwnedSemaphorePermit,
    _member: MemberClaim,
}

/// Reason for which an export gets no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportPermitRefusal {
    /// Another export of the same member is running.
    MemberHasExport,
    /// The maximum number of exports is running in this process.
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
    /// Takes a permit for an export of this member, or returns the reason for which no permit is
    /// available.
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
