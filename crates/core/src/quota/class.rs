use serde::{Deserialize, Serialize};

/// The reason for a call, which decides its priority. The order is from the highest to the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityClass {
    /// A member is waiting in the app.
    Interactive,
    /// A webhook announced a change of a data type.
    Webhook,
    /// A scheduled run, for members who are likely to open the app.
    Scheduled,
    /// A scheduled run, for members who do not use the app: at least every 14 days.
    Inactive,
    /// The backfill of history.
    Backfill,
}

/// A value for each priority class.
pub(super) type ByClass<T> = [T; PriorityClass::ALL.len()];

/// Guaranteed share of each class, in ten-thousandths of a limit.
///
/// A class that has used less than its share is delayed neither by classes of lower priority nor by
/// calls of higher classes beyond their shares. Permits that a class does not use are available to
/// the other classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassShares(ByClass<u32>);

impl ClassShares {
    /// Shares of the minute window.
    pub(super) const MINUTE: Self = Self([7_000, 1_200, 1_200, 500, 100]);
    /// Shares of the day window. If all members open the app daily, interactive calls need nearly
    /// the whole day.
    pub(super) const DAY: Self = Self([9_000, 50, 25, 900, 25]);

    /// Returns the number of calls in a class's share of a limit.
    pub(super) fn of(self, class: PriorityClass, limit: u32) -> u32 {
        let share = self.0[class.index()];
        let calls = u64::from(limit) * u64::from(share) / 10_000;
        u32::try_from(calls).unwrap_or(u32::MAX)
    }
}

impl PriorityClass {
    pub const ALL: [Self; 5] = [
        Self::Interactive,
        Self::Webhook,
        Self::Scheduled,
        Self::Inactive,
        Self::Backfill,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Webhook => "webhook",
            Self::Scheduled => "scheduled",
            Self::Inactive => "inactive",
            Self::Backfill => "backfill",
        }
    }

    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the classes of higher priority.
    pub(super) fn higher(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take_while(move |one| *one < self)
    }

    /// Returns the classes of lower priority.
    pub(super) fn lower(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |one| *one > self)
    }
}
