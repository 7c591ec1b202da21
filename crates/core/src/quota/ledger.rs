use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DAY_LENGTH, LimitWindow, PriorityClass, QuotaLimits,
    breaker::CircuitBreaker,
    day_window::DayWindow,
    minute_window::{MINUTE_LENGTH, MinuteWindow},
};

/// Maximum time after the end of a wait ([`PermitDecision::Wait`]) within which a caller requests
/// its permits again: two seconds. Until then, the permits are reserved for the caller's class.
const ASKS_AGAIN_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// Quota ledger: the record of all calls to WHOOP that all processes share, and of WHOOP's own
/// count of the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaLedger {
    minute_window: MinuteWindow,
    day: DayWindow,
    /// Calls that another program made with the same WHOOP app, in the minute window.
    foreign_minute: Option<ForeignCalls>,
    foreign_day: Option<ForeignCalls>,
    /// Block that begins when WHOOP refuses a call with status 429. No call is sent before the
    /// block ends.
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

/// Reason for which a call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The limit of this window is used up, or its remaining calls are reserved for other priority
    /// classes.
    Quota(LimitWindow),
    /// Calls for several members failed in a row. Calls are paused, and single calls probe whether
    /// WHOOP answers again.
    UpstreamOutage { since: DateTime<Utc> },
}

/// Answer of the ledger to a request for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitDecision {
    /// The caller may send this number of calls now.
    Granted(u32),
    /// No permit is available now. The caller should request permits again at the time `until`.
    Wait {
        until: DateTime<Utc>,
        reason: WaitReason,
    },
}

/// Current use of the quota, for metrics and for the command `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUsage {
    pub minute: u32,
    pub day: u32,
    /// End of the block that began when WHOOP refused a call with status 429. No call is sent
    /// before then.
    pub closed_until: Option<DateTime<Utc>>,
    /// Start of the outage of WHOOP; `None` unless the circuit breaker is open.
    pub outage_since: Option<DateTime<Utc>>,
    /// Whether a call has failed since the last call that WHOOP answered.
    pub has_failures: bool,
}

impl QuotaLedger {
    /// Corrects stored times that lie too far in the future, because they were written while the
    /// database's clock was ahead.
    ///
    /// Afterwards, no block and no count of foreign calls lasts longer than one window from `now`.
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

    /// Takes up to `want` permits for calls that the caller is about to send.
    ///
    /// If fewer permits are available, the ledger records that the class needs the others, so that
    /// classes of lower priority do not take them first.
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

    /// Gives unused permits back to the ledger. They were taken at the time `taken_at` for calls
    /// that were not sent.
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

    /// Returns the number of permits that a class can take now, within both windows.
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

    /// Returns the earliest time at which the class can get a permit, and the window for which it
    /// has to wait.
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
            // The day window has many such times. At each of them more permits become available, so
            // the first suitable time can be found by a binary search.
            LimitWindow::Day => {
                let first = release_times.partition_point(|time| !has_permit(time));
                release_times.get(first).copied()
            }
        };
        // If no time is suitable, for example because the limit is 0, the class waits for the
        // length of the window.
        (at.unwrap_or(now + window_length(window)), window)
    }

    /// Sets the number of calls per day that a class is expected to need. A scheduled run
    /// determines it.
    pub fn set_need(&mut self, class: PriorityClass, calls: u32) {
        self.day.set_need(class, calls);
    }

    /// Returns whether the calls of the day may not suffice for all members who will open the app,
    /// so that dispensable reads should be skipped.
    pub fn is_scarce(&self, now: DateTime<Utc>, limits: QuotaLimits) -> bool {
        let foreign = active_foreign_calls(self.foreign_day, now);
        self.day.is_scarce(now, limits, foreign)
    }

    /// Corrects the ledger by WHOOP's own count of the calls in a window.
    ///
    /// If WHOOP counted more calls than the ledger, another program made the additional calls with
    /// the same WHOOP app. The ledger counts them until the window resets. Returns whether the
    /// number of such calls is greater than the ledger knew before.
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

    /// Records that WHOOP refused a call with status 429. No call is sent before the time `until`.
    pub fn record_rate_limit(&mut self, until: DateTime<Utc>, window: LimitWindow) {
        if self.closed.is_none_or(|known| known.until < until) {
            self.closed = Some(RateLimitBlock { until, window });
        }
    }

    /// Records a call that WHOOP did not answer, or answered with a 5xx. `member` is a hash of the
    /// member's id.
    ///
    /// Returns whether an outage begins with this failure. During an outage, only single calls are
    /// sent as probes.
    pub fn record_call_failure(&mut self, now: DateTime<Utc>, member: u64) -> bool {
        self.breaker.record_failure(now, member)
    }

    /// Records a call that WHOOP answered. If this ends an outage, returns the start of the outage.
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

    /// Returns the number of calls of each priority class in the last 24 hours.
    pub fn usage_by_class(&self, now: DateTime<Utc>) -> [(PriorityClass, u32); 5] {
        PriorityClass::ALL.map(|class| (class, self.day.used_by(now, class)))
    }
}

fn active_foreign_calls(foreign: Option<ForeignCalls>, now: DateTime<Utc>) -> u32 {
    foreign
        .filter(|foreign| foreign.until > now)
        .map_or(0, |foreign| foreign.calls)
}
