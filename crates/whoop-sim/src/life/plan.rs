//! Cycles, sleeps and workouts of a person as they happen, before WHOOP records them.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use super::{
    LifePattern, SeededRng,
    itinerary::Itinerary,
    sport::{COMMON_SPORTS, CYCLING, LIFTING, RUNNING, Sport, TABLE_TENNIS},
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSpan {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
}

/// A nap that the strap detected, or one that the member entered in WHOOP's app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedNap {
    pub(crate) span: TimeSpan,
    pub(crate) entered_by_hand: bool,
}

/// The strap's measurements during a cycle, as far as they affect the cycle's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MeasurementResult {
    /// The strap measured strain and energy.
    Values,
    /// The strap measured nothing, but WHOOP creates the cycle days later, at this time, with a
    /// score of zeros.
    ///
    /// WHOOP does this for the first cycles of real members.
    ZerosCreatedAt(DateTime<Utc>),
    /// The strap measured nothing, and the cycle gets no score.
    Nothing,
}

/// One cycle of a person, with the sleeps, naps and workouts in it.
#[derive(Debug)]
pub(crate) struct PlannedCycle {
    pub(crate) start: DateTime<Utc>,
    /// Main sleeps, oldest first.
    ///
    /// The list is empty if the member put the strap on during the day. It has two sleeps if WHOOP
    /// records a night in two parts.
    pub(crate) nights: Vec<TimeSpan>,
    pub(crate) naps: Vec<PlannedNap>,
    pub(crate) workouts: Vec<(TimeSpan, Sport)>,
    pub(crate) measured: MeasurementResult,
    /// Time at which WHOOP ends the cycle by itself because the strap is off. `None` if the cycle
    /// ends when the next one starts.
    pub(crate) closes_at: Option<DateTime<Utc>>,
    /// Start of the next cycle.
    pub(crate) next_start: DateTime<Utc>,
}

impl PlannedCycle {
    fn without_sleep(start: DateTime<Utc>, measured: MeasurementResult) -> Self {
        Self {
            start,
            nights: Vec::new(),
            naps: Vec::new(),
            workouts: Vec::new(),
            measured,
            closes_at: None,
            next_start: start,
        }
    }

    /// Returns the time at which the member gets up. In a cycle without a sleep, this is the time
    /// at which the member puts the strap on.
    pub(crate) fn woke_at(&self) -> DateTime<Utc> {
        self.nights.last().map_or(self.start, |night| night.end)
    }
}

/// Minimum time from waking up until the next main sleep.
const MIN_TIME_AWAKE: TimeDelta = TimeDelta::hours(6);
/// Time for which the time zones must be known before a night is planned.
///
/// The plan of a night can include a missed night or up to 60 days without the strap.
const PLANNING_HORIZON: TimeDelta = TimeDelta::days(70);
/// Time from the start of a cycle until WHOOP ends it if the strap is off.
const AUTO_CLOSE_AFTER: TimeDelta = TimeDelta::hours(24);

/// Plans a person's cycles, one after the other, without an end unless `ends_at` is set.
#[derive(Debug)]
pub(crate) struct CyclePlanner {
    life: LifePattern,
    rng: SeededRng,
    pub(crate) itinerary: Itinerary,
    /// Planned cycles without a sleep that begin before the next night, oldest first.
    cycles_without_sleep: VecDeque<PlannedCycle>,
    onset: DateTime<Utc>,
    night_number: usize,
    /// Whether the next main sleep is a short sleep in the evening that WHOOP mistakes for the
    /// night.
    dozes: bool,
    /// Time at which the member takes the strap off forever; `None` if the member never does.
    ends_at: Option<DateTime<Utc>>,
}

impl CyclePlanner {
    /// Creates a planner whose first cycle begins at the first bedtime after `from`.
    ///
    /// For [`LifePattern::LongBreaks`], two cycles without a sleep come before it.
    pub(crate) fn new(
        life: LifePattern,
        mut rng: SeededRng,
        mut itinerary: Itinerary,
        from: DateTime<Utc>,
        ends_at: Option<DateTime<Utc>>,
    ) -> Self {
        itinerary.plan_until(from + PLANNING_HORIZON);
        let night = rng.index(6);
        let mut planner = Self {
            life,
            rng,
            itinerary,
            cycles_without_sleep: VecDeque::new(),
            onset: from,
            night_number: night,
            dozes: false,
            ends_at,
        };
        planner.onset = match life {
            LifePattern::LongBreaks => planner.plan_first_cycles(from),
            _ => planner.bedtime_after(from),
        };
        planner
    }

    /// Returns the start of the next cycle; `None` if the member has taken the strap off forever.
    pub(crate) fn next_start(&self) -> Option<DateTime<Utc>> {
        let next = self
            .cycles_without_sleep
            .front()
            .map_or(self.onset, |cycle| cycle.start);
        let is_over = self.ends_at.is_some_and(|ends_at| next >= ends_at);
        (!is_over).then_some(next)
    }

    /// Returns the cycle that starts at [`Self::next_start`].
    pub(crate) fn next_cycle(&mut self) -> PlannedCycle {
        if let Some(mut cycle) = self.cycles_without_sleep.pop_front() {
            cycle.next_start = self
                .cycles_without_sleep
                .front()
                .map_or(self.onset, |cycle| cycle.start);
            return cycle;
        }
        self.itinerary.plan_until(self.onset + PLANNING_HORIZON);
        let mut cycle = self.plan_night();
        self.onset = cycle.next_start;
        self.night_number += 1;
        if cycle.closes_at.is_some() {
            cycle.next_start = self.plan_strap_break(&cycle);
        }
        cycle
    }

    /// Plans a cycle that begins with a main sleep, and its naps and workouts.
    fn plan_night(&mut self) -> PlannedCycle {
        let night = self.night_number;
        let dozes = std::mem::take(&mut self.dozes);
        let (nights, second) = self.plan_main_sleeps(self.onset, night, dozes);
        let woke = nights.last().map_or(self.onset, |night| night.end);
        let falls = |every: Option<usize>| every.is_some_and(|n| night % n == n - 1);
        let strap_off = !dozes && self.takes_the_strap_off(woke, night);
        let late_sport = falls(self.life.late_sport_interval());
        let mut next = match second {
            // The second sleep of the night begins a new cycle.
            Some(SecondSleep::Main(span)) => span.start,
            _ if dozes => self.bedtime_after(woke + TimeDelta::hours(20)),
            _ => self.bedtime_after(woke + MIN_TIME_AWAKE),
        };
        if !strap_off && falls(self.life.missed_night_interval()) {
            next = self.bedtime_after(next + TimeDelta::hours(14));
        }
        if self.life == LifePattern::LongCycle && falls(Some(5)) {
            next = self.onset + TimeDelta::hours(40);
        }
        if self.life == LifePattern::EveningDozer && falls(Some(6)) && !dozes {
            let zone = self.itinerary.zone_at(woke);
            let evening = NaiveTime::MIN + TimeDelta::hours(20);
            let evening = zone.to_instant(zone.to_local(woke).date().and_time(evening));
            next = evening + self.rng.random_minutes(0, 50);
            self.dozes = true;
        }

        let mut cycle = PlannedCycle {
            start: self.onset,
            nights,
            naps: Vec::new(),
            workouts: Vec::new(),
            measured: MeasurementResult::Values,
            closes_at: strap_off.then(|| self.onset + AUTO_CLOSE_AFTER),
            next_start: next,
        };
        if self.life == LifePattern::OddReadings && night % 6 == 4 {
            cycle.measured = MeasurementResult::Nothing;
        }
        if let Some(SecondSleep::Nap(span)) = second {
            cycle.naps.push(PlannedNap {
                span,
                entered_by_hand: false,
            });
        }
        if late_sport && !strap_off {
            cycle.next_start = self.plan_late_sport(&mut cycle, next);
        }
        if !strap_off {
            self.plan_naps_and_sport(&mut cycle);
        }
        cycle
    }

    fn takes_the_strap_off(&self, woke: DateTime<Utc>, night: usize) -> bool {
        if self.life == LifePattern::Weekdays {
            let zone = self.itinerary.zone_at(woke);
            return zone.to_local(woke).weekday() == Weekday::Sat;
        }
        let every = self.life.strap_off_interval();
        every.is_some_and(|n| night % n == n - 1)
    }

    /// Plans the time between the cycle `last`, in which the strap was taken off, and the next
    /// night.
    ///
    /// Returns the start of the next cycle. WHOOP ends the cycle `last` after 24 hours, and there
    /// are no cycles until the strap is worn again. The first new cycle then usually runs from
    /// local midnight until the next night.
    fn plan_strap_break(&mut self, last: &PlannedCycle) -> DateTime<Utc> {
        let off = last.start + AUTO_CLOSE_AFTER;
        let zone = self.itinerary.zone_at(off);
        let days = match self.life {
            LifePattern::Weekdays => 0,
            LifePattern::LongBreaks => self.rng.int_between(20, 60),
            _ => self.rng.int_between(1, 4),
        };
        let mut date = zone.to_local(off).date() + TimeDelta::days(days);
        while zone.to_instant(date.and_time(NaiveTime::MIN)) <= off
            || (self.life == LifePattern::Weekdays && date.weekday() != Weekday::Mon)
        {
            date += TimeDelta::days(1);
        }
        let midnight = |date: NaiveDate| zone.to_instant(date.and_time(NaiveTime::MIN));
        let back = midnight(date);
        let mut worn_from = back;
        match self.rng.index(4) {
            // The strap is worn again from noon of the day before: a cycle of exactly 12 hours
            // comes first, and the usual first cycle follows it directly.
            0 if off + TimeDelta::hours(13) < back => {
                let start = back - TimeDelta::hours(12) + self.rng.random_minutes(5, 40);
                let end = start + TimeDelta::hours(12);
                let mut cycle = PlannedCycle::without_sleep(start, MeasurementResult::Values);
                cycle.closes_at = Some(end);
                self.cycles_without_sleep.push_back(cycle);
                worn_from = end;
            }
            // Two cycles in which WHOOP measured nothing come first, each from midnight to
            // midnight.
            1 if off + TimeDelta::days(2) < back => {
                for days in [2, 1] {
                    let start = midnight(date - TimeDelta::days(days));
                    let mut cycle = PlannedCycle::without_sleep(start, MeasurementResult::Nothing);
                    cycle.closes_at = Some(midnight(date - TimeDelta::days(days - 1)));
                    self.cycles_without_sleep.push_back(cycle);
                }
            }
            _ => {}
        }
        self.cycles_without_sleep
            .push_back(PlannedCycle::without_sleep(
                worn_from,
                MeasurementResult::Values,
            ));
        self.onset = self.bedtime_after(back + TimeDelta::hours(14));
        self.cycles_without_sleep
            .front()
            .map_or(self.onset, |cycle| cycle.start)
    }

    /// Plans the first cycles of a new member and returns the first bedtime.
    ///
    /// The two cycles last from midnight to midnight. WHOOP creates them two weeks later, after the
    /// first nights, and scores them with zeros. No other cycle begins before the first bedtime, a
    /// week later.
    fn plan_first_cycles(&mut self, from: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(from);
        let date = zone.to_local(from).date() + TimeDelta::days(1);
        let at = |days: i64, hours: i64| {
            let date = date + TimeDelta::days(days);
            zone.to_instant(date.and_time(NaiveTime::MIN) + TimeDelta::hours(hours))
        };
        for days in [0, 1] {
            // The id of a cycle contains the hour in which WHOOP created it. No other cycle of this
            // person starts in the afternoon, so the ids are unique.
            let created = at(14, 15 + days);
            let mut cycle = PlannedCycle::without_sleep(
                at(days, 0),
                MeasurementResult::ZerosCreatedAt(created),
            );
            cycle.closes_at = Some(at(days + 1, 0));
            self.cycles_without_sleep.push_back(cycle);
        }
        self.bedtime_after(at(8, 12))
    }

    /// Returns the first bedtime at or after `after`: the usual time plus a random delay of up to
    /// 75 minutes.
    fn bedtime_after(&mut self, after: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(after);
        let mut date = zone.to_local(after).date();
        loop {
            // The nurse has night shifts for four days and is off for the next four days.
            let shift = date
                .signed_duration_since(chrono::NaiveDate::default())
                .num_days();
            let bed = match self.life {
                LifePattern::NightShiftNurse if shift.rem_euclid(8) < 4 => {
                    TimeDelta::minutes(9 * 60)
                }
                LifePattern::DaylightSaver => TimeDelta::minutes(22 * 60 + 20),
                LifePattern::Traveller => TimeDelta::minutes(23 * 60 + 50),
                _ => TimeDelta::minutes(22 * 60 + 50),
            };
            let usual = zone.to_instant(date.and_time(NaiveTime::MIN) + bed);
            if usual >= after {
                return usual + self.rng.random_minutes(0, 75);
            }
            date = date.succ_opt().unwrap_or(date);
        }
    }

    /// Plans the main sleeps of a cycle.
    ///
    /// Also returns the second sleep of a split night, if it is a nap or a main sleep with which a
    /// new cycle begins.
    fn plan_main_sleeps(
        &mut self,
        onset: DateTime<Utc>,
        night: usize,
        dozes: bool,
    ) -> (Vec<TimeSpan>, Option<SecondSleep>) {
        let mut lasts = |from: DateTime<Utc>, low, high| TimeSpan {
            start: from,
            end: from + self.rng.random_minutes(low, high),
        };
        if dozes {
            return (vec![lasts(onset, 25, 70)], None);
        }
        if self.life == LifePattern::BrokenSleeper && !night.is_multiple_of(4) {
            let first = lasts(onset, 5 * 60, 7 * 60);
            let pause = lasts(first.end, 45, 70);
            return (vec![first, lasts(pause.end, 40, 70)], None);
        }
        if self.life != LifePattern::Parent {
            return (vec![lasts(onset, 5 * 60 + 40, 9 * 60)], None);
        }
        let first = lasts(onset, 190, 260);
        let start = lasts(first.end, 35, 80).end;
        let again = lasts(start, 110, 200);
        // If the second sleep is a main sleep, the planner continues with it as the next night
        // (remainder 1). That night must not be split again.
        match night % 5 {
            0 => (vec![first], Some(SecondSleep::Main(again))),
            1 => (vec![lasts(onset, 300, 400)], None),
            _ => (vec![first], Some(SecondSleep::Nap(again))),
        }
    }

    fn plan_late_sport(&mut self, cycle: &mut PlannedCycle, next: DateTime<Utc>) -> DateTime<Utc> {
        let zone = self.itinerary.zone_at(next);
        let evening = (zone.to_local(next) - TimeDelta::hours(12)).date();
        let midnight = zone.to_instant(evening.and_time(NaiveTime::MIN) + TimeDelta::days(1));
        let span = TimeSpan {
            start: midnight - self.rng.random_minutes(20, 55),
            end: midnight + self.rng.random_minutes(15, 50),
        };
        if span.start < cycle.woke_at() + TimeDelta::hours(2) {
            return next;
        }
        cycle.workouts.push((span, TABLE_TENNIS));
        next.max(span.end + self.rng.random_minutes(40, 80))
    }

    /// Plans naps and workouts between waking up and the next main sleep, without overlaps.
    fn plan_naps_and_sport(&mut self, cycle: &mut PlannedCycle) {
        let wake = cycle.woke_at();
        let awake = cycle.next_start - wake;
        let free_until = cycle.next_start;
        let mut candidates: Vec<(TimeSpan, Option<Sport>)> = Vec::new();
        let mut add_candidate = |after: TimeDelta, length: TimeDelta, sport| {
            let start = wake + after;
            candidates.push((
                TimeSpan {
                    start,
                    end: start + length,
                },
                sport,
            ));
        };
        if self.life == LifePattern::Athlete {
            for (hour, odds, sport) in [(1, 0.85, RUNNING), (6, 0.55, LIFTING), (10, 0.5, CYCLING)]
            {
                if self.rng.random_bool(odds) {
                    let length = self.rng.random_minutes(sport.minutes.0, sport.minutes.1);
                    add_candidate(
                        TimeDelta::hours(hour) + self.rng.random_minutes(0, 50),
                        length,
                        Some(sport),
                    );
                }
            }
        } else if self.rng.random_bool(0.45) {
            let sport = COMMON_SPORTS[self.rng.index(COMMON_SPORTS.len())];
            let length = self.rng.random_minutes(sport.minutes.0, sport.minutes.1);
            add_candidate(
                self.rng.random_minutes(9 * 60, 11 * 60),
                length,
                Some(sport),
            );
        }
        let mut entered_by_hand = false;
        if awake > TimeDelta::hours(9) && self.rng.random_bool(self.life.nap_probability()) {
            let length = self.rng.random_minutes(18, 95);
            add_candidate(self.rng.random_minutes(6 * 60, 8 * 60), length, None);
            if self.life == LifePattern::EveningDozer && self.rng.random_bool(0.4) {
                entered_by_hand = true;
                // Members usually enter a nap with a length of full hours.
                add_candidate(
                    self.rng.random_minutes(3 * 60, 4 * 60),
                    TimeDelta::hours(1),
                    None,
                );
            }
        }
        if self.life == LifePattern::OddReadings && self.rng.random_bool(0.3) {
            // A workout that was started by mistake (1 minute) or never stopped (691 minutes).
            let length = [1, 691][self.rng.index(2)];
            add_candidate(
                TimeDelta::hours(2),
                TimeDelta::minutes(length),
                Some(RUNNING),
            );
        }
        for (span, sport) in candidates {
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
                None => cycle.naps.push(PlannedNap {
                    span,
                    entered_by_hand: entered_by_hand
                        && span.end - span.start == TimeDelta::hours(1),
                }),
            }
        }
    }
}

/// The second sleep of a split night.
enum SecondSleep {
    Nap(TimeSpan),
    Main(TimeSpan),
}
