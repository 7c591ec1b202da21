//! The last 24 hours, by class, in slices of ten minutes.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc, serde::ts_seconds};
use serde::{Deserialize, Serialize};

use super::{Class, Limits};

/// The length of the day's window.
pub const DAY: TimeDelta = TimeDelta::hours(24);

/// A slice leaves the window as a whole, when its youngest call may.
const SLICE: TimeDelta = TimeDelta::minutes(10);

/// What is left of an expectation a day later.
const FADES: f64 = 0.8;

/// Kept for members who wait, whatever is expected: one call in so many.
const LEAST_FOR_WAITING: u32 = 20;

/// What every class finds, whatever is expected of others, as long as no member
/// needs it who waits: one in so many.
const LEAST_FOR_ANY: u32 = 100;

type ByClass<T> = [T; Class::ALL.len()];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Slice {
    #[serde(with = "ts_seconds")]
    from: DateTime<Utc>,
    made: ByClass<u32>,
    /// With those that had to be refused to whoever cannot choose the moment.
    wanted: ByClass<u32>,
}

/// What was spent in the last day, and what is expected of the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Day {
    slices: VecDeque<Slice>,
    /// Calls a day that a class has wanted lately.
    expected: ByClass<f64>,
    /// Calls a day that a class cannot do without, as the planner says.
    needs: ByClass<u32>,
}

impl Day {
    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.slices.retain(|slice| now - slice.from < DAY + SLICE);
    }

    /// As it will be at another moment, if nothing is spent until then.
    pub(super) fn at(&self, now: DateTime<Utc>) -> Self {
        let mut then = self.clone();
        then.forget_old(now);
        then
    }

    pub(super) fn used(&self) -> u32 {
        Class::ALL
            .into_iter()
            .map(|class| self.made_by(class))
            .sum()
    }

    pub(super) fn made_by(&self, class: Class) -> u32 {
        self.sum(|slice| slice.made[class.index()])
    }

    fn sum(&self, of: impl Fn(&Slice) -> u32) -> u32 {
        self.slices
            .iter()
            .fold(0, |sum, slice| sum.saturating_add(of(slice)))
    }

    pub(super) fn need(&mut self, class: Class, calls_a_day: u32) {
        self.needs[class.index()] = calls_a_day;
    }

    /// Notes calls that were wanted, and how many of them were allowed.
    pub(super) fn spend(&mut self, now: DateTime<Utc>, class: Class, wanted: u32, made: u32) {
        let is_over = |slice: &Slice| now - slice.from >= SLICE;
        if self.slices.back().is_none_or(is_over) {
            self.learn(now);
            self.slices.push_back(Slice {
                from: now,
                made: ByClass::default(),
                wanted: ByClass::default(),
            });
        }
        if let Some(slice) = self.slices.back_mut() {
            slice.made[class.index()] += made;
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
            let wanted = self.sum(|slice| slice.wanted[class.index()]);
            let expected = &mut self.expected[class.index()];
            *expected = (*expected * FADES.powf(days)).max(f64::from(wanted));
        }
    }

    /// Calls that are held back for a class that is more urgent.
    fn reserved(&self, limits: Limits, class: Class) -> f64 {
        let least = match class {
            Class::Waiting => limits.per_day / LEAST_FOR_WAITING,
            _ => 0,
        };
        self.expected[class.index()]
            .max(f64::from(self.made_by(class)))
            .max(f64::from(least))
    }

    /// Calls that a class may still make today.
    pub(super) fn room(&self, limits: Limits, class: Class, foreign: u32) -> u32 {
        let left = limits
            .per_day
            .saturating_sub(self.used())
            .saturating_sub(foreign);
        if class == Class::Waiting {
            return left;
        }
        let reserved: f64 = class
            .more_urgent()
            .map(|other| self.reserved(limits, other))
            .sum();
        let least = limits.per_day / LEAST_FOR_ANY;
        let needed: u32 = class
            .and_less_urgent()
            .skip(1)
            .map(|other| {
                self.needs[other.index()]
                    .max(least)
                    .saturating_sub(self.made_by(other))
            })
            .sum();
        let spent: u32 = class
            .and_less_urgent()
            .map(|other| self.made_by(other))
            .sum();
        let share = f64::from(limits.per_day) - reserved - f64::from(needed) - f64::from(spent);
        let own = self.needs[class.index()].max(least);
        left.min(own.saturating_sub(self.made_by(class)).max(whole(share)))
    }

    /// The moments at which there may be more room than now, in order.
    pub(super) fn turns(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.slices.iter().map(|slice| slice.from + DAY + SLICE)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates, which is what is meant"
)]
fn whole(calls: f64) -> u32 {
    calls.floor() as u32
}
