use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DAY, LimitWindow, Limits, PriorityClass,
    breaker::Breaker,
    day::Day,
    minute::{MINUTE, Minute},
};

/// Maximum delay between the time named by [`Decision::Wait`] and the next request of the class.
const ASKS_AGAIN_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// The calls of all processes, and WHOOP's own count of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaLedger {
    minute_window: Minute,
    day: Day,
    /// Calls of another program that uses the same WHOOP app.
    foreign_minute: Option<Foreign>,
    foreign_day: Option<Foreign>,
    /// WHOOP refused a call: none is sent before then.
    closed: Option<Closed>,
    breaker: Breaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Foreign {
    calls: u32,
    until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    until: DateTime<Utc>,
    #[serde(alias = "period")]
    window: LimitWindow,
}

const fn length(window: LimitWindow) -> TimeDelta {
    match window {
        LimitWindow::Minute => MINUTE,
        LimitWindow::Day => DAY,
    }
}

/// The reason why a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The limit of this window is used up, or its rest is kept for other classes.
    Quota(LimitWindow),
    /// WHOOP does not answer; one call at a time finds out whether it does again.
    UpstreamOutage { since: DateTime<Utc> },
}

/// Answer to a request for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Number of calls that can be sent now.
    Granted(u32),
    /// None now; the next request makes sense at `until`.
    Wait {
        until: DateTime<Utc>,
        reason: WaitReason,
    },
}

/// Use of the quota, for metrics and `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub minute: u32,
    pub day: u32,
    /// WHOOP refused a call: none is sent before then.
    pub closed_until: Option<DateTime<Utc>>,
    /// WHOOP has not answered since then.
    pub outage_since: Option<DateTime<Utc>>,
    /// The last call failed.
    pub has_failures: bool,
}

impl QuotaLedger {
    /// Bounds every time by the present. Times in the future were written while the database's
    /// clock was ahead; a limit never lasts longer than its window.
    #[must_use]
    pub fn bounded_by(mut self, now: DateTime<Utc>) -> Self {
        self.minute_window.bound(now);
        self.day.bound(now);
        self.breaker.bound(now);
        let bound = |foreign: Option<Foreign>, longest| {
            foreign.map(|foreign| Foreign {
                until: foreign.until.min(now + longest),
                ..foreign
            })
        };
        self.foreign_minute = bound(self.foreign_minute, MINUTE);
        self.foreign_day = bound(self.foreign_day, DAY);
        self.closed = self.closed.map(|closed| Closed {
            until: closed.until.min(now + length(closed.window)),
            ..closed
        });
        self
    }

    /// Takes up to `want` permits for calls that are about to be sent.
    pub fn take(
        &mut self,
        now: DateTime<Utc>,
        limits: Limits,
        class: PriorityClass,
        want: u32,
    ) -> Decision {
        self.minute_window.forget_old(now);
        self.day.forget_old(now);
        if let (Some(until), Some(since)) =
            (self.breaker.paused_until(now), self.breaker.open_since())
        {
            let reason = WaitReason::UpstreamOutage { since };
            return Decision::Wait { until, reason };
        }
        let room = self.room(now, limits, class).min(want);
        let granted = if room > 0 {
            self.breaker.probe(now, room)
        } else {
            0
        };
        if granted > 0 {
            self.minute_window
                .spend(now, limits.per_minute, class, granted);
            self.day.spend(now, class, granted);
        }
        if granted < want && self.day_room(now, limits, class) > 0 {
            let until = self.wait(now, limits, class).0.max(now) + ASKS_AGAIN_WITHIN;
            self.minute_window.demand(now, class, want - granted, until);
        }
        if granted > 0 {
            return Decision::Granted(granted);
        }
        let (until, window) = self.wait(now, limits, class);
        let reason = WaitReason::Quota(window);
        Decision::Wait { until, reason }
    }

    /// Takes back permits that were taken at `taken_at` and whose calls were not sent.
    pub fn give_back(
        &mut self,
        taken_at: DateTime<Utc>,
        limits: Limits,
        class: PriorityClass,
        calls: u32,
    ) {
        self.minute_window
            .give_back(taken_at, limits.per_minute, class, calls);
        self.day.give_back(taken_at, class, calls);
    }

    /// Permits that a class can have now.
    pub fn room(&self, now: DateTime<Utc>, limits: Limits, class: PriorityClass) -> u32 {
        if self.closed_at(now).is_some() {
            return 0;
        }
        self.minute_room(now, limits, class)
            .min(self.day_room(now, limits, class))
    }

    /// Calls that a class can still make in this day, in however many minutes.
    pub fn day_room(&self, now: DateTime<Utc>, limits: Limits, class: PriorityClass) -> u32 {
        let foreign = calls_of(self.foreign_day, now);
        self.day.room(now, limits, class, foreign)
    }

    fn minute_room(&self, now: DateTime<Utc>, limits: Limits, class: PriorityClass) -> u32 {
        let foreign = calls_of(self.foreign_minute, now);
        self.minute_window
            .room(now, limits.per_minute, class, foreign)
    }

    fn closed_at(&self, now: DateTime<Utc>) -> Option<Closed> {
        self.closed.filter(|closed| closed.until > now)
    }

    /// The first moment at which the class can have a permit, and the window that delays it.
    fn wait(
        &self,
        now: DateTime<Utc>,
        limits: Limits,
        class: PriorityClass,
    ) -> (DateTime<Utc>, LimitWindow) {
        if let Some(closed) = self.closed_at(now) {
            return (closed.until, closed.window);
        }
        let window = if self.day_room(now, limits, class) == 0 {
            LimitWindow::Day
        } else {
            LimitWindow::Minute
        };
        let (mut turns, foreign): (Vec<_>, _) = match window {
            LimitWindow::Minute => (
                self.minute_window.turns(limits.per_minute),
                self.foreign_minute,
            ),
            LimitWindow::Day => (self.day.turns().collect(), self.foreign_day),
        };
        turns.extend(foreign.map(|other| other.until));
        turns.retain(|turn| *turn > now);
        turns.sort_unstable();
        let has_room = |at: &DateTime<Utc>| match window {
            LimitWindow::Minute => self.minute_room(*at, limits, class) > 0,
            LimitWindow::Day => self.day_room(*at, limits, class) > 0,
        };
        let at = match window {
            LimitWindow::Minute => turns.into_iter().find(has_room),
            // A day has many such moments, and there is more room after each.
            LimitWindow::Day => {
                let first = turns.partition_point(|turn| !has_room(turn));
                turns.get(first).copied()
            }
        };
        // Without such a moment, as with a limit of 0, after a whole window.
        (at.unwrap_or(now + length(window)), window)
    }

    /// Sets how many calls a day a class needs, as the planner of scheduled runs computes it.
    pub fn set_need(&mut self, class: PriorityClass, calls: u32) {
        self.day.set_need(class, calls);
    }

    /// Whether the day may not suffice for all members who open the app, so that reads which can
    /// be spared are to be spared.
    pub fn is_scarce(&self, now: DateTime<Utc>, limits: Limits) -> bool {
        let foreign = calls_of(self.foreign_day, now);
        self.day.is_scarce(now, limits, foreign)
    }

    /// Corrects the ledger by WHOOP's own count of a window: another program made the calls that WHOOP has counted and the
    /// ledger has not. Returns whether there were any.
    pub fn whoop_counted(
        &mut self,
        now: DateTime<Utc>,
        window: LimitWindow,
        counted: u32,
        reset: TimeDelta,
    ) -> bool {
        self.minute_window.forget_old(now);
        self.day.forget_old(now);
        let ours = match window {
            LimitWindow::Minute => self.minute_window.used(now),
            LimitWindow::Day => self.day.used(now),
        };
        let known = match window {
            LimitWindow::Minute => &mut self.foreign_minute,
            LimitWindow::Day => &mut self.foreign_day,
        };
        let calls = counted.saturating_sub(ours);
        if calls <= calls_of(*known, now) {
            return false;
        }
        *known = Some(Foreign {
            calls,
            until: now + reset,
        });
        true
    }

    /// Notes that WHOOP refused a call with 429: none is sent before `until`.
    pub fn close(&mut self, until: DateTime<Utc>, window: LimitWindow) {
        if self.closed.is_none_or(|known| known.until < until) {
            self.closed = Some(Closed { until, window });
        }
    }

    /// Notes a call that WHOOP did not answer, or with a 5xx. `member` is a hash of the member's id. Returns
    /// whether an outage begins: from now on one call at a time is sent as a probe.
    pub fn call_failed(&mut self, now: DateTime<Utc>, member: u64) -> bool {
        self.breaker.failed(now, member)
    }

    /// Notes that WHOOP answered. Returns the start of the outage that ends with it.
    pub fn call_succeeded(&mut self) -> Option<DateTime<Utc>> {
        self.breaker.succeeded()
    }

    pub fn usage(&self, now: DateTime<Utc>) -> Usage {
        Usage {
            minute: self.minute_window.used(now) + calls_of(self.foreign_minute, now),
            day: self.day.used(now) + calls_of(self.foreign_day, now),
            closed_until: self.closed_at(now).map(|closed| closed.until),
            outage_since: self.breaker.open_since(),
            has_failures: self.breaker.has_failures(),
        }
    }

    /// Calls of each class in the last 24 hours.
    pub fn usage_by_class(&self, now: DateTime<Utc>) -> [(PriorityClass, u32); 5] {
        PriorityClass::ALL.map(|class| (class, self.day.used_by(now, class)))
    }
}

fn calls_of(foreign: Option<Foreign>, now: DateTime<Utc>) -> u32 {
    foreign
        .filter(|foreign| foreign.until > now)
        .map_or(0, |foreign| foreign.calls)
}
