//! WHOOP's quota: which call may be made now, and which has to wait.
//!
//! WHOOP does not document whether its windows roll or are fixed. Both are treated as rolling, which is
//! the stricter reading: at no moment do the last 60 seconds contain more calls than the limit
//! per minute, nor the last 24 hours more than the limit per day.
//!
//! The [`QuotaLedger`] is pure. All processes share one through PostgreSQL, and
//! [`QuotaLedger::take`] is the only way to get permits. A permit is taken when a request is about to be sent.

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

/// One of the two windows that WHOOP limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitWindow {
    Minute,
    Day,
}

#[cfg(test)]
mod tests;
