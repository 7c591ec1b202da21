//! What a run would read, told without a call to WHOOP.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use whoop_core::{
    DataType,
    day::Connection,
    plan::{self, Reason},
};

use crate::{Engine, SyncError, member::Foreseen, run::Plan, visits::Visit};

/// Members that are looked at side by side.
const AT_A_TIME: usize = 4;

/// What a run would do.
#[derive(Debug)]
pub struct DryRun {
    pub members: Vec<Planned>,
    /// Members of whom everything was read a moment ago.
    pub fresh: usize,
    /// Members who are read when they come, because the quota is scarce.
    pub left: usize,
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
    pub start: Option<DateTime<Utc>>,
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
        // In their order, and several at a time: thousands may have a turn.
        let members = stream::iter(&visits.turns)
            .map(|visit| self.planned(visit, plan.errand.history))
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(DryRun {
            members,
            fresh: visits.fresh,
            left: visits.left,
        })
    }

    async fn planned(&self, visit: &Visit, history: bool) -> Result<Planned, SyncError> {
        let Visit {
            user_id, errand, ..
        } = visit;
        let status = self.status(user_id).await?;
        let error = match status.connection {
            Connection::Connected => None,
            Connection::ReauthRequired => Some(SyncError::ReauthRequired),
            Connection::Disconnected | Connection::NeverConnected => Some(SyncError::NotConnected),
        };
        let mut windows = Vec::new();
        if error.is_none() {
            let foreseen = self.foresee(user_id, errand, self.clock.now()).await?;
            windows = foreseen
                .iter()
                .map(|one| planned_window(one, history, status.kept_from))
                .collect();
        }
        Ok(Planned {
            user_id: user_id.to_string(),
            reason: visit.reason,
            error: error.map(|error| error.to_string()),
            windows,
        })
    }
}

fn planned_window(
    foreseen: &Foreseen,
    history: bool,
    kept_from: Option<DateTime<Utc>>,
) -> PlannedWindow {
    let Foreseen {
        call,
        by_id,
        coverage,
    } = foreseen;
    let is_whole = coverage.covered_from.is_some() && plan::history(coverage, kept_from).is_none();
    PlannedWindow {
        data_type: call.data_type,
        start: call.window.start,
        end: call.window.end,
        reason: call.reason,
        calls: call.cost() + u32::try_from(*by_id).unwrap_or(0),
        history: history && !is_whole,
    }
}
