//! The last 24 hours, by class in slices of ten minutes, and by minute.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc, serde::ts_seconds};
use serde::{Deserialize, Serialize};

use super::{Class, Limits};

/// The length of the day's window.
pub const DAY: TimeDelta = TimeDelta::hours(24);

const SLICE: TimeDelta = TimeDelta::minutes(10);

/// A minute's calls leave the window together, when the youngest of them may.
const MINUTES: usize = 10;

/// What is left of an expectation a day later.
const FADES: f64 = 0.8;

/// Kept for members who wait, whatever is expected: one call in so many.
const LEAST_FOR_WAITING: u32 = 20;

/// What every class finds, whatever is expected of others, as long as no member
/// needs it who waits: one in so many.
const LEAST_FOR_ANY: u32 = 400;

/// From this share of the day's calls on, in percent, what members who wait may
/// want makes calls scarce.
const SCARCE_FROM: f64 = 60.0;

/// The same, with what all others have made in the last 24 hours.
const FULL_FROM: f64 = 92.0;

/// No day is like the one before: so much more is held back than is expected.
const MARGIN: f64 = 1.05;

type ByClass<T> = [T; Class::ALL.len()];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredSlice")]
struct Slice {
    #[serde(with = "ts_seconds")]
    from: DateTime<Utc>,
    made: ByClass<u32>,
    /// Calls of all classes in each minute since `from`.
    by_minute: [u32; MINUTES],
    /// With those that had to be refused to whoever cannot choose the moment.
    wanted: ByClass<u32>,
}

/// A slice as a row may have it.
#[derive(Deserialize)]
struct StoredSlice {
    #[serde(with = "ts_seconds")]
    from: DateTime<Utc>,
    made: ByClass<u32>,
    by_minute: Option<[u32; MINUTES]>,
    wanted: ByClass<u32>,
}

impl From<StoredSlice> for Slice {
    fn from(stored: StoredSlice) -> Self {
        // Written before minutes were counted: all of them leave with the last.
        let made_last = || {
            let mut by_minute = [0; MINUTES];
            by_minute[MINUTES - 1] = stored.made.iter().sum();
            by_minute
        };
        Self {
            from: stored.from,
            made: stored.made,
            by_minute: stored.by_minute.unwrap_or_else(made_last),
            wanted: stored.wanted,
        }
    }
}

/// What was spent in the last day, and what is expected of the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Day {
    slices: VecDeque<Slice>,
    /// When the first call was noted.
    since: Option<DateTime<Utc>>,
    /// Calls a day that a class has wanted lately.
    expected: ByClass<f64>,
    /// Calls a day that a class cannot do without, as the planner says.
    needs: ByClass<u32>,
}

impl Day {
    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.slices.retain(|slice| slice.is_within(now));
    }

    /// Calls of the future count as made just now.
    pub(super) fn bound(&mut self, now: DateTime<Utc>) {
        for slice in &mut self.slices {
            slice.from = slice.from.min(now);
        }
        self.since = self.since.map(|since| since.min(now));
    }

    /// What is still in the window at a moment, if nothing is spent until then.
    fn within(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Slice> {
        self.slices.iter().filter(move |slice| slice.is_within(now))
    }

    pub(super) fn used(&self, now: DateTime<Utc>) -> u32 {
        self.sum(now, |slice| slice.calls_at(now))
    }

    /// Calls a minute that members who wait have wanted in the last minutes.
    pub(super) fn waiting_a_minute(&self, now: DateTime<Utc>) -> u32 {
        let lately = self.slices.iter().rev().take(2);
        lately
            .filter_map(|slice| {
                let since = (now - slice.from).num_minutes();
                let minutes = u32::try_from(since.clamp(2, SLICE.num_minutes())).ok()?;
                (since < 2 * SLICE.num_minutes())
                    .then(|| slice.wanted[Class::Waiting.index()].div_ceil(minutes))
            })
            .max()
            .unwrap_or(0)
    }

    pub(super) fn made_by(&self, now: DateTime<Utc>, class: Class) -> u32 {
        self.sum(now, |slice| slice.made[class.index()])
    }

    fn sum(&self, now: DateTime<Utc>, of: impl Fn(&Slice) -> u32) -> u32 {
        self.within(now)
            .fold(0, |sum, slice| sum.saturating_add(of(slice)))
    }

    pub(super) fn need(&mut self, class: Class, calls_a_day: u32) {
        self.needs[class.index()] = calls_a_day;
    }

    /// Says what a class will probably want, which counts until a whole day was
    /// seen.
    pub(super) fn foresee(&mut self, now: DateTime<Utc>, class: Class, calls_a_day: u32) {
        let is_new = self.since.is_none_or(|since| now - since < DAY);
        if is_new {
            let expected = &mut self.expected[class.index()];
            *expected = expected.max(f64::from(calls_a_day));
        }
    }

    /// Whether members who wait and WHOOP's events may take most of the day, or
    /// find too little beside what others have taken.
    pub(super) fn is_scarce(&self, now: DateTime<Utc>, limits: Limits, foreign: u32) -> bool {
        let urgent =
            self.reserved(now, limits, Class::Waiting) + self.reserved(now, limits, Class::Webhook);
        let others: u32 = Class::Slot
            .and_less_urgent()
            .map(|class| self.made_by(now, class))
            .sum();
        let day = f64::from(limits.per_day) / 100.0;
        urgent + f64::from(foreign) > day * SCARCE_FROM
            || urgent + f64::from(foreign) + f64::from(others) > day * FULL_FROM
    }

    /// Notes calls that were wanted, and how many of them were allowed.
    pub(super) fn spend(&mut self, now: DateTime<Utc>, class: Class, wanted: u32, made: u32) {
        self.since.get_or_insert(now);
        let is_over = |slice: &Slice| now - slice.from >= SLICE;
        if self.slices.back().is_none_or(is_over) {
            self.learn(now);
            self.slices.push_back(Slice {
                from: now,
                made: ByClass::default(),
                by_minute: [0; MINUTES],
                wanted: ByClass::default(),
            });
        }
        if let Some(slice) = self.slices.back_mut() {
            slice.made[class.index()] += made;
            let minute = usize::try_from((now - slice.from).num_minutes()).unwrap_or(0);
            slice.by_minute[minute.min(MINUTES - 1)] += made;
            slice.wanted[class.index()] += match class {
                Class::Waiting | Class::Webhook => wanted,
                // A run that wants more than there is says nothing of tomorrow.
                Class::Slot | Class::Dormant | Class::History => made,
            };
        }
    }

    fn learn(&mut self, now: DateTime<Utc>) {
        let since = self
            .slices
            .back()
            .map_or(TimeDelta::zero(), |last| now - last.from);
        let days = since.as_seconds_f64() / DAY.as_seconds_f64();
        for class in Class::ALL {
            let wanted = self.sum(now, |slice| slice.wanted[class.index()]);
            let expected = &mut self.expected[class.index()];
            *expected = (*expected * FADES.powf(days)).max(f64::from(wanted));
        }
    }

    /// Calls that are held back for a class that is more urgent.
    fn reserved(&self, now: DateTime<Utc>, limits: Limits, class: Class) -> f64 {
        let least = match class {
            Class::Waiting => limits.per_day / LEAST_FOR_WAITING,
            _ => 0,
        };
        self.expected[class.index()]
            .max(f64::from(self.made_by(now, class)))
            .max(f64::from(least))
    }

    /// Calls that a class may still make today.
    pub(super) fn room(
        &self,
        now: DateTime<Utc>,
        limits: Limits,
        class: Class,
        foreign: u32,
    ) -> u32 {
        let left = limits
            .per_day
            .saturating_sub(self.used(now))
            .saturating_sub(foreign);
        if class == Class::Waiting {
            return left;
        }
        let reserved: f64 = class
            .more_urgent()
            .map(|other| self.reserved(now, limits, other) * MARGIN)
            .sum();
        let least = (limits.per_day / LEAST_FOR_ANY).max(1);
        let needed: u32 = class
            .and_less_urgent()
            .skip(1)
            .map(|other| {
                self.needs[other.index()]
                    .max(least)
                    .saturating_sub(self.made_by(now, other))
            })
            .sum();
        let spent: u32 = class
            .and_less_urgent()
            .map(|other| self.made_by(now, other))
            .sum();
        let share = f64::from(limits.per_day) - reserved - f64::from(needed) - f64::from(spent);
        let own = self.needs[class.index()].max(least);
        left.min(
            own.saturating_sub(self.made_by(now, class))
                .max(whole(share)),
        )
    }

    /// The moments at which there may be more room than now, in order.
    pub(super) fn turns(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.slices.iter().flat_map(|slice| {
            let minutes = slice.by_minute.iter().enumerate();
            minutes
                .filter(|(_, calls)| **calls > 0)
                .map(|(minute, _)| end_of(slice.from, minute) + DAY)
        })
    }
}

impl Slice {
    fn is_within(&self, now: DateTime<Utc>) -> bool {
        now - self.from < DAY || self.calls_at(now) > 0
    }

    /// Those that are still in the window.
    fn calls_at(&self, now: DateTime<Utc>) -> u32 {
        let minutes = self.by_minute.iter().enumerate();
        minutes
            .filter(|(minute, _)| now < end_of(self.from, *minute) + DAY)
            .map(|(_, calls)| calls)
            .sum()
    }
}

/// Ten minutes after the start at the latest, as no slice is longer.
fn end_of(from: DateTime<Utc>, minute: usize) -> DateTime<Utc> {
    from + TimeDelta::minutes(i64::try_from(minute).unwrap_or(i64::MAX).saturating_add(1))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates, which is what is meant"
)]
fn whole(calls: f64) -> u32 {
    calls.floor() as u32
}
