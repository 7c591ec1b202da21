//! Circuit breaker: pauses the calls during an outage of WHOOP, while single calls probe whether
//! the outage is over.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Number of consecutive failed calls after which the circuit breaker opens and calls pause.
const OPENS_AFTER_FAILURES: u32 = 5;

/// Minimum number of members with failed calls before the circuit breaker opens. Failures of a
/// single member are not an outage.
const MIN_MEMBERS: usize = 2;

/// Time for which the reads of one data type of one member have to fail before the failures count
/// as a problem of this member only: one hour.
const KNOWN_TO_FAIL_AFTER: TimeDelta = TimeDelta::hours(1);

/// Pause before the first probe of an outage: one second. Each failed probe doubles the pause.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Maximum pause between two probes: 60 seconds.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// Returns whether the reads of a data type of a member have been failing for at least an hour.
///
/// Another failure of such a read is no evidence of an outage, and an immediate retry is useless.
/// Without this rule, the members with failing reads, who are last in a run, would open the circuit
/// breaker for all members.
pub fn is_known_to_fail(failing_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    failing_since.is_some_and(|since| now - since >= KNOWN_TO_FAIL_AFTER)
}

/// State of the circuit breaker, which all processes share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CircuitBreaker {
    /// Number of failed calls since the last call that WHOOP answered.
    failures: u32,
    /// Hashes of the ids of members with failed calls, at most [`MIN_MEMBERS`].
    members: Vec<u64>,
    open: Option<OpenBreaker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct OpenBreaker {
    since: DateTime<Utc>,
    /// Time at which the next probe may be sent.
    probe_at: DateTime<Utc>,
    pause_seconds: i64,
}

impl CircuitBreaker {
    /// Returns whether calls have failed since the last call that WHOOP answered.
    pub(super) fn has_failures(&self) -> bool {
        self.failures > 0
    }

    /// Returns the start of the outage; `None` if the circuit breaker is closed.
    pub(super) fn open_since(&self) -> Option<DateTime<Utc>> {
        self.open.map(|open| open.since)
    }

    /// Returns the time at which the next probe may be sent; `None` if calls are not paused now.
    pub(super) fn paused_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.open
            .map(|open| open.probe_at)
            .filter(|probe_at| *probe_at > now)
    }

    /// Returns the number of permits that may be granted: at most one during an outage, otherwise
    /// `want`.
    ///
    /// During an outage, the permit is a probe, and the function sets the time of the next probe.
    pub(super) fn limit_to_probe(&mut self, now: DateTime<Utc>, want: u32) -> u32 {
        let Some(open) = &mut self.open else {
            return want;
        };
        open.probe_at = now + TimeDelta::seconds(open.pause_seconds);
        open.pause_seconds = (open.pause_seconds * 2).min(LONGEST_PAUSE.num_seconds());
        want.min(1)
    }

    /// Records a call that WHOOP did not answer properly. Returns whether this failure opens the
    /// circuit breaker.
    pub(super) fn record_failure(&mut self, now: DateTime<Utc>, member: u64) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.members.len() < MIN_MEMBERS && !self.members.contains(&member) {
            self.members.push(member);
        }
        let opens = self.open.is_none()
            && self.failures >= OPENS_AFTER_FAILURES
            && self.members.len() >= MIN_MEMBERS;
        if opens {
            self.open = Some(OpenBreaker {
                since: now,
                probe_at: now + FIRST_PAUSE,
                pause_seconds: FIRST_PAUSE.num_seconds() * 2,
            });
        }
        opens
    }

    /// Records a call that WHOOP answered, and closes the circuit breaker. If this ends an outage,
    /// returns the start of the outage.
    pub(super) fn record_success(&mut self) -> Option<DateTime<Utc>> {
        let since = self.open_since();
        *self = Self::default();
        since
    }

    /// Corrects stored times that lie in the future, because they were written while the database's
    /// clock was ahead.
    pub(super) fn clamp_future_times(&mut self, now: DateTime<Utc>) {
        if let Some(open) = &mut self.open {
            open.since = open.since.min(now);
            open.probe_at = open.probe_at.min(now + LONGEST_PAUSE);
        }
    }
}
