//! Reports the reads of a run, without a call to WHOOP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::{
    DataType,
    day::ConnectionStatus,
    plan::{self, ReadReason},
};
use whoop_storage::member_snapshot::{self, MemberSnapshot};

use crate::{
    Engine, SyncError,
    member_sync::{PlannedRead, plan_reads},
    run::{RunRequest, RunTask},
    run_selection::SelectedMember,
};

/// Number of members per query: few queries, and no result that is too large.
const MEMBERS_PER_QUERY: usize = 500;

/// Result of a dry run.
#[derive(Debug)]
pub struct DryRunReport {
    pub members: Vec<PlannedMember>,
    /// Number of members with up-to-date data.
    pub up_to_date: usize,
    /// Number of members who are read only when their app requests data, because the quota is
    /// scarce.
    pub skipped_for_quota: usize,
    /// Number of members with further history to read; the calls for this are not known in advance.
    pub backfills: usize,
}

/// One member of a dry run, and the windows that would be read.
#[derive(Debug, Serialize)]
pub struct PlannedMember {
    pub user_id: String,
    /// Reason that this member is selected.
    pub reason: ReadReason,
    /// Reason that nothing can be read of this member.
    pub error: Option<String>,
    pub windows: Vec<PlannedWindow>,
}

#[derive(Debug, Serialize)]
pub struct PlannedWindow {
    pub data_type: DataType,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Reason that the data type is read.
    pub reason: ReadReason,
    /// Expected calls for this window, for a member with one record a day.
    pub calls: u32,
    /// Whether older pages follow, until the member's first record; their number is not known in
    /// advance.
    pub history: bool,
}

impl PlannedMember {
    /// Expected calls for the member, without the history.
    pub fn calls(&self) -> u32 {
        self.windows.iter().map(|window| window.calls).sum()
    }
}

impl Engine {
    /// Returns the reads of a run, without a call to WHOOP.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn dry_run(&self, plan: &RunRequest) -> Result<DryRunReport, SyncError> {
        let visits = self.select_members(plan).await?;
        let goes_on = matches!(&plan.task, RunTask::Sync(errand) if errand.backfill);
        let now = self.clock.now();
        let mut members = Vec::with_capacity(visits.members.len());
        for some in visits.members.chunks(MEMBERS_PER_QUERY) {
            let ids: Vec<&str> = some.iter().map(|one| one.user_id.as_str()).collect();
            let known = {
                let conn = self.database.get().await?;
                member_snapshot::load(&conn, &ids).await?
            };
            members.extend(some.iter().map(|visit| {
                let known = known.get(visit.user_id.as_str());
                self.plan_member(visit, known, goes_on, now)
            }));
        }
        Ok(DryRunReport {
            members,
            up_to_date: visits.up_to_date,
            skipped_for_quota: visits.skipped_for_quota,
            backfills: visits.backfills.len(),
        })
    }

    fn plan_member(
        &self,
        visit: &SelectedMember,
        known: Option<&MemberSnapshot>,
        goes_on: bool,
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
                let kept_from = self.kept_from(known.member.timezone_offset.as_deref());
                let foreseen = plan_reads(known, &visit.request, kept_from, now);
                foreseen
                    .iter()
                    .map(|one| planned_window(one, goes_on, kept_from, now))
                    .collect()
            }
            None => Vec::new(),
        };
        PlannedMember {
            user_id: visit.user_id.to_string(),
            reason: visit.reason,
            error: error.map(|error| error.to_string()),
            windows,
        }
    }
}

fn planned_window(
    foreseen: &PlannedRead,
    history: bool,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> PlannedWindow {
    let PlannedRead {
        call,
        by_id,
        coverage,
    } = foreseen;
    let is_whole = coverage.covered_from.is_some()
        && plan::backfill_window(coverage, kept_from, now).is_none();
    PlannedWindow {
        data_type: call.data_type,
        start: call.window.must_reach,
        end: call.window.end,
        reason: call.reason,
        calls: call.expected_calls() + u32::try_from(*by_id).unwrap_or(0),
        history: history && !is_whole,
    }
}
