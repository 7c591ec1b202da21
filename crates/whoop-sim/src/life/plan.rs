//! Cycles, sleeps and workouts of a person as they happen, before WHOOP records them.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

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

/// A nap, or sleep that the member entered in the app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nap {
    pub(crate) span: Span,
    pub(crate) entered_by_hand: bool,
}

/// Result of the strap's measurements in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// Strain and energy.
    Values,
    /// Nothing, but WHOOP scores the cycle with zeros and creates it days later, at
    /// this instant. Real members' first cycles are like this.
    ZerosCreatedAt(DateTime<Utc>),
    /// Nothing: the cycle stays without a score.
    Nothing,
}

/// One cycle with the activities in it.
#[derive(Debug)]
pub(crate) struct PlannedCycle {
    pub(crate) start: DateTime<Utc>,
    /// Main sleeps, oldest first. None in a cycle of a member who put the strap on during the
    /// day, two if WHOOP records a night in two parts.
    pub(crate) nights: Vec<Span>,
    pub(crate) naps: Vec<Nap>,
    pub(crate) workouts: Vec<(Span, Sport)>,
    pub(crate) measured: Measured,
    /// The instant at which WHOOP ends the cycle by itself because the strap is off. `None` if
    /// the cycle ends with the start of the next one.
    pub(crate) closes_at: Option<DateTime<Utc>>,
    /// Start of the next cycle.
    pub(crate) next: DateTime<Utc>,
}

impl PlannedCycle {
    fn without_sleep(start: DateTime<Utc>, measured: Measured) -> Self {
        Self {
            start,
            nights: Vec::new(),
            naps: Vec::new(),
            workouts: Vec::new(),
            measured,
            closes_at: None,
            next: start,
        }
    }

    /// The instant at which the member gets up, or puts the strap on.
    pub(crate) fn woke(&self) -> DateTime<Utc> {
        self.nights.last().map_or(self.start, |night| night.end)
    }
}

/// Minimum time from waking up until the next main sleep.
const AWAKE_AT_LEAST: TimeDelta = TimeDelta::hours(6);
/// Time ahead of a night that is planned: days without the strap, a missed night, a nap.
const HORIZON: TimeDelta = TimeDelta::days(70);
/// WHOOP ends the cycle of a strap that is off this long after the cycle's start.
const CLOSES_AFTER: TimeDelta = TimeDelta::hours(24);

/// Plans one cycle after the other, without end.
#[derive(Debug)]
pub(crate) struct Planner {
    life: Life,
    chance: Chance,
    pub(crate) itinerary: Itinerary,
    /// Cycles without a sleep that come before the next night.
    sleepless: VecDeque<PlannedCycle>,
    onset: DateTime<Utc>,
    night: usize,
    /// The next main sleep is a short sleep in the evening that WHOOP takes for the night.
    dozes: bool,
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
            sleepless: VecDeque::new(),
            onset: from,
            night,
            dozes: false,
            ends,
        };
        planner.onset = match life {
            Life::LongBreaks => planner.first_cycles(from),
            _ => planner.bedtime_after(from),
        };
        planner
    }

    /// Start of the next cycle; `None` if there will be none.
    pub(crate) fn next_start(&self) -> Option<DateTime<Utc>> {
        let next = self
            .sleepless
            .front()
            .map_or(self.onset, |cycle| cycle.start);
        let is_over = self.ends.is_some_and(|ends| next >= ends);
        (!is_over).then_some(next)
    }

    /// The cycle that starts at [`Self::next_start`].
    pub(crate) fn cycle(&mut self) -> PlannedCycle {
        if let Some(mut cycle) = self.sleepless.pop_front() {
            cycle.next = self
                .sleepless
                .front()
                .map_or(self.onset, |cycle| cycle.start);
            return cycle;
        }
        self.itinerary.plan_until(self.onset + HORIZON);
        let mut cycle = self.night();
        self.onset = cycle.next;
        self.night += 1;
        if cycle.closes_at.is_some() {
            cycle.next = self.return_to_the_strap(&cycle);
        }
        cycle
    }

    /// A cycle that begins with a night.
    fn night(&mut self) -> PlannedCycle {
        let night = self.night;
        let dozes = std::mem::take(&mut self.dozes);
        let (nights, second) = self.sleep(self.onset, night, dozes);
        let woke = nights.last().map_or(self.onset, |night| night.end);
        let falls = |every: Option<usize>| every.is_some_and(|n| night % n == n - 1);
        let strap_off = !dozes && self.takes_the_strap_off(woke, night);
        let late_sport = falls(self.life.trains_late_every());
        let mut next = match second {
            // The second sleep of the night opens a cycle of its own.
            Some(Second::Main(span)) => span.start,
            _ if dozes => self.bedtime_after(woke + TimeDelta::hours(20)),
            _ => self.bedtime_after(woke + AWAKE_AT_LEAST),
        };
        if !strap_off && falls(self.life.misses_every()) {
            next = self.bedtime_after(next + TimeDelta::hours(14));
        }
        if self.life == Life::LongCycle && falls(Some(5)) {
            next = self.onset + TimeDelta::hours(40);
        }
        if self.life == Life::EveningDozer && falls(Some(6)) && !dozes {
            let zone = self.itinerary.zone_at(woke);
            let evening = NaiveTime::MIN + TimeDelta::hours(20);
            let evening = zone.instant(zone.local(woke).date().and_time(evening));
            next = evening + self.chance.minutes(0, 50);
            self.dozes = true;
        }

        let mut cycle = PlannedCycle {
            start: self.onset,
            nights,
            naps: Vec::new(),
            workouts: Vec::new(),
            measured: Measured::Values,
            closes_at: strap_off.then(|| self.onset + CLOSES_AFTER),
            next,
        };
        if self.life == Life::OddReadings && night % 6 == 4 {
            cycle.measured = Measured::Nothing;
        }
        if let Some(Second::Nap(span)) = second {
            cycle.naps.push(Nap {
                span,
                entered_by_hand: false,
            });
        }
        if late_sport && !strap_off {
            cycle.next = self.sport_over_midnight(&mut cycle, next);
        }
        if !strap_off {
            self.fill(&mut cycle);
        }
        cycle
    }

    fn takes_the_strap_off(&self, woke: DateTime<Utc>, night: usize) -> bool {
        if self.life == Life::Weekdays {
            let zone = self.itinerary.zone_at(woke);
            return zone.local(woke).weekday() == Weekday::Sat;
        }
        let every = self.life.takes_it_off_every();
        every.is_some_and(|n| night % n == n - 1)
    }

    /// Plans the days until the next night after the strap was taken off; returns the start of
    /// the first cycle after it.
    ///
    /// WHOOP ends the running cycle after 24 hours. Then there is nothing, until the strap is
    /// worn again: cycles run from local midnight until the first night.
    fn return_to_the_strap(&mut self, last: &PlannedCycle) -> DateTime<Utc> {
        let off = last.start + CLOSES_AFTER;
        let zone = self.itinerary.zone_at(off);
        let days = match self.life {
            Life::Weekdays => 0,
            Life::LongBreaks => self.chance.int(20, 60),
            _ => self.chance.int(1, 4),
        };
        let mut date = zone.local(off).date() + TimeDelta::days(days);
        while zone.instant(date.and_time(NaiveTime::MIN)) <= off
            || (self.life == Life::Weekdays && date.weekday() != Weekday::Mon)
        {
            date += TimeDelta::days(1);
        }
        let midnight = |date: NaiveDate| zone.instant(date.and_time(NaiveTime::MIN));
        let back = midnight(date);
        let mut worn_from = back;
        match self.chance.index(4) {
            // Worn from noon: a cycle of exactly 12 hours, and the next one follows it.
            0 if off + TimeDelta::hours(13) < back => {
                let start = back - TimeDelta::hours(12) + self.chance.minutes(5, 40);
                let end = start + TimeDelta::hours(12);
                let mut cycle = PlannedCycle::without_sleep(start, Measured::Values);
                cycle.closes_at = Some(end);
                self.sleepless.push_back(cycle);
                worn_from = end;
            }
            // Two days from midnight to midnight on which WHOOP measured nothing.
            1 if off + TimeDelta::days(2) < back => {
                for days in [2, 1] {
                    let start = midnight(date - TimeDelta::days(days));
                    let mut cycle = PlannedCycle::without_sleep(start, Measured::Nothing);
                    cycle.closes_at = Some(midnight(date - TimeDelta::days(days - 1)));
                    self.sleepless.push_back(cycle);
                }
            }
            _ => {}
        }
        self.sleepless
            .push_back(PlannedCycle::without_sleep(worn_from, Measured::Values));
        self.onset = self.bedtime_after(back + TimeDelta::hours(14));
        self.sleepless
            .front()
            .map_or(self.onset, |cycle| cycle.start)
    }

    /// A new member's first cycles: two from midnight to midnight, scored with zeros and
    /// created after the next nights, then nothing for a week. Returns the first bedtime.
    fn first_cycles(&mut self, from: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(from);
        let date = zone.local(from).date() + TimeDelta::days(1);
        let at = |days: i64, hours: i64| {
            let date = date + TimeDelta::days(days);
            zone.instant(date.and_time(NaiveTime::MIN) + TimeDelta::hours(hours))
        };
        for days in [0, 1] {
            // The hour is in the cycle's id: in the afternoon no other cycle starts.
            let created = at(14, 15 + days);
            let mut cycle =
                PlannedCycle::without_sleep(at(days, 0), Measured::ZerosCreatedAt(created));
            cycle.closes_at = Some(at(days + 1, 0));
            self.sleepless.push_back(cycle);
        }
        self.bedtime_after(at(8, 12))
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

    /// The main sleeps of a cycle, and a second sleep of the night if it is not one of them.
    fn sleep(
        &mut self,
        onset: DateTime<Utc>,
        night: usize,
        dozes: bool,
    ) -> (Vec<Span>, Option<Second>) {
        let mut lasts = |from: DateTime<Utc>, low, high| Span {
            start: from,
            end: from + self.chance.minutes(low, high),
        };
        if dozes {
            return (vec![lasts(onset, 25, 70)], None);
        }
        if self.life == Life::BrokenSleeper && !night.is_multiple_of(4) {
            let first = lasts(onset, 5 * 60, 7 * 60);
            let pause = lasts(first.end, 45, 70);
            return (vec![first, lasts(pause.end, 40, 70)], None);
        }
        if self.life != Life::Parent {
            return (vec![lasts(onset, 5 * 60 + 40, 9 * 60)], None);
        }
        let first = lasts(onset, 190, 260);
        let start = lasts(first.end, 35, 80).end;
        let again = lasts(start, 110, 200);
        // The second half of the split night may itself be a main sleep only
        // after one that was not, or it would split without end.
        match night % 5 {
            0 => (vec![first], Some(Second::Main(again))),
            1 => (vec![lasts(onset, 300, 400)], None),
            _ => (vec![first], Some(Second::Nap(again))),
        }
    }

    fn sport_over_midnight(
        &mut self,
        cycle: &mut PlannedCycle,
        next: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(next);
        let evening = (zone.local(next) - TimeDelta::hours(12)).date();
        let midnight = zone.instant(evening.and_time(NaiveTime::MIN) + TimeDelta::days(1));
        let span = Span {
            start: midnight - self.chance.minutes(20, 55),
            end: midnight + self.chance.minutes(15, 50),
        };
        if span.start < cycle.woke() + TimeDelta::hours(2) {
            return next;
        }
        cycle.workouts.push((span, PADDLE));
        next.max(span.end + self.chance.minutes(40, 80))
    }

    /// Naps and sport between waking up and the next sleep, nothing overlapping.
    fn fill(&mut self, cycle: &mut PlannedCycle) {
        let wake = cycle.woke();
        let awake = cycle.next - wake;
        let free_until = cycle.next;
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
        let mut entered_by_hand = false;
        if awake > TimeDelta::hours(9) && self.chance.odds(self.life.nap_odds()) {
            let length = self.chance.minutes(18, 95);
            wish(self.chance.minutes(6 * 60, 8 * 60), length, None);
            if self.life == Life::EveningDozer && self.chance.odds(0.4) {
                entered_by_hand = true;
                // Members enter full hours.
                wish(
                    self.chance.minutes(3 * 60, 4 * 60),
                    TimeDelta::hours(1),
                    None,
                );
            }
        }
        if self.life == Life::OddReadings && self.chance.odds(0.3) {
            // Started and stopped by mistake, or never stopped.
            let length = [1, 691][self.chance.index(2)];
            wish(
                TimeDelta::hours(2),
                TimeDelta::minutes(length),
                Some(RUNNING),
            );
        }
        for (span, sport) in wished {
            let gap = TimeDelta::minutes(15);
            let taken = cycle
                .naps
                .iter()
                .map(|nap| &nap.span)
                .chain(cycle.workouts.iter().map(|(span, _)| span))
                .any(|other| span.start < other.end + gap && other.start < span.end + gap);
            if taken || span.start < wake + gap || span.end + gap > free_until {
                continue;
            }
            match sport {
                Some(sport) => cycle.workouts.push((span, sport)),
                None => cycle.naps.push(Nap {
                    span,
                    entered_by_hand: entered_by_hand
                        && span.end - span.start == TimeDelta::hours(1),
                }),
            }
        }
    }
}

/// The second sleep of a split night.
enum Second {
    Nap(Span),
    Main(Span),
}
