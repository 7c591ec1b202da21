//! Simulation of WHOOP's quota for a given number of members, in memory.
//!
//! The simulation runs the planner and the quota ledger of `whoop-core` through several days of
//! generated members. It generates the times at which members wake, train and open the app, and the
//! times at which WHOOP has new data. It generates no records.

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
    /// Beginning of the simulation: midnight of the first day in UTC. The members' local time is
    /// UTC unless `day_variation` gives them other offsets.
    pub begins: DateTime<Utc>,
    pub users: usize,
    /// Average share of the members who open the app on a day, 0 to 1.
    pub active_share: f64,
    pub days: u32,
    pub day_variation: DayVariation,
    /// Loss and delay of WHOOP's webhooks; `None` if WHOOP sends no webhooks.
    pub webhooks: Option<WebhookConditions>,
    pub seed: u64,
    pub limits: QuotaLimits,
    /// Freshness interval: age of the stored data of a day after which an app request reads the day
    /// again.
    pub freshness: TimeDelta,
    pub call_conditions: CallConditions,
    /// New members who connect during the simulation, in addition to `users`; `None` if there are
    /// none.
    pub launch: Option<Launch>,
}

impl SimulationParameters {
    /// Returns the generator of all members. The first members are the `users`, the others are the
    /// new members of the launch.
    pub fn member_generator(&self) -> MemberGenerator {
        MemberGenerator {
            users: self.users + self.launch.map_or(0, |launch| launch.members),
            active_share: self.active_share,
            day_variation: self.day_variation,
            seed: self.seed,
        }
    }
}
