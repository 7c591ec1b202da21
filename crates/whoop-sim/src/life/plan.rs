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
    /// The onset of the next main sleep, where the cycle ends.
    pub(crate) next: DateTime<Utc>,
}

/// Time from waking up until somebody may go to bed again.
const AWAKE_AT_LEAST: TimeDelta = TimeDelta::hours(6);
/// How far ahead of a night one may look: strap off, a night missed, a nap.
const HORIZON: TimeDelta = TimeDelta::days(12);

/// Plans one day after the other, without end.
#[derive(Debug)]
pub(crate) struct Planner {
    life: Life,
    chance: Chance,
    pub(crate) itinerary: Itinerary,
    onset: DateTime<Utc>,
    night: usize,
    /// When the strap was taken off for good.
    ends: Option<DateTime<Utc>>,
}

impl Planner {
    /// The first bedtime after `from` begins it.
    pub(crate) fn new(
        life: Life,
        mut chance: Chance,
        mut itinerary: Itinerary,
        from: DateTime<Utc>,
        ends: Option<DateTime<Utc>>,
    ) -> Self {
        itinerary.plan_until(from + HORIZON);
        let night = chance.index(6);
        let mut planner = Self {
            life,
            chance,
            itinerary,
            onset: from,
            night,
            ends,
        };
        planner.onset = planner.bedtime_after(from);
        planner
    }

    /// When the next main sleep begins; `None` when there will be none.
    pub(crate) fn onset(&self) -> Option<DateTime<Utc>> {
        let is_over = self.ends.is_some_and(|ends| self.onset >= ends);
        (!is_over).then_some(self.onset)
    }

    /// The day that begins at `onset`.
    pub(crate) fn day(&mut self) -> Day {
        self.itinerary.plan_until(self.onset + HORIZON);
        let night = self.night;
        let (sleep, second) = self.sleep(self.onset, night);
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
        if self.life == Life::LongCycle && falls(Some(5)) {
            next = sleep.start + TimeDelta::hours(40);
        }

        let mut day = Day {
            sleep,
            naps: Vec::new(),
            workouts: Vec::new(),
            strap_off,
            next,
        };
        if let Some(Second::Nap(span)) = second {
            day.naps.push(span);
        }
        if late_sport && !strap_off {
            day.next = self.sport_over_midnight(&mut day, next);
        }
        if !strap_off {
            self.fill(&mut day);
        }
        self.onset = day.next;
        self.night += 1;
        day
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
        day.workouts.push((span, PADDLE));
        next.max(span.end + self.chance.minutes(40, 80))
    }

    /// Naps and sport between waking up and the next sleep, nothing overlapping.
    fn fill(&mut self, day: &mut Day) {
        let awake = day.next - day.sleep.end;
        let free_until = day.next;
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
