//! When somebody sleeps, naps and trains: the life before WHOOP saw it.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::{
    Chance, Life,
    itinerary::Itinerary,
    sport::{COMMON, CYCLING, LIFTING, PADDLE, RUNNING, Sport},
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

/// One cycle to be: a main sleep and what follows until the next one.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) sleep: Span,
    pub(crate) naps: Vec<Span>,
    pub(crate) workouts: Vec<(Span, Sport)>,
    /// Nothing was worn until the next sleep.
    pub(crate) strap_off: bool,
}

/// Time from waking up until somebody may go to bed again.
const AWAKE_AT_LEAST: TimeDelta = TimeDelta::hours(6);
/// WHOOP needs this long after the end of something to know of it.
const SEEN_AFTER: TimeDelta = TimeDelta::minutes(10);

pub(crate) struct Planner<'a> {
    pub(crate) life: Life,
    pub(crate) chance: &'a mut Chance,
    pub(crate) itinerary: &'a Itinerary,
    pub(crate) now: DateTime<Utc>,
}

impl Planner<'_> {
    /// All days from the first bedtime after `from`, oldest first.
    pub(crate) fn days(&mut self, from: DateTime<Utc>) -> Vec<Day> {
        let phase = self.chance.index(6);
        let mut onset = self.bedtime_after(from);
        let mut days = Vec::new();
        loop {
            let night = days.len() + phase;
            let (sleep, second) = self.sleep(onset, night);
            if sleep.end + SEEN_AFTER > self.now {
                return days;
            }
            let falls = |every: Option<usize>| every.is_some_and(|n| night % n == n - 1);
            let strap_off = falls(self.life.takes_it_off_every());
            let late_sport = falls(self.life.trains_late_every());
            let mut next = match second {
                // The second sleep of the night opens a cycle of its own.
                Some(Second::Main(span)) => span.start,
                _ => self.bedtime_after(sleep.end + AWAKE_AT_LEAST),
            };
            let mut skipped = u8::from(falls(self.life.misses_every()));
            if strap_off {
                skipped = 4;
            }
            for _ in 0..skipped {
                next = self.bedtime_after(next + TimeDelta::hours(14));
            }

            let mut day = Day {
                sleep,
                naps: Vec::new(),
                workouts: Vec::new(),
                strap_off,
            };
            if let Some(Second::Nap(span)) = second {
                day.naps.push(span);
            }
            if late_sport && !strap_off {
                next = self.sport_over_midnight(&mut day, next);
            }
            if !strap_off {
                self.fill(&mut day, next);
            }
            days.push(day);
            onset = next;
        }
    }

    /// The next time of going to bed, with the day's whim in it.
    fn bedtime_after(&mut self, after: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(after);
        let mut date = zone.local(after).date();
        loop {
            // Four days of night shifts, four days off.
            let shift = date
                .signed_duration_since(chrono::NaiveDate::default())
                .num_days();
            let bed = match self.life {
                Life::NightShiftNurse if shift.rem_euclid(8) < 4 => TimeDelta::minutes(9 * 60),
                Life::DaylightSaver => TimeDelta::minutes(22 * 60 + 20),
                Life::Traveller => TimeDelta::minutes(23 * 60 + 50),
                _ => TimeDelta::minutes(22 * 60 + 50),
            };
            let usual = zone.instant(date.and_time(NaiveTime::MIN) + bed);
            if usual >= after {
                return usual + self.chance.minutes(0, 75);
            }
            date = date.succ_opt().unwrap_or(date);
        }
    }

    fn sleep(&mut self, onset: DateTime<Utc>, night: usize) -> (Span, Option<Second>) {
        if self.life != Life::Parent {
            let end = onset + self.chance.minutes(5 * 60 + 40, 9 * 60);
            return (Span { start: onset, end }, None);
        }
        let first = Span {
            start: onset,
            end: onset + self.chance.minutes(190, 260),
        };
        let start = first.end + self.chance.minutes(35, 80);
        let again = Span {
            start,
            end: start + self.chance.minutes(110, 200),
        };
        if again.end + SEEN_AFTER > self.now {
            return (first, None);
        }
        // The second half of the split night may itself be a main sleep only
        // after one that was not, or it would split without end.
        let kind = match night % 5 {
            0 => Second::Main(again),
            1 => {
                return (
                    Span {
                        start: onset,
                        end: onset + self.chance.minutes(300, 400),
                    },
                    None,
                );
            }
            _ => Second::Nap(again),
        };
        (first, Some(kind))
    }

    fn sport_over_midnight(&mut self, day: &mut Day, next: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(next);
        let evening = (zone.local(next) - TimeDelta::hours(12)).date();
        let midnight = zone.instant(evening.and_time(NaiveTime::MIN) + TimeDelta::days(1));
        let span = Span {
            start: midnight - self.chance.minutes(20, 55),
            end: midnight + self.chance.minutes(15, 50),
        };
        if span.start < day.sleep.end + TimeDelta::hours(2) {
            return next;
        }
        if span.end + SEEN_AFTER <= self.now {
            day.workouts.push((span, PADDLE));
        }
        next.max(span.end + self.chance.minutes(40, 80))
    }

    /// Naps and sport between waking up and the next sleep, nothing overlapping.
    fn fill(&mut self, day: &mut Day, next: DateTime<Utc>) {
        let awake = next - day.sleep.end;
        let free_until = next.min(self.now - SEEN_AFTER);
        let wake = day.sleep.end;
        let mut wished: Vec<(Span, Option<Sport>)> = Vec::new();
        let mut wish = |after: TimeDelta, length: TimeDelta, sport| {
            let start = wake + after;
            wished.push((
                Span {
                    start,
                    end: start + length,
                },
                sport,
            ));
        };
        if self.life == Life::Athlete {
            for (hour, odds, sport) in [(1, 0.85, RUNNING), (6, 0.55, LIFTING), (10, 0.5, CYCLING)]
            {
                if self.chance.odds(odds) {
                    let length = self.chance.minutes(sport.minutes.0, sport.minutes.1);
                    wish(
                        TimeDelta::hours(hour) + self.chance.minutes(0, 50),
                        length,
                        Some(sport),
                    );
                }
            }
        } else if self.chance.odds(0.45) {
            let sport = COMMON[self.chance.index(COMMON.len())];
            let length = self.chance.minutes(sport.minutes.0, sport.minutes.1);
            wish(self.chance.minutes(9 * 60, 11 * 60), length, Some(sport));
        }
        if awake > TimeDelta::hours(9) && self.chance.odds(self.life.nap_odds()) {
            let length = self.chance.minutes(18, 95);
            wish(self.chance.minutes(6 * 60, 8 * 60), length, None);
        }
        for (span, sport) in wished {
            let gap = TimeDelta::minutes(15);
            let taken = day
                .naps
                .iter()
                .chain(day.workouts.iter().map(|(span, _)| span))
                .any(|other| span.start < other.end + gap && other.start < span.end + gap);
            if taken || span.start < wake + gap || span.end + gap > free_until {
                continue;
            }
            match sport {
                Some(sport) => day.workouts.push((span, sport)),
                None => day.naps.push(span),
            }
        }
    }
}

/// The second sleep of a split night.
enum Second {
    Nap(Span),
    Main(Span),
}
