//! The score of a cycle: strain and energy. A cycle lasts from the start of one main sleep to the
//! start of the next.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    SeededRng,
    person::BodyBaseline,
    seeded_rng::ScoringTimes,
    sleep::to_f64,
    wire::{self, CycleScoreJson, SimScoreState},
    workout::WorkoutLoad,
};
use crate::{
    clock::format_instant,
    number::{SinglePrecision, round_to_int},
    record::SimRecord,
};

/// Interval at which WHOOP updates the score of the running cycle.
const UPDATE_INTERVAL_SECONDS: i64 = 20 * 60;

/// A cycle whose end is not known yet.
///
/// The values of its score grow with time. They depend only on the current time, not on the steps
/// in which a test moved the clock.
#[derive(Debug, Clone)]
pub(crate) struct OpenCycle {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) start: DateTime<Utc>,
    pub(crate) woke_at: DateTime<Utc>,
    pub(crate) timezone_offset: String,
    pub(crate) times: ScoringTimes,
    /// Score state of the cycle from `times.finalized` on. Before that time, the score is pending.
    pub(crate) state: SimScoreState,
    pub(crate) missing_score: MissingScore,
    pub(crate) activity_level: ActivityLevel,
    /// Loads of the workouts, each with the time from which WHOOP includes it in the cycle's score.
    pub(crate) loads: Vec<(DateTime<Utc>, WorkoutLoad)>,
}

/// Form of the field `score` in a record without a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingScore {
    Absent,
    Null,
    Zeros,
}

/// A person's activity during one cycle, without the workouts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActivityLevel {
    exertion_per_hour: f64,
    average_heart_rate: i64,
    max_heart_rate: i64,
    kilojoule_per_hour: f64,
    /// Steps per hour; `None` if WHOOP counts no steps because the strap was not worn all the time.
    steps_per_hour: Option<i64>,
}

impl ActivityLevel {
    pub(crate) fn draw(rng: &mut SeededRng, body: &BodyBaseline) -> Self {
        let steps = rng.int_between(180, 900);
        Self {
            exertion_per_hour: rng.float_between(0.012, 0.022),
            average_heart_rate: round_to_int(
                body.resting_heart_rate + rng.float_between(9.0, 19.0),
            ),
            max_heart_rate: rng.int_between(108, 141),
            kilojoule_per_hour: body.kilojoule_per_hour,
            steps_per_hour: rng.random_bool(0.97).then_some(steps),
        }
    }

    fn score(&self, duration: TimeDelta, loads: &[WorkoutLoad]) -> CycleScoreJson {
        let hours = to_f64(duration.num_milliseconds()) / 3_600_000.0;
        let workout_strain: f64 = loads.iter().map(|load| load.strain).sum();
        // Strain does not add up. The more exertion there is, the closer the strain is to 21.
        let exertion = hours.min(30.0) * self.exertion_per_hour + workout_strain * 0.045;
        let burnt: f64 = loads.iter().map(|load| load.kilojoule).sum();
        let highest = loads.iter().map(|load| load.max_heart_rate).max();
        let strain = 20.95 * (1.0 - (-exertion).exp());
        // The strain of a cycle is always higher than the strain of its hardest workout.
        let hardest = loads.iter().map(|load| load.strain).fold(0.0, f64::max);
        CycleScoreJson {
            strain: SinglePrecision::new(strain.max(hardest + (20.95 - hardest) * 0.03)),
            kilojoule: SinglePrecision::new(hours * self.kilojoule_per_hour + burnt),
            average_heart_rate: self.average_heart_rate,
            max_heart_rate: highest.unwrap_or(0).max(self.max_heart_rate),
        }
    }
}

impl OpenCycle {
    /// Returns the `updated_at` that the running cycle's record has at `now`.
    ///
    /// WHOOP updates the record at regular intervals, and when its score state becomes final.
    pub(crate) fn last_update(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = (now - self.times.created).num_seconds().max(0);
        let last_interval_end = self.times.created
            + TimeDelta::seconds(age / UPDATE_INTERVAL_SECONDS * UPDATE_INTERVAL_SECONDS);
        if self.times.finalized <= now {
            last_interval_end.max(self.times.finalized)
        } else {
            last_interval_end
        }
    }

    /// Returns the version of the record that WHOOP lists at `now`, while the cycle is running.
    pub(crate) fn open_record(&self, now: DateTime<Utc>) -> SimRecord {
        let at = self.last_update(now);
        let state = if at < self.times.finalized {
            SimScoreState::PendingScore
        } else {
            self.state
        };
        self.to_record(at, None, at, state)
    }

    /// Returns the version of the ended cycle's record that WHOOP lists from `seen` on.
    pub(crate) fn closed_record(&self, end: DateTime<Utc>, seen: DateTime<Utc>) -> SimRecord {
        let state = if seen < self.times.finalized {
            SimScoreState::PendingScore
        } else {
            self.state
        };
        self.to_record(seen, Some(end), end, state)
    }

    fn to_record(
        &self,
        updated: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
        state: SimScoreState,
    ) -> SimRecord {
        let is_scored = state == SimScoreState::Scored;
        // A running cycle includes the workouts that WHOOP has scored so far. A closed cycle
        // includes all.
        let loads: Vec<WorkoutLoad> = self
            .loads
            .iter()
            .filter(|(known, _)| end.is_some() || *known <= until)
            .map(|(_, load)| *load)
            .collect();
        let hours = (until - self.woke_at).num_hours().max(1);
        let wire = wire::CycleJson {
            id: self.id,
            user_id: self.user_id,
            created_at: format_instant(self.times.created),
            updated_at: format_instant(updated),
            start: format_instant(self.start),
            end: end.map(format_instant),
            timezone_offset: self.timezone_offset.clone(),
            score_state: state,
            score: match self.missing_score {
                _ if is_scored => Some(Some(self.activity_level.score(until - self.start, &loads))),
                MissingScore::Absent => None,
                MissingScore::Null => Some(None),
                MissingScore::Zeros => Some(Some(CycleScoreJson::ZERO)),
            },
            step_count: self
                .activity_level
                .steps_per_hour
                .filter(|_| is_scored)
                .map(|steps| steps * hours),
        };
        SimRecord::new(self.id, self.start, end, &wire)
    }
}
