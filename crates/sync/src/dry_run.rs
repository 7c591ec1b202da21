//! Dry runs: lists the reads that a run would make, without calling WHOOP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::{
    DataType,
    day::ConnectionStatus,
    plan::{self, ReadReason},
};
use whoop_storage::member_snapshot::{self, MemberSnapshot};

use crate::{
    ScheduledRuns, SyncError,
    member_sync::{PlannedRead, plan_reads},
    run::{RunRequest, RunTask},
    run_selection::SelectedMember,
};

/// Number of members whose state is loaded with one query. It keeps both the number of queries and
/// the size of each result small.
const MEMBERS_PER_QUERY: usize = 500;

/// Result of a dry run: the members that the run would sync.
#[derive(Debug)]
pub struct DryRunReport {
    pub members: Vec<PlannedMember>,
    /// Number of members who are not selected because their data is up to date.
    pub up_to_date: usize,
    /// Number of members who are not selected because the quota is scarce. They are read only when
    /// their app requests data.
    pub skipped_for_quota: usize,
    /// Number of members whose older history the run would continue to read (backfill). The number
    /// of calls for this is not known in advance.
    pub backfills: usize,
}

/// One selected member of a dry run, and the windows that the run would read.
#[derive(Debug, Serialize)]
pub struct PlannedMember {
    pub user_id: String,
    /// Reason for which this member is selected.
    pub reason: ReadReason,
    /// Reason for which nothing can be read of this member; `None` if the member can be read.
    pub error: Option<String>,
    pub windows: Vec<PlannedWindow>,
}

/// A window of one data type that the run would read.
#[derive(Debug, Serialize)]
pub struct PlannedWindow {
    pub data_type: DataType,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Reason for which the data type is read.
    pub reason: ReadReason,
    /// Expected number of calls for this window, including requests by id, for a member with one
    /// record a day.
    pub calls: u32,
    /// Whether the run also reads older pages, back to the member's first record. Their number is
    /// not known in advance.
    pub history: bool,
}

impl PlannedMember {
    /// Returns the expected number of calls for the member, without the calls for older history.
    pub fn calls(&self) -> u32 {
        self.windows.iter().map(|window| window.calls).sum()
    }
}

impl ScheduledRuns {
    /// Returns the reads that a run would make, without calling WHOOP.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn dry_run(&self, plan: &RunRequest) -> Result<DryRunReport, SyncError> {
        let selection = self.select_members(plan).await?;
        let backfill = matches!(&plan.task, RunTask::Sync(request) if request.backfill);
        let now = self.clock.now();
        let mut members = Vec::with_capacity(selection.members.len());
        for chunk in selection.members.chunks(MEMBERS_PER_QUERY) {
            let ids: Vec<&str> = chunk.iter().map(|one| one.user_id.as_str()).collect();
            let known = {
                let conn = self.database.get().await?;
                member_snapshot::load(&conn, &ids).await?
            };
            members.extend(chunk.iter().map(|selected| {
                let known = known.get(selected.user_id.as_str());
                self.plan_member(selected, known, backfill, now)
            }));
        }
        Ok(DryRunReport {
            members,
            up_to_date: selection.up_to_date,
            skipped_for_quota: selection.skipped_for_quota,
            backfills: selection.backfills.len(),
        })
    }

    fn plan_member(
        &self,
        selected: &SelectedMember,
        known: Option<&MemberSnapshot>,
        backfill: bool,
        now: DateTime<Utc>,
    ) -> PlannedMember {
        let connection = known.map_or(ConnectionStatus::NeverConnected, |one| {
            one.member.connection()
        });
        let error = match connection {
            ConnectionStatus::Connected => None,
            ConnectionStatus::ReauthRequired => Some(SyncError::ReauthRequired),
            ConnectionStatus::Disconnected | ConnectionStatus::NeverConnected => {
                Some(SyncError::NotConnected)
            }
        };
        let windows = match known.filter(|_| error.is_none()) {
            Some(known) => {
                let kept_from = self
                    .retention
                    .kept_from(known.member.timezone_offset.as_deref());
                let reads = plan_reads(known, &selected.request, kept_from, now);
                reads
                    .iter()
                    .map(|one| planned_window(one, backfill, kept_from, now))
                    .collect()
            }
            None => Vec::new(),
        };
        PlannedMember {
            user_id: selected.user_id.to_string(),
            reason: selected.reason,
            error: error.map(|error| error.to_string()),
            windows,
        }
    }
}

fn planned_window(
    planned: &PlannedRead,
    history: bool,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> PlannedWindow {
    let PlannedRead {
        read,
        by_id,
        coverage,
    } = planned;
    let is_history_complete = coverage.covered_from.is_some()
        && plan::backfill_window(coverage, kept_from, now).is_none();
    PlannedWindow {
        data_type: read.data_type,
        start: read.window.must_reach,
        end: read.window.end,
        reason: read.reason,
        calls: read.expected_calls() + u32::try_from(*by_id).unwrap_or(0),
        history: history && !is_history_complete,
    }
}
