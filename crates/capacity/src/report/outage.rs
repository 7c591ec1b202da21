//! Report about the outages of WHOOP in a simulation.

use chrono::TimeDelta;
use serde::Serialize;

use super::GoalResult;
use crate::{SimulationParameters, counters::SimulationCounters};

/// Goal: maximum number of calls per hour of an outage.
const MAX_CALLS_PER_HOUR: i64 = 99;

/// Calls and app requests during all outages of a simulation.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OutageReport {
    pub seconds: i64,
    pub calls: u64,
    /// Average number of calls per hour of an outage.
    pub calls_per_hour: i64,
    /// Number of app requests during an outage or up to two minutes after it. These app requests
    /// are not included in the goals.
    pub visits: u64,
}

impl OutageReport {
    pub(super) fn of(
        parameters: &SimulationParameters,
        counters: &SimulationCounters,
    ) -> Option<Self> {
        let outages = &parameters.call_conditions.outages;
        let seconds: i64 = outages
            .iter()
            .map(|outage| outage.duration.num_seconds())
            .sum();
        let calls = i64::try_from(counters.calls_during_outages).unwrap_or(i64::MAX);
        let hour = TimeDelta::hours(1).num_seconds();
        (seconds > 0).then(|| Self {
            seconds,
            calls: counters.calls_during_outages,
            calls_per_hour: calls.saturating_mul(hour) / seconds.max(hour),
            visits: counters.app_requests_during_outages,
        })
    }

    pub(super) fn goal_result(&self) -> GoalResult {
        GoalResult::new(
            "calls per hour of an outage",
            MAX_CALLS_PER_HOUR,
            self.calls_per_hour,
        )
    }
}
