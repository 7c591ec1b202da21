use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Class, DAY, Limits, Period,
    day::Day,
    minute::{KEPT_FOR, MINUTE, Minute},
};

/// What all processes together have spent, and what WHOOP has said about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    minute: Minute,
    day: Day,
    /// When a member last waited for a call.
    waited_at: Option<DateTime<Utc>>,
    /// What somebody else spends who uses the same WHOOP app.
    foreign_minute: Option<Foreign>,
    foreign_day: Option<Foreign>,
    /// WHOOP refused: nobody calls before then.
    closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Foreign {
    calls: u32,
    until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    until: DateTime<Utc>,
    period: Period,
}

const fn longest(period: Period) -> TimeDelta {
    match period {
        Period::Minute => MINUTE,
        Period::Day => DAY,
    }
}

/// The answer to a wish to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// So many, to be made at once.
    Granted(u32),
    /// None now; it is worth asking again then.
    Later {
        at: DateTime<Utc>,
        /// The limit that stands in the way.
        period: Period,
    },
}

/// How much is spent, for metrics and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    pub minute: u32,
    pub day: u32,
    /// WHOOP answers nothing before then.
    pub closed_until: Option<DateTime<Utc>>,
}

impl Ledger {
    /// Bounds every time by the present. Times in the future were written while the database's
    /// clock was ahead; a limit never lasts longer than its period.
    #[must_use]
    pub fn bounded_by(mut self, now: DateTime<Utc>) -> Self {
        self.minute.bound(now);
        self.day.bound(now);
        self.waited_at = self.waited_at.map(|at| at.min(now));
        let bound = |foreign: Option<Foreign>, longest| {
            foreign.map(|foreign| Foreign {
                until: foreign.until.min(now + longest),
                ..foreign
            })
        };
        self.foreign_minute = bound(self.foreign_minute, MINUTE);
        self.foreign_day = bound(self.foreign_day, DAY);
        self.closed = self.closed.map(|closed| Closed {
            until: closed.until.min(now + longest(closed.period)),
            ..closed
        });
        self
    }

    /// Takes leave for up to `want` calls, which are to be made at once.
    pub fn take(&mut self, now: DateTime<Utc>, limits: Limits, class: Class, want: u32) -> Leave {
        self.take_at_least(now, limits, class, 1, want)
    }

    /// Takes leave for up to `want` calls. While members come, it is for none where
    /// it would be fewer than `least`; more than [`Limits::together`] may never be
    /// there at once. While nobody comes, nobody is kept waiting by who has too few,
    /// and every call is used.
    pub fn take_at_least(
        &mut self,
        now: DateTime<Utc>,
        limits: Limits,
        class: Class,
        least: u32,
        want: u32,
    ) -> Leave {
        self.minute.forget_old(now);
        self.day.forget_old(now);
        if class == Class::Waiting {
            self.waited_at = Some(now);
        }
        let somebody_comes = self.waited_at.is_some_and(|at| now - at < KEPT_FOR);
        let least = if somebody_comes { least } else { 1 };
        let room = self.room(now, limits, class);
        let granted = if room < least { 0 } else { room.min(want) };
        self.day.spend(now, class, want, granted);
        if granted > 0 {
            self.minute.spend(now, class, granted);
            return Leave::Granted(granted);
        }
        self.later(now, limits, class, least)
    }

    /// Calls that a class may make now.
    pub fn room(&self, now: DateTime<Utc>, limits: Limits, class: Class) -> u32 {
        if self.closed_at(now).is_some() {
            return 0;
        }
        self.minute_room(now, limits, class)
            .min(self.day_room(now, limits, class))
    }

    /// Calls that a class may make today, however many minutes that takes.
    pub fn day_room(&self, now: DateTime<Utc>, limits: Limits, class: Class) -> u32 {
        let foreign = calls_of(self.foreign_day, now);
        self.day.room(now, limits, class, foreign)
    }

    fn minute_room(&self, now: DateTime<Utc>, limits: Limits, class: Class) -> u32 {
        let foreign = calls_of(self.foreign_minute, now);
        let waiting = self.day.waiting_a_minute(now);
        self.minute
            .room(now, limits, class, foreign, self.waited_at, waiting)
    }

    fn closed_at(&self, now: DateTime<Utc>) -> Option<Closed> {
        self.closed.filter(|closed| closed.until > now)
    }

    fn later(&self, now: DateTime<Utc>, limits: Limits, class: Class, least: u32) -> Leave {
        if let Some(closed) = self.closed_at(now) {
            return Leave::Later {
                at: closed.until,
                period: closed.period,
            };
        }
        let period = if self.day_room(now, limits, class) < least {
            Period::Day
        } else {
            Period::Minute
        };
        let foreign = match period {
            Period::Minute => self.foreign_minute,
            Period::Day => self.foreign_day,
        };
        let mut turns: Vec<DateTime<Utc>> = match period {
            Period::Minute => self.minute.turns(self.waited_at).collect(),
            Period::Day => self.day.turns().collect(),
        };
        turns.extend(foreign.map(|other| other.until));
        // What is kept for members who wait falls from minute to minute.
        let minutes = match period {
            Period::Minute => 20,
            Period::Day => 0,
        };
        turns.extend((1..=minutes).map(|minutes| now + TimeDelta::minutes(minutes)));
        turns.retain(|turn| *turn > now);
        turns.sort_unstable();
        let has_room = |at: &DateTime<Utc>| match period {
            Period::Minute => self.minute_room(*at, limits, class) >= least,
            Period::Day => self.day_room(*at, limits, class) >= least,
        };
        let longest = match period {
            Period::Minute => MINUTE,
            Period::Day => DAY,
        };
        // Without a turn that helps, as with a limit of 0, after a whole window.
        let at = match period {
            Period::Minute => turns.into_iter().find(has_room),
            // Of a day there are many turns, and each leaves more room.
            Period::Day => {
                let first = turns.partition_point(|turn| !has_room(turn));
                turns.get(first).copied()
            }
        };
        let at = at.unwrap_or(now + longest);
        Leave::Later { at, period }
    }

    /// Says what a class cannot do without in a day, so that more urgent ones
    /// leave it that much. Members who wait are not held up by it.
    pub fn need(&mut self, class: Class, calls_a_day: u32) {
        self.day.need(class, calls_a_day);
    }

    /// Says what a class will probably want in a day, until the ledger has
    /// learned it by itself.
    pub fn foresee(&mut self, now: DateTime<Utc>, class: Class, calls_a_day: u32) {
        self.day.foresee(now, class, calls_a_day);
    }

    /// Whether the day may not be enough for everybody who will come, so that
    /// calls which can be spared are to be spared.
    pub fn is_scarce(&self, now: DateTime<Utc>, limits: Limits) -> bool {
        let foreign = calls_of(self.foreign_day, now);
        self.day.is_scarce(now, limits, foreign)
    }

    /// Corrects by WHOOP's own count of a window: what it has counted and we
    /// have not, somebody else has spent. Returns whether that was so.
    pub fn whoop_counted(
        &mut self,
        now: DateTime<Utc>,
        period: Period,
        counted: u32,
        reset: TimeDelta,
    ) -> bool {
        self.minute.forget_old(now);
        self.day.forget_old(now);
        let ours = match period {
            Period::Minute => self.minute.used(now),
            Period::Day => self.day.used(now),
        };
        let known = match period {
            Period::Minute => &mut self.foreign_minute,
            Period::Day => &mut self.foreign_day,
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

    /// WHOOP refused a call: nobody calls before its limit has turned.
    pub fn close(&mut self, until: DateTime<Utc>, period: Period) {
        if self.closed.is_none_or(|known| known.until < until) {
            self.closed = Some(Closed { until, period });
        }
    }

    pub fn spent(&self, now: DateTime<Utc>) -> Spent {
        Spent {
            minute: self.minute.used(now) + calls_of(self.foreign_minute, now),
            day: self.day.used(now) + calls_of(self.foreign_day, now),
            closed_until: self.closed_at(now).map(|closed| closed.until),
        }
    }

    /// What each class has spent of the day.
    pub fn spent_by_class(&self, now: DateTime<Utc>) -> [(Class, u32); 5] {
        Class::ALL.map(|class| (class, self.day.made_by(now, class)))
    }
}

fn calls_of(foreign: Option<Foreign>, now: DateTime<Utc>) -> u32 {
    foreign
        .filter(|foreign| foreign.until > now)
        .map_or(0, |foreign| foreign.calls)
}
