use serde::{Deserialize, Serialize};

/// Priority class of a call, determined by the reason for the call. The variants are ordered from
/// the highest to the lowest priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityClass {
    /// A member is waiting in the app for the result of the call.
    Interactive,
    /// The call reads a data type for which a webhook announced a change.
    Webhook,
    /// The call belongs to a scheduled run, for a member who is likely to open the app.
    Scheduled,
    /// The call belongs to a scheduled run, for a member who does not use the app and is read at
    /// least every 14 days.
    Inactive,
    /// The call reads history that is older than the coverage (backfill).
    Backfill,
}

/// One value for each priority class, in the order of [`PriorityClass::ALL`].
pub(super) type ByClass<T> = [T; PriorityClass::ALL.len()];

/// Guaranteed share of each priority class in a limit, in ten-thousandths of the limit.
///
/// A class that has used less than its share is not delayed by classes of lower priority, and not
/// by calls of higher classes that exceed the shares of those classes. Permits that a class does
/// not use are available to the other classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassShares(ByClass<u32>);

impl ClassShares {
    /// Guaranteed shares of the minute window.
    pub(super) const MINUTE: Self = Self([7_000, 1_200, 1_200, 500, 100]);
    /// Guaranteed shares of the day window. Interactive calls have the largest share, because they
    /// need nearly the whole day if all members open the app every day.
    pub(super) const DAY: Self = Self([9_000, 50, 25, 900, 25]);

    /// Returns the guaranteed share of a class as a number of calls, for a limit of `limit` calls.
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

    /// Returns all classes of higher priority than this class.
    pub(super) fn higher(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take_while(move |one| *one < self)
    }

    /// Returns all classes of lower priority than this class.
    pub(super) fn lower(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |one| *one > self)
    }
}
