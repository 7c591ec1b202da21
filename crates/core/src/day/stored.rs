//! Stored records of a date, with the columns from which a day is assembled.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{CycleId, DataType, SleepId, WorkoutId, plan::NightState, record::ScoreState};

/// All stored records of one member that belong to one local date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayRecords {
    pub recoveries: Vec<DayRecovery>,
    /// Main sleeps and naps of the date.
    pub sleeps: Vec<DaySleep>,
    pub cycles: Vec<DayCycle>,
    pub workouts: Vec<DayWorkout>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DayRecovery {
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub score_state: ScoreState,
    /// Whether another cycle is displayed for the date; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Time at which this version of the record was stored.
    pub stored_at: DateTime<Utc>,
    /// Recovery score in percent, 0 to 100.
    pub recovery_score: Option<f64>,
    pub hrv_rmssd_milli: Option<f64>,
    pub resting_heart_rate: Option<f64>,
    pub spo2_percentage: Option<f64>,
    pub skin_temp_celsius: Option<f64>,
    pub user_calibrating: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DaySleep {
    pub id: SleepId,
    pub cycle_id: Option<CycleId>,
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub nap: bool,
    pub score_state: ScoreState,
    /// Whether another cycle is displayed for the date; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Time at which this version of the record was stored.
    pub stored_at: DateTime<Utc>,
    pub light_milli: Option<i64>,
    pub slow_wave_milli: Option<i64>,
    pub rem_milli: Option<i64>,
    pub awake_milli: Option<i64>,
    /// The four components of the sleep need in milliseconds: the baseline, the need from sleep
    /// debt, the need from recent strain, and the change by recent naps, which is zero or negative.
    pub needed_milli: [Option<i64>; 4],
    /// Respiratory rate in breaths per minute.
    pub respiratory_rate: Option<f64>,
    pub performance_percentage: Option<f64>,
    pub consistency_percentage: Option<f64>,
    pub efficiency_percentage: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DayCycle {
    pub id: CycleId,
    pub start: DateTime<Utc>,
    /// End of the cycle; `None` if the cycle is still running.
    pub end: Option<DateTime<Utc>>,
    pub score_state: ScoreState,
    /// Whether another cycle is displayed for the date; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Strain of the cycle, 0 to 21. The scale is not linear.
    pub strain: Option<f64>,
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub step_count: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DayWorkout {
    pub id: WorkoutId,
    pub sport_name: Option<String>,
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub score_state: ScoreState,
    pub strain: Option<f64>,
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub distance_meter: Option<f64>,
    /// Time in each of the heart rate zones 0 to 5, in milliseconds.
    pub zones_milli: [Option<i64>; 6],
}

impl DaySleep {
    /// Returns the time asleep: the sum of light, slow wave and REM sleep. WHOOP has no field for
    /// this sum.
    ///
    /// Returns `None` if the sleep has no score or one of the three durations is absent.
    pub fn asleep_milli(&self) -> Option<i64> {
        if !self.score_state.is_scored() {
            return None;
        }
        let light_and_slow_wave = self.light_milli?.saturating_add(self.slow_wave_milli?);
        Some(light_and_slow_wave.saturating_add(self.rem_milli?))
    }

    /// Returns the sleep need in milliseconds: the sum of its four components. Returns `None` if
    /// one of them is absent.
    pub(super) fn need_milli(&self) -> Option<i64> {
        let mut parts = self.needed_milli.into_iter();
        parts.try_fold(0_i64, |sum, part| Some(sum.saturating_add(part?)))
    }

    /// Returns the sort key by which the longest main sleep is found: the time asleep, or the time
    /// from start to end if the sleep has no score. The start and the id decide between equal
    /// durations.
    pub(super) fn sort_key(&self) -> (TimeDelta, DateTime<Utc>, &str) {
        let asleep = self.asleep_milli().and_then(TimeDelta::try_milliseconds);
        let time_span = || self.end.map(|end| end - self.start);
        let ranking_duration = asleep.or_else(time_span).unwrap_or_default();
        (ranking_duration, self.start, self.id.0.as_str())
    }
}

impl DayCycle {
    /// Returns whether a day contains the figures of the cycle.
    ///
    /// A day contains the figures of a scored cycle, and the figures so far of a running cycle. A
    /// running cycle with zero energy has no measurement yet, because a body always uses energy;
    /// its figures are omitted.
    pub(super) fn shows_figures(&self) -> bool {
        let is_running = self.end.is_none() && self.score_state == ScoreState::PendingScore;
        self.score_state.is_scored()
            || (is_running && self.kilojoule.is_some_and(|energy| energy > 0.0))
    }
}

/// References from records of a date to a cycle or a sleep that is not stored.
///
/// Each field is the time at which the record with the reference was stored; `None` if there is no
/// such reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DanglingReferences {
    pub cycle: Option<DateTime<Utc>>,
    pub sleep: Option<DateTime<Utc>>,
}

impl DanglingReferences {
    /// Returns the time at which a record was stored that refers to an absent record of
    /// `data_type`.
    ///
    /// Returns `None` if no stored record refers to an absent record of this data type.
    pub const fn referenced_at(&self, data_type: DataType) -> Option<DateTime<Utc>> {
        match data_type {
            DataType::Cycle => self.cycle,
            DataType::Sleep => self.sleep,
            DataType::Recovery | DataType::Workout => None,
        }
    }
}

impl DayRecords {
    /// Returns the main sleeps of the cycle that is displayed for the date.
    pub fn main_sleeps(&self) -> impl Iterator<Item = &DaySleep> {
        self.sleeps
            .iter()
            .filter(|sleep| !sleep.nap && !sleep.in_others)
    }

    /// Returns the state of the scores of the date's night.
    ///
    /// If the date has several main sleeps or recoveries, a score counts only if all of them are
    /// scored.
    pub fn night_state(&self) -> NightState {
        let mut nights = self.sleeps.iter().filter(|sleep| !sleep.nap).peekable();
        let has_scored_sleep =
            nights.peek().is_some() && nights.all(|sleep| sleep.score_state.is_scored());
        let has_recovery = !self.recoveries.is_empty()
            && self
                .recoveries
                .iter()
                .all(|recovery| recovery.score_state.is_scored());
        match (has_scored_sleep, has_recovery) {
            (false, _) => NightState::Unscored,
            (true, false) => NightState::SleepScored,
            (true, true) => NightState::Scored,
        }
    }

    /// Returns the references from the night and the recovery of the displayed cycle to a cycle or
    /// a sleep that is not stored.
    pub fn dangling_references(&self) -> DanglingReferences {
        let recovery = self.recoveries.iter().find(|recovery| !recovery.in_others);
        let has_cycle = self.cycles.iter().any(|cycle| !cycle.in_others);
        let sleeps_with_cycle = self.main_sleeps().filter(|sleep| sleep.cycle_id.is_some());
        let reference_times = sleeps_with_cycle
            .map(|sleep| sleep.stored_at)
            .chain(recovery.map(|recovery| recovery.stored_at));
        let has_sleep = |id: &SleepId| {
            self.main_sleeps().next().is_some() || self.sleeps.iter().any(|one| one.id == *id)
        };
        DanglingReferences {
            cycle: reference_times.max().filter(|_| !has_cycle),
            sleep: recovery
                .filter(|recovery| !has_sleep(&recovery.sleep_id))
                .map(|recovery| recovery.stored_at),
        }
    }
}
