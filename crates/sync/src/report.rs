//! Reports about the results of syncs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::{DataType, UserId};
use whoop_storage::page::StoreCounts;

use crate::{ReconcileFindings, SyncError, comparison::TypeComparison};

/// Outcome of the sync of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOutcome {
    Done,
    /// Another sync of the same member has read the data already, and its result is used.
    Shared,
    /// The sync was deferred because of WHOOP's quota, or because the run has made its maximum
    /// number of calls.
    Deferred,
    Failed,
    /// The sync was stopped before its end.
    Stopped,
}

/// Result of reading one data type of a member.
#[derive(Debug, Serialize)]
pub struct TypeReport {
    pub data_type: DataType,
    #[serde(flatten)]
    pub stored: StoreCounts,
    /// Reason for the failure or deferral, for the operator; `None` if the data type was read.
    pub error: Option<String>,
    /// Comparison of this data type with WHOOP's records, if the member was reconciled. The
    /// member's report merges the comparisons of all data types.
    #[serde(skip)]
    pub(crate) comparison: Option<TypeComparison>,
    #[serde(skip)]
    pub cause: Option<SyncError>,
    /// Whether WHOOP answered 404 instead of a list.
    #[serde(skip)]
    pub(crate) not_found: bool,
    /// Time span for which WHOOP's pages prove that every record is stored; `None` if no window was
    /// read completely.
    #[serde(skip)]
    pub(crate) complete_span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl TypeReport {
    /// Adds the result of further work on the same data type.
    pub(crate) fn merge(&mut self, more: Self) {
        self.stored += more.stored;
        if more.cause.is_some() {
            self.error = more.error;
            self.cause = more.cause;
        }
    }
}

/// Result of syncing, reconciling or backfilling one member.
#[derive(Debug, Serialize)]
pub struct MemberReport {
    pub user_id: String,
    pub outcome: MemberOutcome,
    pub types: Vec<TypeReport>,
    /// The differences between the stored records and WHOOP's records, if the member was
    /// reconciled.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub findings: Option<ReconcileFindings>,
    /// Reason for the failure or deferral, for the operator; `None` if all data types were read.
    pub error: Option<String>,
    /// Reason for the failure or deferral, worded for the member; see [`SyncError::user_message`].
    #[serde(skip)]
    pub user_message: Option<String>,
    /// Seconds until the quota allows more calls, if the quota caused the failure or deferral.
    pub retry_after_seconds: Option<u64>,
    /// Whether the member has to connect again.
    pub reauth_required: bool,
    /// Whether a run should sync no more members of the same priority class, because the quota is
    /// used up or WHOOP has an outage.
    #[serde(skip)]
    pub ends_the_run: bool,
}

impl MemberReport {
    pub(crate) fn from_types(user_id: &UserId, types: Vec<TypeReport>) -> Self {
        let causes = || types.iter().filter_map(|one| one.cause.as_ref());
        let wait = causes().filter_map(SyncError::quota_wait).max();
        let outcome = if causes().next().is_none() {
            MemberOutcome::Done
        } else if causes().any(|cause| matches!(cause, SyncError::Stopped)) {
            MemberOutcome::Stopped
        } else if causes().all(|cause| cause.quota_wait().is_some()) {
            MemberOutcome::Deferred
        } else {
            MemberOutcome::Failed
        };
        Self {
            user_id: user_id.to_string(),
            outcome,
            error: causes().next().map(SyncError::error_chain),
            user_message: causes().next().map(SyncError::user_message),
            retry_after_seconds: wait.map(|wait| wait.as_secs()),
            reauth_required: causes().any(|cause| matches!(cause, SyncError::ReauthRequired)),
            ends_the_run: causes().any(SyncError::ends_run),
            types,
            findings: None,
        }
    }

    /// Adds the result of further work on the same member.
    pub(crate) fn merge(&mut self, more: Self) {
        for one in more.types {
            match self
                .types
                .iter_mut()
                .find(|known| known.data_type == one.data_type)
            {
                Some(known) => known.merge(one),
                None => self.types.push(one),
            }
        }
        // The first failure or deferral is kept. A later one does not replace it.
        if matches!(self.outcome, MemberOutcome::Done | MemberOutcome::Shared) {
            self.outcome = more.outcome;
            self.error = more.error;
            self.user_message = more.user_message;
            self.retry_after_seconds = more.retry_after_seconds;
        }
        self.reauth_required |= more.reauth_required;
        self.ends_the_run |= more.ends_the_run;
    }

    /// Creates the report of a member after an error that concerns the member as a whole, not a
    /// single data type.
    pub(crate) fn from_error(user_id: &UserId, error: &SyncError) -> Self {
        let outcome = match error {
            SyncError::Stopped => MemberOutcome::Stopped,
            error if error.quota_wait().is_some() => MemberOutcome::Deferred,
            _ => MemberOutcome::Failed,
        };
        Self::without_types(user_id, outcome, Some(error))
    }

    pub(crate) fn without_types(
        user_id: &UserId,
        outcome: MemberOutcome,
        error: Option<&SyncError>,
    ) -> Self {
        Self {
            user_id: user_id.to_string(),
            outcome,
            types: Vec::new(),
            findings: None,
            error: error.map(SyncError::error_chain),
            user_message: error.map(SyncError::user_message),
            retry_after_seconds: error
                .and_then(SyncError::quota_wait)
                .map(|wait| wait.as_secs()),
            reauth_required: matches!(error, Some(SyncError::ReauthRequired)),
            ends_the_run: error.is_some_and(SyncError::ends_run),
        }
    }

    /// Whether further work on the member is useful: nothing has failed so far, and WHOOP answered
    /// no list with 404.
    pub(crate) fn can_continue(&self) -> bool {
        matches!(self.outcome, MemberOutcome::Done | MemberOutcome::Shared)
            && !self.types.iter().any(|one| one.not_found)
    }

    /// Whether an app request of the member interrupted the sync.
    pub(crate) fn has_yielded(&self) -> bool {
        let mut causes = self.types.iter().filter_map(|one| one.cause.as_ref());
        causes.any(|cause| matches!(cause, SyncError::Yielded))
    }

    /// Whether a data type was not read because the member's tokens could not be refreshed.
    pub(crate) fn lacks_token(&self) -> bool {
        let mut causes = self.types.iter().filter_map(|one| one.cause.as_ref());
        causes.any(SyncError::is_refresh_failure)
    }

    /// Returns the numbers of stored records, by outcome, added up over all data types.
    pub fn stored(&self) -> StoreCounts {
        self.types
            .iter()
            .fold(StoreCounts::default(), |mut sum, one| {
                sum += one.stored;
                sum
            })
    }
}
