//! WHOOP's quota: decides which calls may be sent now and which have to wait.
//!
//! WHOOP does not document whether its windows are rolling or fixed. Both are treated as rolling,
//! which is the stricter interpretation: the last 60 seconds never contain more calls than the
//! limit per minute, and the last 24 hours never more than the limit per day.
//!
//! The [`QuotaLedger`] does no I/O. All processes share one ledger through PostgreSQL, and
//! [`QuotaLedger::take`] is the only way to get permits. A permit is taken immediately before a
//! request is sent.

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

/// WHOOP's limits for the WHOOP app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Maximum number of calls in any 60 seconds.
    pub per_minute: u32,
    /// Maximum number of calls in any 24 hours.
    pub per_day: u32,
}

impl Default for QuotaLimits {
    /// The limits that WHOOP gives every new app.
    fn default() -> Self {
        Self {
            per_minute: 100,
            per_day: 10_000,
        }
    }
}

/// One of the two windows of WHOOP's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitWindow {
    Minute,
    Day,
}

#[cfg(test)]
mod tests;
