//! The day window: permits of the last 24 hours by class, and what each class needs.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc, serde::ts_seconds};
use serde::{Deserialize, Serialize};

use super::{
    PriorityClass, QuotaLimits,
    class::{ByClass, ClassShares},
};

/// Length of the day window.
pub const DAY_LENGTH: TimeDelta = TimeDelta::hours(24);

const SLICE_LENGTH: TimeDelta = TimeDelta::minutes(10);

/// Shares of the classes are counted over an hour less than a day, so that a run at eight does not wait for the
/// calls of yesterday's run at eight to leave.
const SHARE_LENGTH: TimeDelta = TimeDelta::hours(23);

/// The permits of a minute leave the window together, when the youngest of them may.
const MINUTES_PER_SLICE: usize = 10;

/// Calls are scarce if members who open the app need more than this percentage of the day, or
/// the service as a whole more than [`FULL_FROM_PERCENT`].
const SCARCE_FROM_PERCENT: u32 = 60;

const FULL_FROM_PERCENT: u32 = 92;

/// Percentage of the day that only interactive calls may use, because no day is like the one before.
const INTERACTIVE_ONLY_PERCENT: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DaySlice {
    #[serde(with = "ts_seconds")]
    from: DateTime<Utc>,
    made: ByClass<u32>,
    /// Permits of all classes in each minute since `from`. A row of an older version may lack it: then all of them leave with
    /// the last minute.
    #[serde(default)]
    by_minute: Option<[u32; MINUTES_PER_SLICE]>,
}

/// Permits of the last day, and the need of each class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DayWindow {
    slices: VecDeque<DaySlice>,
    /// Calls a day that a class needs, according to the planner of scheduled runs.
    needs: ByClass<u32>,
}

impl DayWindow {
    pub(super) fn remove_expired(&mut self, now: DateTime<Utc>) {
        self.slices.retain(|slice| slice.is_within(now));
    }

    /// Moves times in the future to `now`: the database's clock was ahead when they were written.
    pub(super) fn clamp_future_times(&mut self, now: DateTime<Utc>) {
        for slice in &mut self.slices {
            slice.from = slice.from.min(now);
        }
    }

    /// Calls that are in the window at a moment, if none is made until then.
    pub(super) fn used(&self, now: DateTime<Utc>) -> u32 {
        self.sum_calls(now, |slice| slice.calls_at(now))
    }

    pub(super) fn used_by(&self, now: DateTime<Utc>, class: PriorityClass) -> u32 {
        self.sum_calls(now, |slice| slice.made[class.index()])
    }

    fn sum_calls(&self, now: DateTime<Utc>, of: impl Fn(&DaySlice) -> u32) -> u32 {
        let within = self.slices.iter().filter(|slice| slice.is_within(now));
        within.fold(0, |sum, slice| sum.saturating_add(of(slice)))
    }

    pub(super) fn set_need(&mut self, class: PriorityClass, calls: u32) {
        self.needs[class.index()] = calls;
    }

    pub(super) fn add_permits(&mut self, now: DateTime<Utc>, class: PriorityClass, calls: u32) {
        let is_over = |slice: &DaySlice| now - slice.from >= SLICE_LENGTH;
        if self.slices.back().is_none_or(is_over) {
            self.slices.push_back(DaySlice {
                from: now,
                made: ByClass::default(),
                by_minute: Some([0; MINUTES_PER_SLICE]),
            });
        }
        if let Some(slice) = self.slices.back_mut() {
            let minute = usize::try_from((now - slice.from).num_minutes()).unwrap_or(0);
            let mut by_minute = slice.by_minute();
            by_minute[minute.min(MINUTES_PER_SLICE - 1)] += calls;
            slice.by_minute = Some(by_minute);
            slice.made[class.index()] += calls;
        }
    }

    /// Takes back permits that were taken at `taken_at` and not used.
    pub(super) fn return_unused(
        &mut self,
        taken_at: DateTime<Utc>,
        class: PriorityClass,
        calls: u32,
    ) {
        let mut slices = self.slices.iter_mut().rev();
        let Some(slice) = slices.find(|slice| slice.from <= taken_at) else {
            return;
        };
        let mut by_minute = slice.by_minute();
        let minute = usize::try_from((taken_at - slice.from).num_minutes()).unwrap_or(0);
        let made = &mut by_minute[minute.min(MINUTES_PER_SLICE - 1)];
        let back = calls.min(*made).min(slice.made[class.index()]);
        *made -= back;
        slice.made[class.index()] -= back;
        slice.by_minute = Some(by_minute);
    }

    /// Calls a day that a class can always make. Only inactive members' need is known beforehand; the share of the
    /// others is small.
    fn guaranteed(&self, limits: QuotaLimits, class: PriorityClass) -> u32 {
        let share = ClassShares::DAY.of(class, limits.per_day);
        match class {
            PriorityClass::Inactive => share.min(self.needs[class.index()]),
            _ => share,
        }
    }

    /// Calls that a class can still make in this window.
    pub(super) fn available(
        &self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
        foreign: u32,
    ) -> u32 {
        let left = limits
            .per_day
            .saturating_sub(self.used(now))
            .saturating_sub(foreign);
        let missing = |calls: u32, other: PriorityClass| {
            let since = now - SHARE_LENGTH;
            let lately = self.slices.iter().filter(|slice| slice.from > since);
            lately.fold(calls, |left, slice| {
                left.saturating_sub(slice.made[other.index()])
            })
        };
        let higher: u32 = class
            .higher()
            .map(|other| missing(self.needs[other.index()], other))
            .sum();
        let lower: u32 = class
            .lower()
            .map(|other| missing(self.guaranteed(limits, other), other))
            .sum();
        let kept = match class {
            PriorityClass::Interactive => 0,
            _ => percent_of_day(limits, INTERACTIVE_ONLY_PERCENT),
        };
        let surplus = left.saturating_sub(higher + lower + kept);
        let own = missing(self.guaranteed(limits, class), class);
        left.min(surplus.max(own))
    }

    /// Whether the day may not suffice for all members who open the app, so that reads which can
    /// be spared are to be spared.
    pub(super) fn is_scarce(&self, now: DateTime<Utc>, limits: QuotaLimits, foreign: u32) -> bool {
        let interactive = PriorityClass::Interactive;
        let expected = self.needs[interactive.index()].max(self.used_by(now, interactive));
        let others = interactive
            .lower()
            .fold(foreign, |sum, class| sum + self.used_by(now, class));
        expected > percent_of_day(limits, SCARCE_FROM_PERCENT)
            || expected + others > percent_of_day(limits, FULL_FROM_PERCENT)
    }

    /// The moments at which there may be more room than now, in order.
    pub(super) fn release_times(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.slices.iter().flat_map(|slice| {
            let minutes = slice.by_minute().into_iter().enumerate();
            minutes
                .filter(|(_, calls)| *calls > 0)
                .map(|(minute, _)| minute_end(slice.from, minute) + DAY_LENGTH)
        })
    }
}

impl DaySlice {
    fn by_minute(&self) -> [u32; MINUTES_PER_SLICE] {
        self.by_minute.unwrap_or_else(|| {
            let mut by_minute = [0; MINUTES_PER_SLICE];
            by_minute[MINUTES_PER_SLICE - 1] = self.made.iter().sum();
            by_minute
        })
    }

    fn is_within(&self, now: DateTime<Utc>) -> bool {
        now - self.from < DAY_LENGTH || self.calls_at(now) > 0
    }

    /// Calls of the slice that are still in the window.
    fn calls_at(&self, now: DateTime<Utc>) -> u32 {
        let minutes = self.by_minute().into_iter().enumerate();
        minutes
            .filter(|(minute, _)| now < minute_end(self.from, *minute) + DAY_LENGTH)
            .map(|(_, calls)| calls)
            .sum()
    }
}

/// The end of a minute of a slice.
fn minute_end(from: DateTime<Utc>, minute: usize) -> DateTime<Utc> {
    from + TimeDelta::minutes(i64::try_from(minute).unwrap_or(i64::MAX).saturating_add(1))
}

fn percent_of_day(limits: QuotaLimits, percent: u32) -> u32 {
    limits.per_day / 100 * percent + limits.per_day % 100 * percent / 100
}
