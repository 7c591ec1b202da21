//! Simulation of the WHOOP quota for a given number of members, in memory.
//!
//! Drives the planner and the quota ledger of `whoop-core` through days of generated members:
//! times at which members wake, train and open the app, and at which WHOOP has new data. It
//! generates no records.

mod crowd;
mod hazards;
mod launch;
mod member;
mod report;
mod simulate;
mod tally;

pub use crowd::{Crowd, Days, Event, Happening, Webhooks};
pub use hazards::{Hazards, Outage};
pub use launch::Launch;
pub use report::{Behind, DayCalls, Goal, LaunchReport, OutageReport, Report, Spread};
pub use simulate::simulate;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::quota::Limits;

/// Parameters of a simulation.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Midnight of the first day, in UTC, where everybody lives here.
    pub begins: DateTime<Utc>,
    pub users: usize,
    /// Members who come on a day, 0 to 1, on average.
    pub active_share: f64,
    pub days: u32,
    pub member_days: Days,
    /// How WHOOP's webhooks arrive; `None` where they do not.
    pub webhooks: Option<Webhooks>,
    pub seed: u64,
    pub limits: Limits,
    /// How old a day may be before a visit reads it again.
    pub freshness: TimeDelta,
    pub hazards: Hazards,
    /// New members beside the `users`.
    pub launch: Option<Launch>,
}

impl Setting {
    /// The generated members: first the `users`, then those of the launch.
    pub fn crowd(&self) -> Crowd {
        Crowd {
            users: self.users + self.launch.map_or(0, |launch| launch.members),
            active_share: self.active_share,
            days: self.member_days,
            seed: self.seed,
        }
    }
}
