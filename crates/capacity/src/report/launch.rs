//! Report about a launch, in which many new members connect within a short time.

use chrono::TimeDelta;
use serde::Serialize;

use super::GoalResult;
use crate::{SimulationParameters, counters::SimulationCounters};

/// Goal: maximum time from the beginning of a launch until the last two days of all new members
/// were read.
const MAX_FIRST_SYNC_TIME: TimeDelta = TimeDelta::minutes(90);

/// Goal: maximum time until an app request during the launch is answered, for members who are not
/// part of the launch.
const MAX_APP_REQUEST_WAIT: TimeDelta = TimeDelta::minutes(1);

/// First syncs of the new members of a launch, and app requests of the other members in the
/// meantime.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LaunchReport {
    pub members: usize,
    pub within_seconds: i64,
    /// Number of new members whose last two days were read.
    pub members_read: usize,
    /// Time from the beginning of the launch until the last two days of all new members were read.
    /// If some were not read, the time until the end of the simulation.
    pub last_member_read_after_seconds: i64,
    /// Number of app requests of new members that waited for the member's first sync.
    pub visits_that_shared_the_first_sync: u64,
    /// Number of app requests of other members during the launch.
    pub visits_of_others: u64,
    pub visits_of_others_put_off: u64,
    /// Maximum time in seconds until an app request of another member during the launch was
    /// answered, rounded up.
    pub longest_wait_of_others_seconds: i64,
    /// Number of app requests of all members after the last first sync of the launch.
    ///
    /// They are not included in the goals, because the calls of the launch count in the day window
    /// of the quota for another 24 hours.
    pub visits_afterwards: u64,
    pub visits_afterwards_put_off: u64,
}

impl LaunchReport {
    pub(super) fn of(
        parameters: &SimulationParameters,
        counters: &SimulationCounters,
    ) -> Option<Self> {
        let launch = parameters.launch?;
        let begins = parameters.begins + launch.begins_after;
        let ends = parameters.begins + TimeDelta::days(parameters.days.into());
        let launch_counters = &counters.launch;
        // If some new members were not read within the simulated days, the last of them is read at
        // the end of the simulation at the earliest.
        let last_read = launch_counters
            .last_first_sync
            .filter(|_| launch_counters.first_syncs == launch.members)
            .unwrap_or(ends);
        let longest_wait = launch_counters.longest_wait + TimeDelta::milliseconds(999);
        Some(Self {
            members: launch.members,
            within_seconds: launch.within.num_seconds(),
            members_read: launch_counters.first_syncs,
            last_member_read_after_seconds: (last_read - begins).num_seconds(),
            visits_that_shared_the_first_sync: launch_counters.shared_first_sync,
            visits_of_others: launch_counters.app_requests,
            visits_of_others_put_off: launch_counters.deferred_app_requests,
            longest_wait_of_others_seconds: longest_wait.num_seconds(),
            visits_afterwards: launch_counters.app_requests_afterwards,
            visits_afterwards_put_off: launch_counters.deferred_app_requests_afterwards,
        })
    }

    pub(super) fn goal_results(&self) -> [GoalResult; 3] {
        let deferred = i64::try_from(self.visits_of_others_put_off).unwrap_or(i64::MAX);
        [
            GoalResult::new(
                "launch: time until the last new member was read (seconds)",
                MAX_FIRST_SYNC_TIME.num_seconds(),
                self.last_member_read_after_seconds,
            ),
            GoalResult::new(
                "launch: longest wait of another member's app request (seconds)",
                MAX_APP_REQUEST_WAIT.num_seconds(),
                self.longest_wait_of_others_seconds,
            ),
            GoalResult::new(
                "launch: deferred app requests of other members",
                0,
                deferred,
            ),
        ]
    }
}
