//! Report of a run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::difference::RecordDifference;
use whoop_storage::{page::StoreCounts, table::sync_run::FinishedRunColumns};

use crate::{MemberOutcome, MemberReport, reconcile::ReconcileRequest};

/// Result of a run.
///
/// A member that is counted neither as synced nor as failed nor as deferred was not processed,
/// because the run was stopped.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub slot: Option<&'static str>,
    /// Number of members with an entry in `reports`.
    pub members: usize,
    /// Number of members who were not selected because their data is up to date.
    pub fresh: usize,
    /// Number of members who were not selected because the quota is scarce. They are read only when
    /// their app requests data.
    pub left: usize,
    pub synced: usize,
    pub failed: usize,
    /// Number of members who were deferred because of the quota, or because the run has made its
    /// maximum number of calls.
    pub deferred: usize,
    /// Time at which the quota allows the deferred work to continue; `None` if no work was deferred
    /// because of the quota.
    pub goes_on_at: Option<DateTime<Utc>>,
    /// Whether a signal to the process stopped the run.
    pub stopped: bool,
    pub calls: u64,
    /// Number of rows of records that were deleted because they are older than `RETENTION_DAYS`.
    /// Only runs of the night slot delete rows.
    pub removed_by_retention: u64,
    /// Error of the nightly clean-up; `None` if there was none. The members were read before the
    /// clean-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_up_error: Option<String>,
    #[serde(flatten)]
    pub stored: StoreCounts,
    /// Summary of the comparison with WHOOP's records, if the task of the run was to reconcile.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonSummary>,
    pub reports: Vec<MemberReport>,
}

/// Summary of the comparison of all members' records with WHOOP's records, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ComparisonSummary {
    pub dry_run: bool,
    pub from: DateTime<Utc>,
    /// End of the compared time span; `None` for the present.
    pub to: Option<DateTime<Utc>>,
    /// Number of WHOOP's records that were compared with stored records.
    pub compared: u64,
    pub differences: u64,
    /// Number of differences that were repaired; 0 in a dry run.
    pub healed: u64,
}

impl ComparisonSummary {
    pub(crate) fn from_reports(reconcile: &ReconcileRequest, reports: &[MemberReport]) -> Self {
        let findings = || reports.iter().filter_map(|one| one.findings.as_ref());
        let differences = || findings().flat_map(|one| &one.differences);
        Self {
            dry_run: reconcile.dry_run,
            from: reconcile.from,
            to: reconcile.until,
            compared: findings().map(|one| one.compared).sum(),
            differences: differences().count() as u64,
            healed: differences().filter(|one| one.healed).count() as u64,
        }
    }
}

impl RunReport {
    /// Creates the report from the members' reports, with their sums. The caller sets the fields
    /// that concern the run itself.
    pub(crate) fn from_reports(reports: Vec<MemberReport>, now: DateTime<Utc>) -> Self {
        let count = |outcome| reports.iter().filter(|one| one.outcome == outcome).count();
        let wait_seconds = reports.iter().filter_map(|one| one.retry_after_seconds);
        Self {
            slot: None,
            members: reports.len(),
            fresh: 0,
            left: 0,
            synced: count(MemberOutcome::Done) + count(MemberOutcome::Shared),
            failed: count(MemberOutcome::Failed),
            deferred: count(MemberOutcome::Deferred),
            goes_on_at: wait_seconds
                .max()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| now + Duration::from_secs(seconds)),
            stopped: false,
            calls: 0,
            removed_by_retention: 0,
            clean_up_error: None,
            stored: reports.iter().fold(StoreCounts::default(), |mut sum, one| {
                sum += one.stored();
                sum
            }),
            comparison: None,
            reports,
        }
    }

    /// Returns the number of members who were not processed because the run was stopped.
    pub const fn unfinished(&self) -> usize {
        self.members - self.synced - self.failed - self.deferred
    }

    /// Returns the differences of all members, each with the id of its member.
    pub fn differences(&self) -> impl Iterator<Item = (&str, &RecordDifference)> {
        self.reports.iter().flat_map(|member| {
            let differences = member.findings.iter().flat_map(|one| &one.differences);
            differences.map(|one| (member.user_id.as_str(), one))
        })
    }

    /// Returns the values that complete the run's row in `whoop_sync_run`.
    pub(crate) fn finished_row(&self, now: DateTime<Utc>) -> FinishedRunColumns {
        FinishedRunColumns {
            status: if self.failed > 0 || self.clean_up_error.is_some() {
                "failed"
            } else if self.unfinished() > 0 {
                "stopped"
            } else if self.deferred > 0 {
                "deferred"
            } else {
                "success"
            },
            finished_at: now,
            members: as_i64(self.members as u64),
            calls: as_i64(self.calls),
            records: as_i64(self.stored.written()),
            failures: as_i64(self.failed as u64),
            detail: self
                .reports
                .iter()
                .find_map(|one| one.error.clone())
                .or_else(|| self.clean_up_error.clone()),
        }
    }
}

fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
