//! One budget for the whole WHOOP app: who may call now, and who must wait.
//!
//! WHOOP does not say whether its windows roll or turn, so both are taken to
//! roll, the strictest reading: at no moment do the last 60 seconds hold more
//! than the minute's limit, nor the last 24 hours more than the day's. A window
//! that rolls plans the day by itself: what was spent at eight is there again
//! at eight.
//!
//! The [`Ledger`] is pure. It is shared by every process through PostgreSQL,
//! and [`Ledger::take`] is the only way to spend.

mod day;
mod ledger;
mod minute;

pub use day::DAY;
pub use ledger::{Leave, Ledger, Spent};

use serde::{Deserialize, Serialize};

/// What WHOOP allows the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in any 60 seconds.
    pub per_minute: u32,
    /// Calls in any 24 hours.
    pub per_day: u32,
}

impl Limits {
    /// Calls that anybody finds together sooner or later, however busy it is: in
    /// such portions the minute is fed to those who cannot choose the moment.
    pub const fn together(self) -> u32 {
        let portion = self.per_minute / minute::STEPS;
        if portion == 0 { 1 } else { portion }
    }
}

impl Default for Limits {
    /// What WHOOP gives every app at first.
    fn default() -> Self {
        Self {
            per_minute: 100,
            per_day: 10_000,
        }
    }
}

/// On whose behalf a call is made, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A member looks at the screen.
    Waiting,
    /// WHOOP said that something changed.
    Webhook,
    /// One of the day's four runs, for members who use the app.
    Slot,
    /// Members who do not, once in a fortnight.
    Dormant,
    /// What lies further back.
    History,
}

impl Class {
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Webhook,
        Self::Slot,
        Self::Dormant,
        Self::History,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Webhook => "webhook",
            Self::Slot => "slot",
            Self::Dormant => "dormant",
            Self::History => "history",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }

    /// The classes that come before this one.
    fn more_urgent(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take_while(move |one| *one < self)
    }

    /// This class and those that come after it.
    fn and_less_urgent(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().skip_while(move |one| *one < self)
    }
}

/// Which of the two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Minute,
    Day,
}

#[cfg(test)]
mod tests;
