//! What a run would read, told without a call to WHOOP.

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::{
    DataType,
    day::Connection,
    plan::{self, Reason},
};
use whoop_storage::known::{self, Known};

use crate::{
    Engine, SyncError,
    member::{Foreseen, foresee},
    run::{Plan, Task},
    visits::Visit,
};

/// Members that are asked for at once: few questions, and no answer too large.
const AT_A_TIME: usize = 500;

/// What a run would do.
#[derive(Debug)]
pub struct DryRun {
    pub members: Vec<Planned>,
    /// Members of whom everything was read a moment ago.
    pub fresh: usize,
    /// Members who are read when they come, because the quota is scarce.
    pub left: usize,
    /// Members whose history is gone on with; how many calls that takes is not known
    /// before.
    pub histories: usize,
}

/// One member of a dry run: what would be read.
#[derive(Debug, Serialize)]
pub struct Planned {
    pub user_id: String,
    /// Why this member has a turn.
    pub reason: Reason,
    /// Why nothing can be read of this member.
    pub error: Option<String>,
    pub windows: Vec<PlannedWindow>,
}

#[derive(Debug, Serialize)]
pub struct PlannedWindow {
    pub data_type: DataType,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Why the type is read.
    pub reason: Reason,
    /// Calls this takes, for a member with a record a day.
    pub calls: u32,
    /// Older pages follow, until the member's first record; how many is not
    /// known before.
    pub history: bool,
}

impl Planned {
    /// Calls that are sure to be made.
    pub fn calls(&self) -> u32 {
        self.windows.iter().map(|window| window.calls).sum()
    }
}

impl Engine {
    /// What a run would read, without a call to WHOOP.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn dry_run(&self, plan: &Plan) -> Result<DryRun, SyncError> {
        let visits = self.visits(plan).await?;
        let goes_on = matches!(&plan.task, Task::Sync(errand) if errand.history);
        let now = self.clock.now();
        let mut members = Vec::with_capacity(visits.turns.len());
        for some in visits.turns.chunks(AT_A_TIME) {
            let ids: Vec<&str> = some.iter().map(|one| one.user_id.as_str()).collect();
            let known = {
                let conn = self.database.get().await?;
                known::of(&conn, &ids).await?
            };
            members.extend(some.iter().map(|visit| {
                let known = known.get(visit.user_id.as_str());
                self.planned(visit, known, goes_on, now)
            }));
        }
        Ok(DryRun {
            members,
            fresh: visits.fresh,
            left: visits.left,
            histories: visits.histories.len(),
        })
    }

    fn planned(
        &self,
        visit: &Visit,
        known: Option<&Known>,
        goes_on: bool,
        now: DateTime<Utc>,
    ) -> Planned {
        let connection = known.map_or(Connection::NeverConnected, |one| one.member.connection());
        let error = match connection {
            Connection::Connected => None,
            Connection::ReauthRequired => Some(SyncError::ReauthRequired),
            Connection::Disconnected | Connection::NeverConnected => Some(SyncError::NotConnected),
        };
        let windows = match known.filter(|_| error.is_none()) {
            Some(known) => {
                let kept_from = self.kept_from(known.member.timezone_offset.as_deref());
                let foreseen = foresee(known, &visit.errand, kept_from, now);
                foreseen
                    .iter()
                    .map(|one| planned_window(one, goes_on, kept_from, now))
                    .collect()
            }
            None => Vec::new(),
        };
        Planned {
            user_id: visit.user_id.to_string(),
            reason: visit.reason,
            error: error.map(|error| error.to_string()),
            windows,
        }
    }
}

fn planned_window(
    foreseen: &Foreseen,
    history: bool,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> PlannedWindow {
    let Foreseen {
        call,
        by_id,
        coverage,
    } = foreseen;
    let is_whole =
        coverage.covered_from.is_some() && plan::history(coverage, kept_from, now).is_none();
    PlannedWindow {
        data_type: call.data_type,
        start: call.window.must_reach,
        end: call.window.end,
        reason: call.reason,
        calls: call.cost() + u32::try_from(*by_id).unwrap_or(0),
        history: history && !is_whole,
    }
}
