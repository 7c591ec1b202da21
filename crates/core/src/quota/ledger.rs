use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DAY_LENGTH, LimitWindow, PriorityClass, QuotaLimits,
    breaker::CircuitBreaker,
    day_window::DayWindow,
    minute_window::{MINUTE_LENGTH, MinuteWindow},
};

/// Maximum delay between the time named by [`PermitDecision::Wait`] and the next request of the
/// class.
const ASKS_AGAIN_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// The quota ledger: the calls of all processes, and WHOOP's own count of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaLedger {
    minute_window: MinuteWindow,
    day: DayWindow,
    /// Calls of another program that uses the same WHOOP app, in the minute window.
    foreign_minute: Option<ForeignCalls>,
    foreign_day: Option<ForeignCalls>,
    /// Block after WHOOP refused a call with 429: no call is sent before it ends.
    closed: Option<RateLimitBlock>,
    breaker: CircuitBreaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ForeignCalls {
    calls: u32,
    until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct RateLimitBlock {
    until: DateTime<Utc>,
    #[serde(alias = "period")]
    window: LimitWindow,
}

const fn window_length(window: LimitWindow) -> TimeDelta {
    match window {
        LimitWindow::Minute => MINUTE_LENGTH,
        LimitWindow::Day => DAY_LENGTH,
    }
}

/// The reason for which a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The limit of this window is used up, or its rest is reserved for other classes.
    Quota(LimitWindow),
    /// WHOOP fails to answer; single calls probe whether the outage is over.
    UpstreamOutage { since: DateTime<Utc> },
}

/// Answer to a request for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitDecision {
    /// Number of calls that can be sent now.
    Granted(u32),
    /// No permit is available now; the caller should request one again at `until`.
    Wait {
        until: DateTime<Utc>,
        reason: WaitReason,
    },
}

/// Use of the quota, for metrics and `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUsage {
    pub minute: u32,
    pub day: u32,
    /// End of the block after WHOOP refused a call with 429; no call is sent before then.
    pub closed_until: Option<DateTime<Utc>>,
    /// Start of the outage, if the circuit breaker is open.
    pub outage_since: Option<DateTime<Utc>>,
    /// Whether a call has failed since the last success.
    pub has_failures: bool,
}

impl QuotaLedger {
    /// Limits stored times that lie too far in the future, because they were written while the
    /// database's clock was ahead: a block never lasts longer than its window.
    #[must_use]
    pub fn with_clamped_times(mut self, now: DateTime<Utc>) -> Self {
        self.minute_window.clamp_future_times(now);
        self.day.clamp_future_times(now);
        self.breaker.clamp_future_times(now);
        let clamp = |foreign: Option<ForeignCalls>, max_length| {
            foreign.map(|foreign| ForeignCalls {
                until: foreign.until.min(now + max_length),
                ..foreign
            })
        };
        self.foreign_minute = clamp(self.foreign_minute, MINUTE_LENGTH);
        self.foreign_day = clamp(self.foreign_day, DAY_LENGTH);
        self.closed = self.closed.map(|closed| RateLimitBlock {
            until: closed.until.min(now + window_length(closed.window)),
            ..closed
        });
        self
    }

    /// Takes up to `want` permits for calls that are about to be sent.
    pub fn take(
        &mut self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
        want: u32,
    ) -> PermitDecision {
        self.minute_window.remove_expired(now);
        self.day.remove_expired(now);
        if let (Some(until), Some(since)) =
            (self.breaker.paused_until(now), self.breaker.open_since())
        {
            let reason = WaitReason::UpstreamOutage { since };
            return PermitDecision::Wait { until, reason };
        }
        let available = self.available(now, limits, class).min(want);
        let granted = if available > 0 {
            self.breaker.limit_to_probe(now, available)
        } else {
            0
        };
        if granted > 0 {
            self.minute_window
                .add_permits(now, limits.per_minute, class, granted);
            self.day.add_permits(now, class, granted);
        }
        if granted < want && self.available_in_day(now, limits, class) > 0 {
            let until = self.next_availability(now, limits, class).0.max(now) + ASKS_AGAIN_WITHIN;
            self.minute_window
                .record_demand(now, class, want - granted, until);
        }
        if granted > 0 {
            return PermitDecision::Granted(granted);
        }
        let (until, window) = self.next_availability(now, limits, class);
        let reason = WaitReason::Quota(window);
        PermitDecision::Wait { until, reason }
    }

    /// Returns permits to the ledger that were taken at `taken_at` for calls that were not sent.
    pub fn return_unused(
        &mut self,
        taken_at: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
        calls: u32,
    ) {
        self.minute_window
            .return_unused(taken_at, limits.per_minute, class, calls);
        self.day.return_unused(taken_at, class, calls);
    }

    /// Returns the number of permits that a class can take now.
    pub fn available(&self, now: DateTime<Utc>, limits: QuotaLimits, class: PriorityClass) -> u32 {
        if self.active_block(now).is_some() {
            return 0;
        }
        self.available_in_minute(now, limits, class)
            .min(self.available_in_day(now, limits, class))
    }

    /// Returns the number of calls that a class can still make in the day window, regardless of the
    /// minute window.
    pub fn available_in_day(
        &self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
    ) -> u32 {
        let foreign = active_foreign_calls(self.foreign_day, now);
        self.day.available(now, limits, class, foreign)
    }

    fn available_in_minute(
        &self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
    ) -> u32 {
        let foreign = active_foreign_calls(self.foreign_minute, now);
        self.minute_window
            .available(now, limits.per_minute, class, foreign)
    }

    fn active_block(&self, now: DateTime<Utc>) -> Option<RateLimitBlock> {
        self.closed.filter(|closed| closed.until > now)
    }

    /// Returns the first time at which the class can get a permit, and the window that delays it.
    fn next_availability(
        &self,
        now: DateTime<Utc>,
        limits: QuotaLimits,
        class: PriorityClass,
    ) -> (DateTime<Utc>, LimitWindow) {
        if let Some(closed) = self.active_block(now) {
            return (closed.until, closed.window);
        }
        let window = if self.available_in_day(now, limits, class) == 0 {
            LimitWindow::Day
        } else {
            LimitWindow::Minute
        };
        let (mut release_times, foreign): (Vec<_>, _) = match window {
            LimitWindow::Minute => (
                self.minute_window.release_times(limits.per_minute),
                self.foreign_minute,
            ),
            LimitWindow::Day => (self.day.release_times().collect(), self.foreign_day),
        };
        release_times.extend(foreign.map(|calls| calls.until));
        release_times.retain(|time| *time > now);
        release_times.sort_unstable();
        let has_permit = |at: &DateTime<Utc>| match window {
            LimitWindow::Minute => self.available_in_minute(*at, limits, class) > 0,
            LimitWindow::Day => self.available_in_day(*at, limits, class) > 0,
        };
        let at = match window {
            LimitWindow::Minute => release_times.into_iter().find(has_permit),
            // The day window has many such times, and each of them makes more permits available.
            LimitWindow::Day => {
                let first = release_times.partition_point(|time| !has_permit(time));
                release_times.get(first).copied()
            }
        };
        // If there is no such time, for example with a limit of 0, wait for a whole window.
        (at.unwrap_or(now + window_length(window)), window)
    }

    /// Sets the expected calls per day of a class, as planned by a scheduled run.
    pub fn set_need(&mut self, class: PriorityClass, calls: u32) {
        self.day.set_need(class, calls);
    }

    /// Whether the day's quota may not suffice for all members who open the app, so that
    /// dispensable reads should be skipped.
    pub fn is_scarce(&self, now: DateTime<Utc>, limits: QuotaLimits) -> bool {
        let foreign = active_foreign_calls(self.foreign_day, now);
        self.day.is_scarce(now, limits, foreign)
    }

    /// Corrects the ledger by WHOOP's own count of a window: calls that WHOOP counted and the
    /// ledger did not were made by another program. Returns whether more of them are known than
    /// before.
    pub fn record_whoop_count(
        &mut self,
        now: DateTime<Utc>,
        window: LimitWindow,
        counted: u32,
        reset: TimeDelta,
    ) -> bool {
        self.minute_window.remove_expired(now);
        self.day.remove_expired(now);
        let ours = match window {
            LimitWindow::Minute => self.minute_window.used(now),
            LimitWindow::Day => self.day.used(now),
        };
        let known = match window {
            LimitWindow::Minute => &mut self.foreign_minute,
            LimitWindow::Day => &mut self.foreign_day,
        };
        let calls = counted.saturating_sub(ours);
        if calls <= active_foreign_calls(*known, now) {
            return false;
        }
        *known = Some(ForeignCalls {
            calls,
            until: now + reset,
        });
        true
    }

    /// Records that WHOOP refused a call with 429: no call is sent before `until`.
    pub fn record_rate_limit(&mut self, until: DateTime<Utc>, window: LimitWindow) {
        if self.closed.is_none_or(|known| known.until < until) {
            self.closed = Some(RateLimitBlock { until, window });
        }
    }

    /// Records a call that WHOOP did not answer or answered with a 5xx. `member` is a hash of the
    /// member's id. Returns whether an outage begins, during which single calls are sent as probes.
    pub fn record_call_failure(&mut self, now: DateTime<Utc>, member: u64) -> bool {
        self.breaker.record_failure(now, member)
    }

    /// Records an answer of WHOOP. Returns the start of the outage that it ends, if there was one.
    pub fn record_call_success(&mut self) -> Option<DateTime<Utc>> {
        self.breaker.record_success()
    }

    pub fn usage(&self, now: DateTime<Utc>) -> QuotaUsage {
        QuotaUsage {
            minute: self.minute_window.used(now) + active_foreign_calls(self.foreign_minute, now),
            day: self.day.used(now) + active_foreign_calls(self.foreign_day, now),
            closed_until: self.active_block(now).map(|closed| closed.until),
            outage_since: self.breaker.open_since(),
            has_failures: self.breaker.has_failures(),
        }
    }

    /// Returns the calls of each class in the last 24 hours.
    pub fn usage_by_class(&self, now: DateTime<Utc>) -> [(PriorityClass, u32); 5] {
        PriorityClass::ALL.map(|class| (class, self.day.used_by(now, class)))
    }
}

fn active_foreign_calls(foreign: Option<ForeignCalls>, now: DateTime<Utc>) -> u32 {
    foreign
        .filter(|foreign| foreign.until > now)
        .map_or(0, |foreign| foreign.calls)
}
