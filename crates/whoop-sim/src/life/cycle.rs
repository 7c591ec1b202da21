//! A cycle's own score: strain and energy from one sleep's onset to the next.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Chance,
    chance::Stored,
    person::Physique,
    sleep::milli,
    wire::{self, CycleScore, ScoreState},
    workout::Load,
};
use crate::{
    clock::print,
    number::{Float, whole},
    record::Record,
};

/// An open cycle is scored anew this often.
const GROWS_EVERY_SECONDS: i64 = 20 * 60;

/// A cycle whose end is not known yet. It grows as time passes, and every value
/// hangs on the instant alone, so it is the same however the clock got there.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) start: DateTime<Utc>,
    pub(crate) woke: DateTime<Utc>,
    pub(crate) timezone_offset: String,
    pub(crate) stored: Stored,
    /// What it is once it is settled.
    pub(crate) state: ScoreState,
    pub(crate) unscored: Unscored,
    pub(crate) pace: Pace,
    /// With the instant from which WHOOP counts them.
    pub(crate) loads: Vec<(DateTime<Utc>, Load)>,
}

/// The content of `score` in an unscored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unscored {
    Absent,
    Null,
    Zeros,
}

/// How somebody spends a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    exertion_per_hour: f64,
    average_heart_rate: i64,
    max_heart_rate: i64,
    kilojoule_per_hour: f64,
    /// `None` when the strap was not worn all the time.
    steps_per_hour: Option<i64>,
}

impl Pace {
    pub(crate) fn draw(chance: &mut Chance, body: &Physique) -> Self {
        let steps = chance.int(180, 900);
        Self {
            exertion_per_hour: chance.real(0.012, 0.022),
            average_heart_rate: whole(body.resting_heart_rate + chance.real(9.0, 19.0)),
            max_heart_rate: chance.int(108, 141),
            kilojoule_per_hour: body.kilojoule_per_hour,
            steps_per_hour: chance.odds(0.97).then_some(steps),
        }
    }

    fn score(&self, lasted: TimeDelta, loads: &[Load]) -> CycleScore {
        let hours = milli(lasted.num_milliseconds()) / 3_600_000.0;
        let trained: f64 = loads.iter().map(|load| load.strain).sum();
        // Strain does not add up; it crowds towards 21.
        let exertion = hours.min(30.0) * self.exertion_per_hour + trained * 0.045;
        let burnt: f64 = loads.iter().map(|load| load.kilojoule).sum();
        let highest = loads.iter().map(|load| load.max_heart_rate).max();
        let strain = 20.95 * (1.0 - (-exertion).exp());
        // A day is harder than the hardest hour of it.
        let hardest = loads.iter().map(|load| load.strain).fold(0.0, f64::max);
        CycleScore {
            strain: Float::new(strain.max(hardest + (20.95 - hardest) * 0.03)),
            kilojoule: Float::new(hours * self.kilojoule_per_hour + burnt),
            average_heart_rate: self.average_heart_rate,
            max_heart_rate: highest.unwrap_or(0).max(self.max_heart_rate),
        }
    }
}

impl Cycle {
    /// When it last changed before `now`, while it is open.
    pub(crate) fn grown_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = (now - self.stored.created).num_seconds().max(0);
        let grown = self.stored.created
            + TimeDelta::seconds(age / GROWS_EVERY_SECONDS * GROWS_EVERY_SECONDS);
        if self.stored.settled <= now {
            grown.max(self.stored.settled)
        } else {
            grown
        }
    }

    /// As it is listed while it is open.
    pub(crate) fn open(&self, now: DateTime<Utc>) -> Record {
        let at = self.grown_at(now);
        let state = if at < self.stored.settled {
            ScoreState::PendingScore
        } else {
            self.state
        };
        self.record(at, None, at, state)
    }

    /// As it is listed from `seen` on, when the sleep that ends it is known.
    pub(crate) fn closed(&self, end: DateTime<Utc>, seen: DateTime<Utc>) -> Record {
        let state = if seen < self.stored.settled {
            ScoreState::PendingScore
        } else {
            self.state
        };
        self.record(seen, Some(end), end, state)
    }

    fn record(
        &self,
        updated: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
        state: ScoreState,
    ) -> Record {
        let is_scored = state == ScoreState::Scored;
        // A workout of this cycle that arrived late counts when it closes.
        let loads: Vec<Load> = self
            .loads
            .iter()
            .filter(|(known, _)| end.is_some() || *known <= until)
            .map(|(_, load)| *load)
            .collect();
        let hours = (until - self.woke).num_hours().max(1);
        let wire = wire::Cycle {
            id: self.id,
            user_id: self.user_id,
            created_at: print(self.stored.created),
            updated_at: print(updated),
            start: print(self.start),
            end: end.map(print),
            timezone_offset: self.timezone_offset.clone(),
            score_state: state,
            score: match self.unscored {
                _ if is_scored => Some(Some(self.pace.score(until - self.start, &loads))),
                Unscored::Absent => None,
                Unscored::Null => Some(None),
                Unscored::Zeros => Some(Some(CycleScore::ZERO)),
            },
            step_count: self
                .pace
                .steps_per_hour
                .filter(|_| is_scored)
                .map(|steps| steps * hours),
        };
        Record::new(self.id, self.start, end, &wire)
    }
}
