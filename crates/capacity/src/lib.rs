//! Simulation of the WHOOP quota for a given number of members, in memory.
//!
//! Drives the planner and the quota ledger of `whoop-core` through days of generated members:
//! times at which members wake, train and open the app, and at which WHOOP has new data. It
//! generates no records.

mod call_conditions;
mod counters;
mod launch;
mod member_generator;
mod report;
mod simulate;
mod simulated_member;

pub use call_conditions::{CallConditions, Outage};
pub use launch::Launch;
pub use member_generator::{
    DayVariation, MemberEvent, MemberGenerator, ScheduledEvent, WebhookConditions,
};
pub use report::{
    DayCalls, DurationPercentiles, GoalResult, LaunchReport, OutageReport, SimulationReport,
    TypeLag,
};
pub use simulate::simulate;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::quota::QuotaLimits;

/// Parameters of a simulation.
#[derive(Debug, Clone)]
pub struct SimulationParameters {
    /// Midnight of the first day in UTC. Members are in UTC unless `day_variation` gives them other
    /// offsets.
    pub begins: DateTime<Utc>,
    pub users: usize,
    /// Share of the members who open the app on a day, 0 to 1, on average.
    pub active_share: f64,
    pub days: u32,
    pub day_variation: DayVariation,
    /// Loss and delay of WHOOP's webhooks; `None` if WHOOP sends no webhooks.
    pub webhooks: Option<WebhookConditions>,
    pub seed: u64,
    pub limits: QuotaLimits,
    /// Freshness interval: age after which an app request reads a day again.
    pub freshness: TimeDelta,
    pub call_conditions: CallConditions,
    /// Launch: new members in addition to `users`.
    pub launch: Option<Launch>,
}

impl SimulationParameters {
    /// Returns the generator of all members: first the `users`, then those of the launch.
    pub fn member_generator(&self) -> MemberGenerator {
        MemberGenerator {
            users: self.users + self.launch.map_or(0, |launch| launch.members),
            active_share: self.active_share,
            day_variation: self.day_variation,
            seed: self.seed,
        }
    }
}
