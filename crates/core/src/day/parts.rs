use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{DayCycle, DayRecovery, DaySleep, DayWorkout};
use crate::{CycleId, SleepId, WorkoutId, instant};

/// Number of kilojoules in one kilocalorie.
const KILOJOULE_PER_KCAL: f64 = 4.184;

/// Converts kilojoules to whole kilocalories. Energy in kilocalories is the only rounded figure of
/// a day.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float outside the range of i64 saturates, as intended"
)]
pub(super) fn whole_kcal(kilojoule: Option<f64>) -> Option<i64> {
    kilojoule.map(|kilojoule| (kilojoule / KILOJOULE_PER_KCAL).round() as i64)
}

/// Formats a duration in milliseconds as hours and minutes, such as `7h 32m`. Seconds are cut off
/// and not rounded: 59.9 seconds are 0 minutes.
fn hours_and_minutes(milli: i64) -> String {
    let minutes = TimeDelta::milliseconds(milli).num_minutes();
    format!("{}h {}m", minutes / 60, minutes % 60)
}

/// State of WHOOP's score for a record, as WHOOP sent it.
///
/// - `SCORED`: the record has a score
/// - `PENDING_SCORE`: WHOOP has not scored the record yet
/// - `UNSCORABLE`: WHOOP will not score the record, because it has too little data
///
/// If WHOOP adds another state, the response contains WHOOP's text unchanged. Treat an unknown
/// state like `PENDING_SCORE`.
#[derive(utoipa::ToSchema)]
#[schema(as = ScoreState, example = "SCORED")]
#[expect(dead_code, reason = "only its description is used")]
struct ScoreStateSchema(String);

/// Recovery of one cycle. If WHOOP has not scored the recovery, its figures are null.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RecoveryPart {
    /// Recovery score in percent. WHOOP's bands are 0–33 (red), 34–66 (yellow) and 67–100 (green).
    pub score: Option<f64>,
    /// Heart rate variability (RMSSD) in milliseconds.
    pub hrv: Option<f64>,
    /// Resting heart rate in beats per minute.
    pub rhr: Option<f64>,
    /// Blood oxygen saturation in percent; null if the device does not measure it.
    pub spo2: Option<f64>,
    /// Skin temperature in degrees Celsius; null if the device does not measure it.
    pub skin_temp: Option<f64>,
    /// Whether WHOOP is still calibrating the scores of this member.
    pub calibrating: Option<bool>,
    /// Id of the cycle to which the recovery belongs.
    pub cycle_id: CycleId,
    /// Id of the sleep from which WHOOP computed the recovery.
    pub sleep_id: SleepId,
    /// State of WHOOP's score for the recovery.
    #[schema(value_type = ScoreStateSchema)]
    pub state: String,
}

impl From<&DayRecovery> for RecoveryPart {
    fn from(recovery: &DayRecovery) -> Self {
        let is_scored = recovery.score_state.is_scored();
        let shown = |figure: Option<f64>| figure.filter(|_| is_scored);
        Self {
            score: shown(recovery.recovery_score),
            hrv: shown(recovery.hrv_rmssd_milli),
            rhr: shown(recovery.resting_heart_rate),
            spo2: shown(recovery.spo2_percentage),
            skin_temp: shown(recovery.skin_temp_celsius),
            calibrating: recovery.user_calibrating.filter(|_| is_scored),
            cycle_id: recovery.cycle_id,
            sleep_id: recovery.sleep_id.clone(),
            state: recovery.score_state.to_string(),
        }
    }
}

/// A nap, a single main sleep, or a night that combines all main sleeps of one cycle. If WHOOP has
/// not scored the sleep, its figures are null.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SleepPart {
    /// Id of the sleep. A night of several main sleeps has the id of the main sleep that the
    /// recovery names, or else of the longest one.
    ///
    /// Figures that cannot be summed, such as percentages, are those of the sleep with this id.
    pub id: SleepId,
    /// Ids of all main sleeps of the night, ordered by start; absent if there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<SleepId>,
    /// Time asleep (light, slow wave and REM) as text: `7h 32m`.
    pub duration: Option<String>,
    /// Time asleep (light, slow wave and REM) in milliseconds.
    pub duration_milli: Option<i64>,
    /// Sleep performance in percent: the time asleep relative to the sleep need.
    pub performance: Option<f64>,
    /// Sleep efficiency in percent: the time asleep relative to the time in bed.
    pub efficiency: Option<f64>,
    /// Sleep consistency in percent: similarity of the bed and wake times to those of recent days.
    pub consistency: Option<f64>,
    /// Respiratory rate in breaths per minute.
    pub respiratory_rate: Option<f64>,
    /// Start of the sleep. For a night, the start of its first main sleep.
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    /// End of the sleep. For a night, the end of its last main sleep.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    /// UTC offset at which the sleep was recorded, such as `+02:00`.
    pub timezone_offset: Option<String>,
    /// Time in each sleep stage. For a night, these are the sums over its main sleeps.
    pub stages: Option<SleepStages>,
    /// Sleep need in milliseconds: the baseline, plus the need from sleep debt, plus the need from
    /// recent strain, minus the reduction by recent naps.
    pub need_milli: Option<i64>,
    /// State of WHOOP's score. A night is pending if at least one of its main sleeps is pending.
    #[schema(value_type = ScoreStateSchema)]
    pub state: String,
}

/// Time that the member spent in each sleep stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SleepStages {
    /// Light sleep in milliseconds.
    pub light_milli: Option<i64>,
    /// Slow wave (deep) sleep in milliseconds.
    pub slow_wave_milli: Option<i64>,
    /// REM sleep in milliseconds.
    pub rem_milli: Option<i64>,
    /// Time awake in bed in milliseconds.
    pub awake_milli: Option<i64>,
}

impl SleepStages {
    /// Returns the time in each sleep stage; `None` if the sleep has no score or WHOOP sent no
    /// stages.
    fn of(sleep: &DaySleep) -> Option<Self> {
        let stages = Self {
            light_milli: sleep.light_milli,
            slow_wave_milli: sleep.slow_wave_milli,
            rem_milli: sleep.rem_milli,
            awake_milli: sleep.awake_milli,
        };
        let is_empty = stages
            == Self {
                light_milli: None,
                slow_wave_milli: None,
                rem_milli: None,
                awake_milli: None,
            };
        (sleep.score_state.is_scored() && !is_empty).then_some(stages)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            light_milli: sum_present(self.light_milli, other.light_milli),
            slow_wave_milli: sum_present(self.slow_wave_milli, other.slow_wave_milli),
            rem_milli: sum_present(self.rem_milli, other.rem_milli),
            awake_milli: sum_present(self.awake_milli, other.awake_milli),
        }
    }
}

/// Returns the sum of the two values. If one value is absent, returns the other.
fn sum_present(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

impl From<&DaySleep> for SleepPart {
    fn from(sleep: &DaySleep) -> Self {
        let is_scored = sleep.score_state.is_scored();
        let shown = |figure: Option<f64>| figure.filter(|_| is_scored);
        let asleep = sleep.asleep_milli();
        Self {
            id: sleep.id.clone(),
            parts: Vec::new(),
            duration: asleep.map(hours_and_minutes),
            duration_milli: asleep,
            performance: shown(sleep.performance_percentage),
            efficiency: shown(sleep.efficiency_percentage),
            consistency: shown(sleep.consistency_percentage),
            respiratory_rate: shown(sleep.respiratory_rate),
            start: sleep.start,
            end: sleep.end,
            timezone_offset: sleep.timezone_offset.clone(),
            stages: SleepStages::of(sleep),
            need_milli: sleep.need_milli().filter(|_| is_scored),
            state: sleep.score_state.to_string(),
        }
    }
}

impl SleepPart {
    /// Combines all main sleeps of one cycle into one night, as WHOOP's app displays them. Returns
    /// `None` if there are none.
    ///
    /// `named` is the id of the sleep from which WHOOP scored the recovery.
    pub(super) fn from_main_sleeps(sleeps: &[&DaySleep], named: Option<&SleepId>) -> Option<Self> {
        let is_named = |sleep: &&&DaySleep| Some(&sleep.id) == named;
        let longest = || sleeps.iter().max_by_key(|sleep| sleep.sort_key());
        let main = sleeps.iter().find(is_named).or_else(longest)?;
        let part = Self::from(*main);
        if sleeps.len() == 1 {
            return Some(part);
        }
        let asleep = sleeps.iter().map(|sleep| sleep.asleep_milli());
        let asleep = asleep.reduce(sum_present).flatten();
        let mut pending = sleeps.iter().filter(|sleep| sleep.score_state.is_pending());
        Some(Self {
            parts: sleeps.iter().map(|sleep| sleep.id.clone()).collect(),
            duration: asleep.map(hours_and_minutes),
            duration_milli: asleep,
            start: sleeps.iter().map(|sleep| sleep.start).min()?,
            end: sleeps.iter().filter_map(|sleep| sleep.end).max(),
            stages: sleeps
                .iter()
                .filter_map(|sleep| SleepStages::of(sleep))
                .reduce(SleepStages::plus),
            // The night is pending if at least one of its sleeps has a pending score.
            state: pending
                .next()
                .map_or(part.state, |sleep| sleep.score_state.to_string()),
            ..part
        })
    }
}

/// Cycle: WHOOP's day, from the beginning of one night to the beginning of the next.
///
/// If WHOOP has not scored the cycle, its figures are null. The running cycle is an exception: its
/// figures so far are contained, and they grow all day.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CyclePart {
    /// WHOOP's id of the cycle.
    pub id: CycleId,
    /// Strain of the cycle, 0 to 21. The scale is not linear.
    pub strain: Option<f64>,
    /// Energy in whole kilocalories, including the energy used at rest.
    pub calories: Option<i64>,
    /// Energy in kilojoules, including the energy used at rest.
    pub kilojoule: Option<f64>,
    /// Average heart rate in beats per minute.
    pub average_heart_rate: Option<f64>,
    /// Maximum heart rate in beats per minute.
    pub max_heart_rate: Option<f64>,
    /// Number of steps; null if WHOOP sent none.
    pub steps: Option<i64>,
    /// Start of the cycle.
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    /// End of the cycle; null while the cycle is running.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    /// State of WHOOP's score for the cycle.
    #[schema(value_type = ScoreStateSchema)]
    pub state: String,
}

impl From<&DayCycle> for CyclePart {
    fn from(cycle: &DayCycle) -> Self {
        let is_shown = cycle.shows_figures();
        let shown = |figure: Option<f64>| figure.filter(|_| is_shown);
        Self {
            id: cycle.id,
            strain: shown(cycle.strain),
            calories: whole_kcal(shown(cycle.kilojoule)),
            kilojoule: shown(cycle.kilojoule),
            average_heart_rate: shown(cycle.average_heart_rate),
            max_heart_rate: shown(cycle.max_heart_rate),
            steps: cycle.step_count.filter(|_| is_shown),
            start: cycle.start,
            end: cycle.end,
            state: cycle.score_state.to_string(),
        }
    }
}

/// One workout. If WHOOP has not scored the workout, its figures are null.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WorkoutPart {
    /// WHOOP's id of the workout.
    pub id: WorkoutId,
    /// WHOOP's name of the sport, such as `running`. WHOOP may add names at any time.
    pub sport: Option<String>,
    /// Strain of the workout, 0 to 21. The scale is not linear.
    pub strain: Option<f64>,
    /// Energy in whole kilocalories.
    pub calories: Option<i64>,
    /// Start of the workout.
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    /// End of the workout.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    /// UTC offset at which the workout was recorded, such as `+02:00`.
    pub timezone_offset: Option<String>,
    /// Average heart rate in beats per minute.
    pub average_heart_rate: Option<f64>,
    /// Maximum heart rate in beats per minute.
    pub max_heart_rate: Option<f64>,
    /// Distance in meters; null if WHOOP sent none.
    pub distance_meter: Option<f64>,
    /// Time in each of the heart rate zones 0 to 5, in this order, in milliseconds; null if WHOOP
    /// sent no zones.
    pub zones_milli: Option<[Option<i64>; 6]>,
    /// State of WHOOP's score for the workout.
    #[schema(value_type = ScoreStateSchema)]
    pub state: String,
}

impl From<&DayWorkout> for WorkoutPart {
    fn from(workout: &DayWorkout) -> Self {
        let is_scored = workout.score_state.is_scored();
        let shown = |figure: Option<f64>| figure.filter(|_| is_scored);
        let has_zones = workout.zones_milli.iter().any(Option::is_some);
        Self {
            id: workout.id.clone(),
            sport: workout.sport_name.clone(),
            strain: shown(workout.strain),
            calories: whole_kcal(shown(workout.kilojoule)),
            start: workout.start,
            end: workout.end,
            timezone_offset: workout.timezone_offset.clone(),
            average_heart_rate: shown(workout.average_heart_rate),
            max_heart_rate: shown(workout.max_heart_rate),
            distance_meter: shown(workout.distance_meter),
            zones_milli: (is_scored && has_zones).then_some(workout.zones_milli),
            state: workout.score_state.to_string(),
        }
    }
}
