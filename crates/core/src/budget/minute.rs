//! The last minute, call by call.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc, serde::ts_milliseconds};
use serde::{Deserialize, Serialize};

use super::{Class, Limits};

/// WHOOP counts a call when it arrives, a moment after it was allowed, and the
/// moments differ. So 60 seconds there are counted as 62 here.
pub(super) const MINUTE: TimeDelta = TimeDelta::seconds(62);

/// After a member has waited, their share is kept for others this long.
pub(super) const KEPT_FOR: TimeDelta = TimeDelta::minutes(5);

/// The share that is kept: one in so many.
const KEPT_SHARE: u32 = 5;

/// A run that begins after a quiet minute may spend this much at once, in
/// percent; the rest of the first minute it is fed by and by, so that whoever
/// comes to wait finds a few calls at any moment.
const AT_ONCE: u32 = 70;

/// The minute is fed in so many steps.
pub(super) const STEPS: u32 = 20;

const STEP: TimeDelta = TimeDelta::milliseconds(62_000 / 20);

/// What is left is handed out over so many steps.
const SPREAD: u32 = 15;

/// Calls that were allowed this close together are one entry.
const TOGETHER: TimeDelta = TimeDelta::milliseconds(200);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Moment {
    #[serde(with = "ts_milliseconds")]
    at: DateTime<Utc>,
    calls: u32,
    /// Those of members who waited.
    #[serde(default)]
    waiting: u32,
}

/// What was spent in the last two minutes, the oldest first: a minute that
/// follows a busy one begins without a rush.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Minute(VecDeque<Moment>);

impl Minute {
    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.0
            .retain(|moment| is_within(moment.at, now, MINUTE + MINUTE));
    }

    /// Calls of the future count as made just now.
    pub(super) fn bound(&mut self, now: DateTime<Utc>) {
        for moment in &mut self.0 {
            moment.at = moment.at.min(now);
        }
    }

    pub(super) fn used(&self, now: DateTime<Utc>) -> u32 {
        self.used_within(now, MINUTE)
    }

    fn used_within(&self, now: DateTime<Utc>, length: TimeDelta) -> u32 {
        self.sum(now, length, |moment| moment.calls)
    }

    fn sum(&self, now: DateTime<Utc>, length: TimeDelta, of: impl Fn(&Moment) -> u32) -> u32 {
        let within = self
            .0
            .iter()
            .filter(|moment| is_within(moment.at, now, length));
        within.fold(0, |sum, moment| sum.saturating_add(of(moment)))
    }

    pub(super) fn spend(&mut self, now: DateTime<Utc>, class: Class, calls: u32) {
        let waiting = if class == Class::Waiting { calls } else { 0 };
        match self.0.back_mut() {
            // Kept as if all of them were the later one: never too early.
            Some(last) if now - last.at < TOGETHER && last.calls + calls <= 20 => {
                last.at = last.at.max(now);
                last.calls += calls;
                last.waiting += waiting;
            }
            _ => self.0.push_back(Moment {
                at: now,
                calls,
                waiting,
            }),
        }
    }

    /// Calls that a class may make now, where members who wait have wanted so many
    /// a minute lately.
    pub(super) fn room(
        &self,
        now: DateTime<Utc>,
        limits: Limits,
        class: Class,
        foreign: u32,
        waited_at: Option<DateTime<Utc>>,
        waiting_a_minute: u32,
    ) -> u32 {
        let left = limits
            .per_minute
            .saturating_sub(self.used(now))
            .saturating_sub(foreign);
        if class == Class::Waiting {
            return left;
        }
        let kept = if waited_at.is_some_and(|at| now - at < KEPT_FOR) {
            // What a third of a minute may bring, three deviations off: visits of
            // four calls come in bursts. What leaves the window meanwhile is theirs
            // as well, because nobody else has any of it before they have this.
            let burst = waiting_a_minute / 3 + waiting_a_minute.saturating_mul(12).isqrt() + 1;
            let share =
                (limits.per_minute / KEPT_SHARE)
                    .saturating_sub(self.sum(now, MINUTE, |moment| moment.waiting));
            burst.min(limits.per_minute / 10 * 9).max(share)
        } else {
            0
        };
        let at_once = (limits.per_minute.saturating_mul(AT_ONCE) / 100)
            .saturating_sub(self.used_within(now, MINUTE + MINUTE));
        let came_back = self.used_within(now, MINUTE + STEP) - self.used(now);
        let step = (came_back + left.div_ceil(SPREAD)).min(limits.per_minute.div_ceil(STEPS));
        let in_this = self.used_within(now, STEP);
        let in_two = self.used_within(now, STEP + STEP);
        // What one step left, as an odd call beside turns of two, the next may use.
        let left_over = (2 * step)
            .saturating_sub(in_two)
            .min((step + 1).saturating_sub(in_this));
        let by_and_by = step.saturating_sub(in_this).max(left_over);
        left.saturating_sub(kept).min(at_once.max(by_and_by))
    }

    /// The moments at which there may be more room than now, in order.
    pub(super) fn turns(
        &self,
        waited_at: Option<DateTime<Utc>>,
    ) -> impl Iterator<Item = DateTime<Utc>> {
        let ends = self.0.iter().flat_map(|moment| {
            [STEP, STEP + STEP, MINUTE, MINUTE + MINUTE].map(|length| moment.at + length)
        });
        ends.chain(waited_at.map(|at| at + KEPT_FOR))
    }
}

fn is_within(at: DateTime<Utc>, now: DateTime<Utc>, length: TimeDelta) -> bool {
    now - at < length
}
