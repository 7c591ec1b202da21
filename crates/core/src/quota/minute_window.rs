//! Minute window of the quota ledger: the permits of the last minute, and the rate limit for
//! background calls, which are all calls except interactive ones.

use std::collections::VecDeque;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};

use super::{
    PriorityClass,
    class::{ByClass, ClassShares},
};

/// Length of the minute window in the ledger: 61 seconds. It is one second longer than WHOOP's
/// window, because the time between the grant of a permit and the arrival of the request at WHOOP
/// varies.
pub(super) const MINUTE_LENGTH: TimeDelta = TimeDelta::seconds(61);

/// Maximum time between two permits of one class that are stored in the same entry: 100 ms. The
/// entry has the time of the latest of its permits.
const ENTRY_LENGTH: TimeDelta = TimeDelta::milliseconds(100);

/// Maximum time by which a background permit may be granted before its time: 1.5 seconds. The times
/// of background permits are spread evenly over the minute.
const MAX_LEAD: TimeDelta = TimeDelta::milliseconds(1_500);

/// Percentage of the minute's permits that background work may use at once after two minutes
/// without any call.
const BURST_PERCENT: u32 = 60;

/// Minimum number of permits that are reserved for app requests.
const MIN_KEPT_FREE: u32 = 2;

/// Percentage of the minute's permits above which app requests get a larger reserve.
///
/// If app requests lately used more than this percentage, two permits are reserved for each
/// additional call. If they used less, no larger reserve is necessary: the even rate of background
/// calls frees a permit for app requests every 0.6 seconds.
const BUSY_FROM_PERCENT: u32 = 32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PermitEntry {
    #[serde(with = "ts_milliseconds")]
    at: DateTime<Utc>,
    class: PriorityClass,
    calls: u32,
}

/// Number of permits that a priority class requested and did not get. The next permits are reserved
/// for this class, so that classes of lower priority do not take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusedDemand {
    calls: u32,
    /// Time until which the permits are reserved. If the class has not requested them again by
    /// then, no call waits for them any more.
    until: DateTime<Utc>,
}

/// Permits of the last two minutes, ordered by time, and the permits that each class requested and
/// did not get.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MinuteWindow {
    entries: VecDeque<PermitEntry>,
    demand: ByClass<Option<RefusedDemand>>,
    /// End of the time span that the granted permits fill if they are spread evenly over the
    /// minute. Only background work waits for this time.
    spread_until: Option<DateTime<Utc>>,
    /// Remaining permits of the burst: the permits that background work may use at once after two
    /// minutes without any call.
    burst_left: u32,
}

impl MinuteWindow {
    pub(super) fn remove_expired(&mut self, now: DateTime<Utc>) {
        self.entries
            .retain(|entry| now - entry.at < MINUTE_LENGTH + MINUTE_LENGTH);
    }

    /// Corrects stored times that lie in the future, because they were written while the database's
    /// clock was ahead.
    pub(super) fn clamp_future_times(&mut self, now: DateTime<Utc>) {
        for entry in &mut self.entries {
            entry.at = entry.at.min(now);
        }
        self.spread_until = self
            .spread_until
            .map(|until| until.min(now + MINUTE_LENGTH));
        for demand in self.demand.iter_mut().flatten() {
            demand.until = demand.until.min(now + MINUTE_LENGTH);
        }
    }

    pub(super) fn used(&self, now: DateTime<Utc>) -> u32 {
        self.sum_calls(now, MINUTE_LENGTH, |_| true)
    }

    fn used_by(&self, now: DateTime<Utc>, class: PriorityClass) -> u32 {
        self.sum_calls(now, MINUTE_LENGTH, |entry| entry.class == class)
    }

    fn sum_calls(
        &self,
        now: DateTime<Utc>,
        length: TimeDelta,
        of: impl Fn(&PermitEntry) -> bool,
    ) -> u32 {
        let within = self.entries.iter().rev();
        within
            .take_while(|entry| now - entry.at < length)
            .filter(|entry| of(entry))
            .fold(0, |sum, entry| sum.saturating_add(entry.calls))
    }

    pub(super) fn add_permits(
        &mut self,
        now: DateTime<Utc>,
        per_minute: u32,
        class: PriorityClass,
        calls: u32,
    ) {
        if self.is_quiet(now) {
            self.burst_left = burst_size(per_minute);
        } else if self.spread_until.is_none_or(|until| until <= now) {
            self.burst_left = 0;
        }
        if class != PriorityClass::Interactive {
            self.burst_left = self.burst_left.saturating_sub(calls);
        }
        let start = self.spread_until.unwrap_or(now).max(now);
        self.spread_until = Some(start + spread_interval(per_minute, calls));
        if let Some(demand) = &mut self.demand[class.index()] {
            demand.calls = demand.calls.saturating_sub(calls);
        }
        match self.entries.back_mut() {
            Some(last) if last.class == class && now - last.at < ENTRY_LENGTH => {
                last.at = last.at.max(now);
                last.calls += calls;
            }
            _ => self.entries.push_back(PermitEntry {
                at: now,
                class,
                calls,
            }),
        }
    }

    /// Gives unused permits back to the window. They were taken at the time `taken_at`.
    pub(super) fn return_unused(
        &mut self,
        taken_at: DateTime<Utc>,
        per_minute: u32,
        class: PriorityClass,
        calls: u32,
    ) {
        // The stored times have a precision of milliseconds.
        let taken_at = taken_at.trunc_subsecs(3);
        let mut remaining = calls;
        for entry in &mut self.entries {
            if entry.class == class && entry.at >= taken_at {
                let returned = entry.calls.min(remaining);
                entry.calls -= returned;
                remaining -= returned;
            }
        }
        self.entries.retain(|entry| entry.calls > 0);
        self.spread_until = self
            .spread_until
            .map(|until| until - spread_interval(per_minute, calls - remaining));
    }

    /// Records that a class did not get `calls` permits and will request them again before the time
    /// `until`.
    pub(super) fn record_demand(
        &mut self,
        now: DateTime<Utc>,
        class: PriorityClass,
        calls: u32,
        until: DateTime<Utc>,
    ) {
        let calls = calls.max(self.demand_of(now, class));
        self.demand[class.index()] = Some(RefusedDemand { calls, until });
    }

    fn demand_of(&self, now: DateTime<Utc>, class: PriorityClass) -> u32 {
        self.demand[class.index()]
            .filter(|demand| demand.until > now)
            .map_or(0, |demand| demand.calls)
    }

    /// Returns the number of permits that a class can take from this window now.
    pub(super) fn available(
        &self,
        now: DateTime<Utc>,
        per_minute: u32,
        class: PriorityClass,
        foreign: u32,
    ) -> u32 {
        let free = self.free_permits(now, per_minute, class, foreign);
        match class {
            PriorityClass::Interactive => free,
            _ => free.min(self.background_permits(now, per_minute)),
        }
    }

    /// Returns the number of permits that are neither used nor reserved for other classes.
    fn free_permits(
        &self,
        now: DateTime<Utc>,
        per_minute: u32,
        class: PriorityClass,
        foreign: u32,
    ) -> u32 {
        let free = per_minute
            .saturating_sub(self.used(now))
            .saturating_sub(foreign);
        let below_share = |class| {
            ClassShares::MINUTE
                .of(class, per_minute)
                .max(1)
                .saturating_sub(self.used_by(now, class))
        };
        let is_below = below_share(class) > 0;
        let higher: u32 = class
            .higher()
            .map(|other| {
                let demand = self.demand_of(now, other);
                if is_below {
                    demand.min(below_share(other))
                } else {
                    demand
                }
            })
            .sum();
        let lower: u32 = class
            .lower()
            .filter(|_| !is_below)
            .map(|other| self.demand_of(now, other).min(below_share(other)))
            .sum();
        let free = free.saturating_sub(higher).saturating_sub(lower);
        match class {
            PriorityClass::Interactive => free,
            _ => free.saturating_sub(self.kept_free(now, per_minute)),
        }
    }

    /// Returns the number of permits that are reserved for members who open the app. It grows with
    /// the number of interactive calls in the last two minutes.
    fn kept_free(&self, now: DateTime<Utc>, per_minute: u32) -> u32 {
        let interactive = PriorityClass::Interactive;
        let recent_calls = self.sum_calls(now, MINUTE_LENGTH + MINUTE_LENGTH, |entry| {
            entry.class == interactive
        }) / 2;
        let share = ClassShares::MINUTE.of(interactive, per_minute);
        let above = recent_calls.saturating_sub(per_minute * BUSY_FROM_PERCENT / 100);
        MIN_KEPT_FREE
            .max(above.saturating_mul(2))
            .min(share.saturating_sub(self.used_by(now, interactive)))
    }

    /// Returns the number of background permits that can be granted now if they are spread evenly
    /// over the minute.
    fn background_permits(&self, now: DateTime<Utc>, per_minute: u32) -> u32 {
        if self.is_quiet(now) {
            return burst_size(per_minute);
        }
        let until = self.spread_until.unwrap_or(now);
        let ahead = (now + MAX_LEAD - until.max(now)).num_microseconds();
        let paced =
            u32::try_from(ahead.unwrap_or(0) / microseconds_per_permit(per_minute)).unwrap_or(0);
        if until > now {
            paced.max(self.burst_left)
        } else {
            paced.max(1)
        }
    }

    /// Returns whether there was no call in the last two minutes, so that background work may use
    /// many permits at once (a burst).
    fn is_quiet(&self, now: DateTime<Utc>) -> bool {
        self.sum_calls(now, MINUTE_LENGTH + MINUTE_LENGTH, |_| true) == 0
    }

    /// Returns the times at which more permits may become available, in any order.
    pub(super) fn release_times(&self, per_minute: u32) -> Vec<DateTime<Utc>> {
        let ends = self.entries.iter().flat_map(|entry| {
            [
                entry.at + MINUTE_LENGTH,
                entry.at + MINUTE_LENGTH + MINUTE_LENGTH,
            ]
        });
        let paced = self
            .spread_until
            .map(|until| until - MAX_LEAD + spread_interval(per_minute, 1));
        let demands = self.demand.iter().flatten().map(|demand| demand.until);
        ends.chain(paced).chain(demands).collect()
    }
}

/// Returns the number of permits that background work may use at once after two minutes without any
/// call.
const fn burst_size(per_minute: u32) -> u32 {
    let burst = per_minute.saturating_mul(BURST_PERCENT) / 100;
    if burst == 0 { 1 } else { burst }
}

/// Returns the length of the time span that `calls` permits fill if they are spread evenly.
fn spread_interval(per_minute: u32, calls: u32) -> TimeDelta {
    TimeDelta::microseconds(microseconds_per_permit(per_minute) * i64::from(calls))
}

fn microseconds_per_permit(per_minute: u32) -> i64 {
    (MINUTE_LENGTH.num_microseconds().unwrap_or(0) / i64::from(per_minute.max(1))).max(1)
}
