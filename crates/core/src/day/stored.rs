//! Stored records of a date, with the columns that a day shows.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{CycleId, DataType, SleepId, WorkoutId, plan::NightState, record::ScoreState};

/// All records of one member that belong to one date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayRecords {
    pub recoveries: Vec<DayRecovery>,
    /// Main sleeps and naps.
    pub sleeps: Vec<DaySleep>,
    pub cycles: Vec<DayCycle>,
    pub workouts: Vec<DayWorkout>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DayRecovery {
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub score_state: ScoreState,
    /// Whether the date shows another cycle; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Time at which this version was stored.
    pub stored_at: DateTime<Utc>,
    /// Recovery score, 0 to 100.
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
    /// Whether the date shows another cycle; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Time at which this version was stored.
    pub stored_at: DateTime<Utc>,
    pub light_milli: Option<i64>,
    pub slow_wave_milli: Option<i64>,
    pub rem_milli: Option<i64>,
    pub awake_milli: Option<i64>,
    /// Sleep need in milliseconds: baseline, debt, recent strain, and recent naps, which lower the
    /// need.
    pub needed_milli: [Option<i64>; 4],
    /// Breaths per minute.
    pub respiratory_rate: Option<f64>,
    pub performance_percentage: Option<f64>,
    pub consistency_percentage: Option<f64>,
    pub efficiency_percentage: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DayCycle {
    pub id: CycleId,
    pub start: DateTime<Utc>,
    /// `None` if the cycle is still running.
    pub end: Option<DateTime<Utc>>,
    pub score_state: ScoreState,
    /// Whether the date shows another cycle; see [`crate::date_assignment`].
    pub in_others: bool,
    /// Strain, 0 to 21; the scale is not linear.
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
    /// Milliseconds in heart rate zones 0 to 5.
    pub zones_milli: [Option<i64>; 6],
}

impl DaySleep {
    /// Returns the sum of light, slow wave and REM sleep, for which WHOOP has no field. `None`
    /// unless the sleep is scored and all three are present.
    pub fn asleep_milli(&self) -> Option<i64> {
        if !self.score_state.is_scored() {
            return None;
        }
        let light_and_slow_wave = self.light_milli?.saturating_add(self.slow_wave_milli?);
        Some(light_and_slow_wave.saturating_add(self.rem_milli?))
    }

    /// Returns the sleep need of the night. `None` unless all four parts are present.
    pub(super) fn need_milli(&self) -> Option<i64> {
        let mut parts = self.needed_milli.into_iter();
        parts.try_fold(0_i64, |sum, part| Some(sum.saturating_add(part?)))
    }

    /// Returns the sort key of main sleeps: the time asleep, or the time from start to end if the
    /// sleep has no score.
    pub(super) fn sort_key(&self) -> (TimeDelta, DateTime<Utc>, &str) {
        let asleep = self.asleep_milli().and_then(TimeDelta::try_milliseconds);
        let time_span = || self.end.map(|end| end - self.start);
        let ranking_duration = asleep.or_else(time_span).unwrap_or_default();
        (ranking_duration, self.start, self.id.0.as_str())
    }
}

impl DayCycle {
    /// Whether the cycle's figures are shown: those of a scored cycle, and the strain so far of a
    /// running cycle. A running cycle with zero energy has not been measured, because a body always
    /// uses energy.
    pub(super) fn shows_figures(&self) -> bool {
        let is_running = self.end.is_none() && self.score_state == ScoreState::PendingScore;
        self.score_state.is_scored()
            || (is_running && self.kilojoule.is_some_and(|energy| energy > 0.0))
    }
}

/// Records that are not stored although another record of the date names them. Each field is the
/// time at which the naming record was stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DanglingReferences {
    pub cycle: Option<DateTime<Utc>>,
    pub sleep: Option<DateTime<Utc>>,
}

impl DanglingReferences {
    /// Returns the time for one data type. `None` if no absent record of it is named.
    pub const fn referenced_at(&self, data_type: DataType) -> Option<DateTime<Utc>> {
        match data_type {
            DataType::Cycle => self.cycle,
            DataType::Sleep => self.sleep,
            DataType::Recovery | DataType::Workout => None,
        }
    }
}

impl DayRecords {
    /// Returns the main sleeps of the cycle that the date shows.
    pub fn main_sleeps(&self) -> impl Iterator<Item = &DaySleep> {
        self.sleeps
            .iter()
            .filter(|sleep| !sleep.nap && !sleep.in_others)
    }

    /// Returns the state of the date's night. If there are several main sleeps, all of them count.
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

    /// Returns the records that the shown night or recovery names and that are not stored.
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
