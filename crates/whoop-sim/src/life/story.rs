//! Writes a planned life down as the records that WHOOP would hold, and when.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Chance, Life,
    chance::{Settles, Stored},
    cycle::{Cycle, Pace, Unscored},
    person::Physique,
    plan::{Measured, PlannedCycle, Planner, Span},
    recovery,
    sleep::{self, Need},
    sport::Sport,
    tale::{Change, Tale},
    wire::{self, CycleScore, MaybeAbsent, RecoveryScore, ScoreState, SleepScore, WorkoutScore},
    workout::{self, Load},
    zone::print_offset,
};
use crate::{clock::print, config::MAX_PEOPLE, data_type::DataType, record::Record};

/// How many nights calibrate.
const CALIBRATING_NIGHTS: usize = 4;
/// WHOOP compares a night with the nights before it, of which these have too few.
const NIGHTS_WITHOUT_CONSISTENCY: usize = 3;
/// Time from the upload of a night until WHOOP has ended the cycle before it.
const ENDS_AFTER: TimeDelta = TimeDelta::seconds(5);
/// Every so many-th night, WHOOP could make nothing of what the strap sent.
const UNSCORABLE_EVERY: usize = 17;

pub(crate) struct Story {
    life: Life,
    user_id: i64,
    index: usize,
    physique: Physique,
    chance: Chance,
    planner: Planner,
    /// Cycles so far.
    told: usize,
    /// Nights so far.
    night: usize,
    napped: i64,
    /// The newest cycle, and when it was first seen.
    open: Option<Cycle>,
    /// Whoever looks for the first time sees how things stand by then; what was
    /// overtaken before is not written down at all.
    first_look: DateTime<Utc>,
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Story")
            .field("life", &self.life)
            .field("night", &self.night)
            .finish_non_exhaustive()
    }
}

/// Whose story it is.
pub(crate) struct Hero {
    pub(crate) life: Life,
    pub(crate) user_id: i64,
    pub(crate) index: usize,
    pub(crate) physique: Physique,
}

impl Story {
    pub(crate) fn new(
        hero: Hero,
        chance: Chance,
        planner: Planner,
        first_look: DateTime<Utc>,
    ) -> Self {
        Self {
            life: hero.life,
            user_id: hero.user_id,
            index: hero.index,
            physique: hero.physique,
            chance,
            planner,
            told: 0,
            night: 0,
            napped: 0,
            open: None,
            first_look,
        }
    }

    /// Start of the next cycle; nothing of it shows before.
    pub(crate) fn next(&self) -> Option<DateTime<Utc>> {
        self.planner.next_start()
    }

    /// Tells one cycle with all that lies in it.
    pub(crate) fn tell(&mut self, tale: &mut Tale) {
        let plan = self.planner.cycle();
        if let Measured::ZerosCreatedAt(created) = plan.measured {
            let record = self.zeros(&plan, created);
            tale.add(created, Change::Put(DataType::Cycle, record));
            return;
        }
        let number = self.told;
        self.told += 1;
        let earliest = self.open.as_ref().map(|cycle| {
            // One strap uploads in the order of its nights.
            cycle.stored.created + TimeDelta::minutes(1)
        });
        let seen = plan.nights.first().map_or(plan.start, |night| night.end);
        let stored = self
            .chance
            .stored(seen, self.life.settles())
            .not_before(earliest.unwrap_or(DateTime::<Utc>::MIN_UTC));
        if let Some(cycle) = self.open.take() {
            self.close(&cycle, plan.start, stored.created + ENDS_AFTER, tale);
        }

        let cycle_id = cycle_id(self.index, plan.start);
        let state = self.nights(cycle_id, &plan, stored, tale);
        self.napped = self.naps(cycle_id, &plan, stored, tale);

        let mut loads = Vec::new();
        for (span, sport) in &plan.workouts {
            loads.extend(self.workout(*span, *sport, stored.created, tale));
        }
        let cycle_state = match state {
            ScoreState::Unscorable if self.chance.odds(0.5) => ScoreState::Unscorable,
            _ if plan.measured == Measured::Nothing => ScoreState::Unscorable,
            _ => ScoreState::Scored,
        };
        let pace = Pace::draw(&mut self.chance, &self.physique);
        let cycle = Cycle {
            id: cycle_id,
            user_id: self.user_id,
            start: plan.start,
            woke: plan.woke(),
            timezone_offset: self.offset(plan.nights.first().map_or(plan.start, |it| it.end)),
            stored,
            state: cycle_state,
            unscored: self.unscored(number.is_multiple_of(2)),
            pace,
            loads,
        };
        tale.add(stored.created, Change::Open(Box::new(cycle.clone())));
        match plan.closes_at {
            Some(end) => self.close(&cycle, end, end.max(stored.created + ENDS_AFTER), tale),
            None => self.open = Some(cycle),
        }
    }

    /// A cycle that WHOOP creates long after it has ended, with every value 0.
    fn zeros(&self, plan: &PlannedCycle, created: DateTime<Utc>) -> Record {
        // The id counts up with the creation, not with the start.
        let id = cycle_id(self.index, created);
        let wire = wire::Cycle {
            id,
            user_id: self.user_id,
            created_at: print(created),
            updated_at: print(created),
            start: print(plan.start),
            end: plan.closes_at.map(print),
            timezone_offset: self.offset(plan.start),
            score_state: ScoreState::Scored,
            score: Some(Some(CycleScore::ZERO)),
            step_count: None,
        };
        Record::new(id, plan.start, plan.closes_at, &wire)
    }

    /// The main sleeps of a cycle, and its recovery, which WHOOP makes of the first one.
    fn nights(
        &mut self,
        cycle_id: i64,
        plan: &PlannedCycle,
        stored: Stored,
        tale: &mut Tale,
    ) -> ScoreState {
        let Some((first, later)) = plan.nights.split_first() else {
            return ScoreState::Scored;
        };
        let night = self.night;
        self.night += 1;
        let state = if night % UNSCORABLE_EVERY == UNSCORABLE_EVERY / 2 {
            ScoreState::Unscorable
        } else {
            ScoreState::Scored
        };
        let need = Need {
            debt_milli: self.chance.int(0, 5_400_000),
            nap_milli: self.napped,
        };
        let kind = if night < NIGHTS_WITHOUT_CONSISTENCY {
            sleep::Kind::FirstNights
        } else {
            sleep::Kind::Night
        };
        let sleep_id = self.sleep(cycle_id, *first, kind, (state, stored), &need, tale);
        // WHOOP makes no recovery of some members' first nights.
        if self.life != Life::LongBreaks || night >= NIGHTS_WITHOUT_CONSISTENCY {
            self.recovery(night, cycle_id, &sleep_id, *first, (state, stored), tale);
        }
        for span in later {
            let stored = self
                .chance
                .stored(span.end, self.life.settles())
                .not_before(stored.created + TimeDelta::minutes(1));
            self.sleep(
                cycle_id,
                *span,
                sleep::Kind::LaterPart,
                (ScoreState::Scored, stored),
                &need,
                tale,
            );
        }
        state
    }

    fn close(&self, cycle: &Cycle, end: DateTime<Utc>, seen: DateTime<Utc>, tale: &mut Tale) {
        let settled = cycle.stored.settled;
        if settled <= seen || self.first_look < settled {
            tale.add(seen, Change::Close(cycle.closed(end, seen)));
        }
        if seen < settled {
            let record = cycle.closed(end, settled);
            // Told as a close again: whoever looked for the first time in
            // between has not seen the other.
            tale.add(settled, Change::Close(record));
        }
    }

    fn naps(&mut self, cycle_id: i64, plan: &PlannedCycle, night: Stored, tale: &mut Tale) -> i64 {
        let mut napped = 0;
        for nap in &plan.naps {
            let span = nap.span;
            napped += (span.end - span.start).num_milliseconds() * 9 / 10;
            let stored = self
                .chance
                .stored(span.end, self.life.settles())
                .not_before(night.created + TimeDelta::minutes(1));
            let need = Need {
                debt_milli: self.chance.int(0, 3_600_000),
                nap_milli: 0,
            };
            let settled = (ScoreState::Scored, stored);
            let kind = if nap.entered_by_hand {
                sleep::Kind::EnteredByHand
            } else {
                sleep::Kind::Nap
            };
            self.sleep(cycle_id, span, kind, settled, &need, tale);
        }
        napped
    }

    fn sleep(
        &mut self,
        cycle_id: i64,
        span: Span,
        kind: sleep::Kind,
        (state, stored): (ScoreState, Stored),
        need: &Need,
        tale: &mut Tale,
    ) -> String {
        let id = self.chance.uuid().to_string();
        let mut wire = wire::Sleep {
            id: id.clone(),
            cycle_id,
            v1_id: None,
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: String::new(),
            start: print(span.start),
            end: print(span.end),
            timezone_offset: self.offset(span.end),
            nap: kind.is_nap(),
            score_state: ScoreState::PendingScore,
            score: self.no_score(SleepScore::zero),
        };
        for version in Version::of(state, stored) {
            if version.state == ScoreState::Scored {
                let chance = &mut self.chance;
                wire.score = Some(Some(sleep::score(chance, &self.physique, span, kind, need)));
            }
            if version.is_overtaken(self.first_look) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = print(version.at);
            let mut record = Record::new(&id, span.start, Some(span.end), &wire);
            record.cycle_id = Some(cycle_id);
            record.nap = kind.is_nap();
            tale.add(version.at, Change::Put(DataType::Sleep, record));
        }
        id
    }

    fn recovery(
        &mut self,
        night: usize,
        cycle_id: i64,
        sleep_id: &str,
        span: Span,
        (state, stored): (ScoreState, Stored),
        tale: &mut Tale,
    ) {
        let calibrating = self.life == Life::Newcomer && night < CALIBRATING_NIGHTS;
        let mut wire = wire::Recovery {
            cycle_id,
            sleep_id: sleep_id.to_owned(),
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: String::new(),
            score_state: ScoreState::PendingScore,
            score: self.no_score(RecoveryScore::zero),
        };
        for version in Version::of(state, stored) {
            if version.state == ScoreState::Scored {
                let chance = &mut self.chance;
                wire.score = Some(Some(recovery::score(chance, &self.physique, calibrating)));
            }
            if version.is_overtaken(self.first_look) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = print(version.at);
            let mut record = Record::new(cycle_id, span.start, Some(span.end), &wire);
            record.cycle_id = Some(cycle_id);
            record.sleep_id = Some(sleep_id.to_owned());
            tale.add(version.at, Change::Put(DataType::Recovery, record));
        }
    }

    fn workout(
        &mut self,
        span: Span,
        sport: Sport,
        earliest: DateTime<Utc>,
        tale: &mut Tale,
    ) -> Option<(DateTime<Utc>, Load)> {
        let id = self.chance.uuid().to_string();
        let stored = self
            .chance
            .stored(span.end, Settles::Soon)
            .not_before(earliest + TimeDelta::minutes(1));
        let state = if self.chance.odds(0.04) {
            ScoreState::Unscorable
        } else {
            ScoreState::Scored
        };
        let mut wire = wire::Workout {
            id: id.clone(),
            v1_id: None,
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: String::new(),
            start: print(span.start),
            end: print(span.end),
            timezone_offset: self.offset(span.start),
            sport_name: sport.name,
            score_state: ScoreState::PendingScore,
            score: self.no_score(WorkoutScore::zero),
            sport_id: sport.id,
        };
        let mut load = None;
        for version in Version::of(state, stored) {
            if version.state == ScoreState::Scored {
                let chance = &mut self.chance;
                let (score, drawn) = workout::score(chance, &self.physique, span, sport);
                wire.score = Some(Some(score));
                load = load.or(Some((version.at, drawn)));
            }
            if version.is_overtaken(self.first_look) {
                continue;
            }
            wire.score_state = version.state;
            wire.updated_at = print(version.at);
            let record = Record::new(&id, span.start, Some(span.end), &wire);
            tale.add(version.at, Change::Put(DataType::Workout, record));
        }
        load
    }

    pub(crate) fn score_a_recovery(&self, chance: &mut Chance) -> serde_json::Value {
        serde_json::to_value(recovery::score(chance, &self.physique, false))
            .expect("a score has string keys")
    }

    /// The replacement for a missing score: null or no key, for some people zeros.
    fn no_score<T>(&mut self, zero: fn() -> T) -> MaybeAbsent<T> {
        let sends_null = self.chance.odds(0.5);
        match self.unscored(sends_null) {
            Unscored::Absent => None,
            Unscored::Null => Some(None),
            Unscored::Zeros => Some(Some(zero())),
        }
    }

    fn unscored(&self, sends_null: bool) -> Unscored {
        match self.life {
            Life::OddReadings => Unscored::Zeros,
            _ if sends_null => Unscored::Null,
            _ => Unscored::Absent,
        }
    }

    fn offset(&self, at: DateTime<Utc>) -> String {
        let itinerary = &self.planner.itinerary;
        print_offset(itinerary.offset_minutes(at - self.life.offset_lag()))
    }
}

/// A record from `at` on, until `until` if it changes again.
struct Version {
    at: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    state: ScoreState,
}

impl Version {
    /// Pending, settled, and sometimes scored anew.
    fn of(state: ScoreState, stored: Stored) -> Vec<Self> {
        let again = stored.again.filter(|_| state == ScoreState::Scored);
        let mut versions = vec![
            Self {
                at: stored.created,
                until: Some(stored.settled),
                state: ScoreState::PendingScore,
            },
            Self {
                at: stored.settled,
                until: again,
                state,
            },
        ];
        versions.extend(again.map(|at| Self {
            at,
            until: None,
            state,
        }));
        versions
    }

    fn is_overtaken(&self, by: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= by)
    }
}

/// An hour of the years since 2020 and the person make a cycle's id: no two
/// cycles share one, as nobody falls asleep twice in an hour.
///
/// Every second person has ids past 2^31, where WHOOP is about to arrive.
pub(crate) fn cycle_id(index: usize, start: DateTime<Utc>) -> i64 {
    let person = i64::try_from(index % MAX_PEOPLE).unwrap_or(0);
    let people = i64::try_from(MAX_PEOPLE).unwrap_or(i64::MAX);
    let base = if index.is_multiple_of(2) {
        1_000_000_000
    } else {
        3_000_000_000
    };
    let hour = (start.timestamp() - 1_577_836_800).div_euclid(3_600);
    base + hour * people + person
}
