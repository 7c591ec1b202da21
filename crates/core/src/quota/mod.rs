//! WHOOP's quota: decides which calls may be sent now and which calls have to wait.
//!
//! WHOOP does not document whether its two windows are rolling or fixed. This service treats both
//! as rolling, which is the stricter interpretation: the last 60 seconds never contain more calls
//! than the limit per minute, and the last 24 hours never contain more calls than the limit per
//! day.
//!
//! The [`QuotaLedger`] is a value that does no I/O. All processes share one ledger, which is stored
//! in PostgreSQL. A permit allows one call, and [`QuotaLedger::take`] is the only way to get
//! permits. A process takes a permit immediately before it sends the request.

mod breaker;
mod class;
mod day_window;
mod ledger;
mod minute_window;

pub use breaker::is_known_to_fail;
pub use class::PriorityClass;
pub use day_window::DAY_LENGTH;
pub use ledger::{PermitDecision, QuotaLedger, QuotaUsage, WaitReason};

use serde::{Deserialize, Serialize};

/// WHOOP's limits for all calls of the WHOOP app (the team's registration at WHOOP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Maximum number of calls in any 60 seconds.
    pub per_minute: u32,
    /// Maximum number of calls in any 24 hours.
    pub per_day: u32,
}

impl Default for QuotaLimits {
    /// Returns the limits of every new WHOOP app: 100 calls per minute and 10,000 calls per day.
    fn default() -> Self {
        Self {
            per_minute: 100,
            per_day: 10_000,
        }
    }
}

/// One of the two time windows for which WHOOP limits the number of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitWindow {
    Minute,
    Day,
}

#[cfg(test)]
mod tests;
