//! Writes a planned life down as the records that WHOOP would hold.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Chance, Life, Person,
    chance::Stored,
    cycle,
    itinerary::Itinerary,
    person::{Physique, profile, stream},
    plan::{Day, Planner, Span},
    recovery,
    sleep::{self, Need},
    sport::Sport,
    wire::{self, MaybeAbsent, ScoreState},
    workout::{self, Load},
    zone::print_offset,
};
use crate::{clock::print, data_type::DataType, record::Record};

/// A newcomer's whole history, and how many nights of it calibrate.
const NEWCOMER_DAYS: u32 = 12;
const CALIBRATING_NIGHTS: usize = 4;
/// Every so many-th night, WHOOP could make nothing of what the strap sent.
const UNSCORABLE_EVERY: usize = 17;

pub(crate) fn generate(seed: u64, index: usize, days: u32, now: DateTime<Utc>) -> Person {
    let life = Life::of(index);
    let mut chance = Chance::new(seed, stream(index));
    let days = match life {
        Life::Newcomer => days.min(NEWCOMER_DAYS),
        _ => days,
    };
    let from = now
        .checked_sub_signed(TimeDelta::days(i64::from(days)))
        .unwrap_or(now);
    let itinerary = Itinerary::of(life, &mut chance, from, now);
    let plan = Planner {
        life,
        chance: &mut chance,
        itinerary: &itinerary,
        now,
    }
    .days(from);

    let physique = Physique::of(life, &mut chance);
    let profile = profile(seed, index);
    let user_id = profile.user_id;
    let mut story = Story {
        person: Person::new(life, &physique, &profile),
        user_id,
        index,
        physique,
        chance,
        itinerary,
        now,
    };
    let mut napped = 0;
    for (night, day) in plan.iter().enumerate() {
        let next = plan.get(night + 1).map(|day| day.sleep.start);
        napped = story.tell(night, day, next, napped);
    }
    story.person.sort();
    story.person
}

struct Story {
    person: Person,
    user_id: i64,
    index: usize,
    physique: Physique,
    chance: Chance,
    itinerary: Itinerary,
    now: DateTime<Utc>,
}

impl Story {
    /// One cycle with all that lies in it. Returns how long was napped.
    fn tell(
        &mut self,
        night: usize,
        day: &Day,
        next: Option<DateTime<Utc>>,
        napped_before: i64,
    ) -> i64 {
        let is_newest = next.is_none();
        let state = if is_newest && self.person.life.awaits_scores() {
            ScoreState::PendingScore
        } else if !is_newest && night % UNSCORABLE_EVERY == UNSCORABLE_EVERY / 2 {
            ScoreState::Unscorable
        } else {
            ScoreState::Scored
        };
        let cycle_id = cycle_id(self.index, day.sleep.start);

        let mut stored = self.chance.stored(day.sleep.end, self.now);
        if state == ScoreState::PendingScore {
            stored.updated = stored.created;
        }
        let need = Need {
            debt_milli: self.chance.int(0, 5_400_000),
            nap_milli: napped_before,
        };
        let sleep_id = self.sleep(cycle_id, day.sleep, false, state, stored, &need);
        self.recovery(night, cycle_id, &sleep_id, day.sleep, state, stored);

        let mut napped = 0;
        for nap in &day.naps {
            napped += (nap.end - nap.start).num_milliseconds() * 9 / 10;
            let stored = self.chance.stored(nap.end, self.now);
            let need = Need {
                debt_milli: self.chance.int(0, 3_600_000),
                nap_milli: 0,
            };
            self.sleep(cycle_id, *nap, true, ScoreState::Scored, stored, &need);
        }
        let loads: Vec<Load> = day
            .workouts
            .iter()
            .filter_map(|(span, sport)| self.workout(*span, *sport))
            .collect();
        self.cycle(cycle_id, day, next, state, stored, &loads);
        napped
    }

    fn sleep(
        &mut self,
        cycle_id: i64,
        span: Span,
        nap: bool,
        state: ScoreState,
        stored: Stored,
        need: &Need,
    ) -> String {
        let id = self.chance.uuid().to_string();
        let score = match state {
            ScoreState::Scored => {
                let chance = &mut self.chance;
                Some(Some(sleep::score(chance, &self.physique, span, nap, need)))
            }
            _ => self.no_score(),
        };
        let wire = wire::Sleep {
            id: id.clone(),
            cycle_id,
            v1_id: None,
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: print(stored.updated),
            start: print(span.start),
            end: print(span.end),
            timezone_offset: self.offset(span.end),
            nap,
            score_state: state,
            score,
        };
        let mut record = Record::new(&id, span.start, Some(span.end), &wire);
        record.cycle_id = Some(cycle_id);
        record.nap = nap;
        self.person.records_mut(DataType::Sleep).push(record);
        id
    }

    fn recovery(
        &mut self,
        night: usize,
        cycle_id: i64,
        sleep_id: &str,
        span: Span,
        state: ScoreState,
        stored: Stored,
    ) {
        let calibrating = self.person.life == Life::Newcomer && night < CALIBRATING_NIGHTS;
        let score = match state {
            ScoreState::Scored => {
                let chance = &mut self.chance;
                Some(Some(recovery::score(chance, &self.physique, calibrating)))
            }
            _ => self.no_score(),
        };
        let wire = wire::Recovery {
            cycle_id,
            sleep_id: sleep_id.to_owned(),
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: print(stored.updated),
            score_state: state,
            score,
        };
        let mut record = Record::new(cycle_id, span.start, Some(span.end), &wire);
        record.cycle_id = Some(cycle_id);
        record.sleep_id = Some(sleep_id.to_owned());
        self.person.records_mut(DataType::Recovery).push(record);
    }

    fn cycle(
        &mut self,
        id: i64,
        day: &Day,
        next: Option<DateTime<Utc>>,
        night: ScoreState,
        stored: Stored,
        loads: &[Load],
    ) {
        let start = day.sleep.start;
        let state = match night {
            ScoreState::PendingScore => ScoreState::PendingScore,
            ScoreState::Unscorable if self.chance.odds(0.5) => ScoreState::Unscorable,
            _ if day.strap_off => ScoreState::Unscorable,
            _ => ScoreState::Scored,
        };
        let until = next.unwrap_or(self.now);
        let score = match state {
            ScoreState::Scored => {
                let chance = &mut self.chance;
                Some(Some(cycle::score(
                    chance,
                    &self.physique,
                    start,
                    until,
                    loads,
                )))
            }
            _ => self.no_score(),
        };
        let worn_all_day = state == ScoreState::Scored && self.chance.odds(0.97);
        let hours = (until - day.sleep.end).num_hours().max(1);
        let wire = wire::Cycle {
            id,
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: print(self.cycle_updated(next, state, stored)),
            start: print(start),
            end: next.map(print),
            timezone_offset: self.offset(day.sleep.end),
            score_state: state,
            score,
            step_count: worn_all_day.then(|| self.chance.int(180, 900) * hours),
        };
        let record = Record::new(id, start, next, &wire);
        self.person.records_mut(DataType::Cycle).push(record);
    }

    /// A cycle changes until its end is known, an open one with every sync.
    fn cycle_updated(
        &mut self,
        next: Option<DateTime<Utc>>,
        state: ScoreState,
        stored: Stored,
    ) -> DateTime<Utc> {
        let changed = match next {
            // The end is the onset of a sleep that was seen when it was over.
            Some(end) => end + self.chance.minutes(6 * 60, 10 * 60),
            None if state == ScoreState::PendingScore => stored.created,
            None => self.now - self.chance.minutes(1, 25),
        };
        changed.min(self.now).max(stored.created)
    }

    fn workout(&mut self, span: Span, sport: Sport) -> Option<Load> {
        let id = self.chance.uuid().to_string();
        let mut stored = self.chance.stored(span.end, self.now);
        let is_fresh = self.now - span.end < TimeDelta::minutes(30);
        let state = if is_fresh {
            stored.updated = stored.created;
            ScoreState::PendingScore
        } else if self.chance.odds(0.04) {
            ScoreState::Unscorable
        } else {
            ScoreState::Scored
        };
        let (score, load) = match state {
            ScoreState::Scored => {
                let (score, load) = workout::score(&mut self.chance, &self.physique, span, sport);
                (Some(Some(score)), Some(load))
            }
            _ => (self.no_score(), None),
        };
        let wire = wire::Workout {
            id: id.clone(),
            v1_id: None,
            user_id: self.user_id,
            created_at: print(stored.created),
            updated_at: print(stored.updated),
            start: print(span.start),
            end: print(span.end),
            timezone_offset: self.offset(span.start),
            sport_name: sport.name,
            score_state: state,
            score,
            sport_id: sport.id,
        };
        let record = Record::new(&id, span.start, Some(span.end), &wire);
        self.person.records_mut(DataType::Workout).push(record);
        load
    }

    fn no_score<T>(&mut self) -> MaybeAbsent<T> {
        self.chance.odds(0.5).then_some(None)
    }

    fn offset(&self, at: DateTime<Utc>) -> String {
        print_offset(self.itinerary.offset_minutes(at))
    }
}

/// Ten-minute slots of time, so that no two cycles share an id.
///
/// Every second person has ids past 2^31, where WHOOP is about to arrive.
fn cycle_id(index: usize, start: DateTime<Utc>) -> i64 {
    const PEOPLE_A_SLOT: i64 = 2_048;
    let person = i64::try_from(index).unwrap_or(0) % PEOPLE_A_SLOT;
    let base = if index.is_multiple_of(2) {
        1_000_000_000
    } else {
        3_000_000_000
    };
    // Slots since 2020.
    let slot = (start.timestamp() - 1_577_836_800) / 600;
    base + slot * PEOPLE_A_SLOT + person
}
