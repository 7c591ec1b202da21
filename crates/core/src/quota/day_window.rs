//! Day window of the quota ledger: the permits of the last 24 hours by priority class, and the
//! number of calls that each class is expected to need.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc, serde::ts_seconds};
use serde::{Deserialize, Serialize};

use super::{
    PriorityClass, QuotaLimits,
    class::{ByClass, ClassShares},
};

/// Length of the day window: 24 hours.
pub const DAY_LENGTH: TimeDelta = TimeDelta::hours(24);

const SLICE_LENGTH: TimeDelta = TimeDelta::minutes(10);

/// Time over which the calls of a class are counted against its guaranteed share: 23 hours.
///
/// It is one hour shorter than a day. Otherwise, the run at 8:00 would have to wait until the calls
/// of yesterday's run at 8:00 have left the window.
const SHARE_LENGTH: TimeDelta = TimeDelta::hours(23);

/// Number of minutes in a slice of the day window. The permits of one minute leave the window
/// together, 24 hours after the end of the minute.
const MINUTES_PER_SLICE: usize = 10;

/// Percentage of the day's calls for app requests above which the quota is scarce.
///
/// The quota is also scarce if all calls of the service exceed [`FULL_FROM_PERCENT`].
const SCARCE_FROM_PERCENT: u32 = 60;

const FULL_FROM_PERCENT: u32 = 92;

/// Percentage of the day's calls that is reserved for interactive calls, because their number
/// varies.
const INTERACTIVE_ONLY_PERCENT: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DaySlice {
    #[serde(with = "ts_seconds")]
    from: DateTime<Utc>,
    made: ByClass<u32>,
    /// Permits of all classes in each minute since `from`.
    ///
    /// A row that an older version of the service stored may lack this field. All permits of the
    /// slice then leave the window together with the last minute of the slice.
    #[serde(default)]
    by_minute: Option<[u32; MINUTES_PER_SLICE]>,
}

/// Permits of the last 24 hours, and the number of calls that each class is expected to need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DayWindow {
    slices: VecDeque<DaySlice>,
    /// Expected number of calls per day of each class, as determined by the last scheduled run.
    needs: ByClass<u32>,
}

impl DayWindow {
    pub(super) fn remove_expired(&mut self, now: DateTime<Utc>) {
        self.slices.retain(|slice| slice.is_within(now));
    }

    /// Corrects stored times that lie in the future to `now`. They were written while the
    /// database's clock was ahead.
    pub(super) fn clamp_future_times(&mut self, now: DateTime<Utc>) {
        for slice in &mut self.slices {
            slice.from = slice.from.min(now);
        }
    }

    /// Returns the number of calls in the 24 hours before `now`.
    ///
    /// `now` may lie in the future. The result then assumes that no further calls are made until
    /// that time.
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

    /// Gives unused permits back to the window. They were taken at the time `taken_at`.
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
        let returned = calls.min(*made).min(slice.made[class.index()]);
        *made -= returned;
        slice.made[class.index()] -= returned;
        slice.by_minute = Some(by_minute);
    }

    /// Returns the number of calls per day that are guaranteed to a class.
    ///
    /// This is the class's share. For inactive members, it is at most the number of calls that they
    /// are expected to need, because this number is known exactly. The shares of the other
    /// background classes are small.
    fn guaranteed(&self, limits: QuotaLimits, class: PriorityClass) -> u32 {
        let share = ClassShares::DAY.of(class, limits.per_day);
        match class {
            PriorityClass::Inactive => share.min(self.needs[class.index()]),
            _ => share,
        }
    }

    /// Returns the number of calls that a class can still make in this window. `foreign` is the
    /// number of calls that another program made with the same WHOOP app.
    pub(super) fn available(
        &self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
        foreign: u32,
    ) -> u32 {
        let remaining = limits
            .per_day
            .saturating_sub(self.used(now))
            .saturating_sub(foreign);
        let unused_calls = |calls: u32, other: PriorityClass| {
            let since = now - SHARE_LENGTH;
            let recent = self.slices.iter().filter(|slice| slice.from > since);
            recent.fold(calls, |remaining, slice| {
                remaining.saturating_sub(slice.made[other.index()])
            })
        };
        let higher: u32 = class
            .higher()
            .map(|other| unused_calls(self.needs[other.index()], other))
            .sum();
        let lower: u32 = class
            .lower()
            .map(|other| unused_calls(self.guaranteed(limits, other), other))
            .sum();
        let reserved = match class {
            PriorityClass::Interactive => 0,
            _ => percent_of_day(limits, INTERACTIVE_ONLY_PERCENT),
        };
        let surplus = remaining.saturating_sub(higher + lower + reserved);
        let own = unused_calls(self.guaranteed(limits, class), class);
        remaining.min(surplus.max(own))
    }

    /// Returns whether the calls of the day may not suffice for all members who will open the app,
    /// so that dispensable reads should be skipped.
    pub(super) fn is_scarce(&self, now: DateTime<Utc>, limits: QuotaLimits, foreign: u32) -> bool {
        let interactive = PriorityClass::Interactive;
        let expected = self.needs[interactive.index()].max(self.used_by(now, interactive));
        let others = interactive
            .lower()
            .fold(foreign, |sum, class| sum + self.used_by(now, class));
        expected > percent_of_day(limits, SCARCE_FROM_PERCENT)
            || expected + others > percent_of_day(limits, FULL_FROM_PERCENT)
    }

    /// Returns the times at which permits leave the window, in ascending order.
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

    /// Returns the number of calls of the slice that are in the 24 hours before `now`.
    fn calls_at(&self, now: DateTime<Utc>) -> u32 {
        let minutes = self.by_minute().into_iter().enumerate();
        minutes
            .filter(|(minute, _)| now < minute_end(self.from, *minute) + DAY_LENGTH)
            .map(|(_, calls)| calls)
            .sum()
    }
}

/// Returns the end of a minute of a slice that begins at `from`. `minute` counts from 0.
fn minute_end(from: DateTime<Utc>, minute: usize) -> DateTime<Utc> {
    from + TimeDelta::minutes(i64::try_from(minute).unwrap_or(i64::MAX).saturating_add(1))
}

fn percent_of_day(limits: QuotaLimits, percent: u32) -> u32 {
    limits.per_day / 100 * percent + limits.per_day % 100 * percent / 100
}
