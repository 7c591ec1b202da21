use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    CycleId, SleepId, WorkoutId, instant,
    record::{Cycle, Recovery, Sleep, Workout},
};

/// One kilocalorie in kilojoules.
const KILOJOULE_PER_KCAL: f64 = 4.184;

/// Whole kilocalories: the one number of a day that is rounded.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float beyond i64 saturates, as it should"
)]
pub(super) fn kcal(kilojoule: Option<f64>) -> Option<i64> {
    kilojoule.map(|kilojoule| (kilojoule / KILOJOULE_PER_KCAL).round() as i64)
}

/// `7h 32m`; minutes are cut, not rounded: 59.9 s are no minute.
fn hours_and_minutes(milli: i64) -> String {
    let minutes = TimeDelta::milliseconds(milli).num_minutes();
    format!("{}h {}m", minutes / 60, minutes % 60)
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RecoveryPart {
    /// 0 to 100; WHOOP's bands are 0–33, 34–66, 67–100.
    pub score: Option<f64>,
    /// RMSSD in milliseconds.
    pub hrv: Option<f64>,
    /// Resting heart rate, beats a minute.
    pub rhr: Option<f64>,
    pub spo2: Option<f64>,
    /// Degrees Celsius.
    pub skin_temp: Option<f64>,
    pub calibrating: Option<bool>,
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub state: String,
}

impl From<&Recovery> for RecoveryPart {
    fn from(recovery: &Recovery) -> Self {
        let is_scored = recovery.score_state.is_scored();
        let score = recovery.score.as_ref().filter(|_| is_scored);
        Self {
            score: score.and_then(|score| score.recovery_score),
            hrv: score.and_then(|score| score.hrv_rmssd_milli),
            rhr: score.and_then(|score| score.resting_heart_rate),
            spo2: score.and_then(|score| score.spo2_percentage),
            skin_temp: score.and_then(|score| score.skin_temp_celsius),
            calibrating: score.and_then(|score| score.user_calibrating),
            cycle_id: recovery.cycle_id,
            sleep_id: recovery.sleep_id.clone(),
            state: recovery.score_state.to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SleepPart {
    pub id: SleepId,
    /// Time asleep (light, slow wave and REM) for people: `7h 32m`.
    pub duration: Option<String>,
    pub duration_milli: Option<i64>,
    pub performance: Option<f64>,
    pub efficiency: Option<f64>,
    pub consistency: Option<f64>,
    /// Breaths a minute.
    pub respiratory_rate: Option<f64>,
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub stages: Option<Stages>,
    pub need_milli: Option<i64>,
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Stages {
    pub light_milli: Option<i64>,
    pub slow_wave_milli: Option<i64>,
    pub rem_milli: Option<i64>,
    pub awake_milli: Option<i64>,
}

impl From<&Sleep> for SleepPart {
    fn from(sleep: &Sleep) -> Self {
        let is_scored = sleep.score_state.is_scored();
        let score = sleep.score.as_ref().filter(|_| is_scored);
        let stages = sleep.stages().filter(|_| is_scored);
        let asleep = stages.and_then(|stages| stages.asleep_milli());
        Self {
            id: sleep.id.clone(),
            duration: asleep.map(hours_and_minutes),
            duration_milli: asleep,
            performance: score.and_then(|score| score.sleep_performance_percentage),
            efficiency: score.and_then(|score| score.sleep_efficiency_percentage),
            consistency: score.and_then(|score| score.sleep_consistency_percentage),
            respiratory_rate: score.and_then(|score| score.respiratory_rate),
            start: sleep.start,
            end: sleep.end,
            timezone_offset: sleep.timezone_offset.clone(),
            stages: stages.map(|stages| Stages {
                light_milli: stages.total_light_sleep_time_milli,
                slow_wave_milli: stages.total_slow_wave_sleep_time_milli,
                rem_milli: stages.total_rem_sleep_time_milli,
                awake_milli: stages.total_awake_time_milli,
            }),
            need_milli: score
                .and_then(|score| score.sleep_needed.as_ref())
                .and_then(|need| need.total_milli()),
            state: sleep.score_state.to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CyclePart {
    pub id: CycleId,
    /// 0 to 21, not linear.
    pub strain: Option<f64>,
    /// Whole kilocalories, rest included.
    pub calories: Option<i64>,
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub steps: Option<i64>,
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    /// Null while the cycle is still running.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    pub state: String,
}

impl From<&Cycle> for CyclePart {
    fn from(cycle: &Cycle) -> Self {
        let score = cycle.shown_score();
        let kilojoule = score.and_then(|score| score.kilojoule);
        Self {
            id: cycle.id,
            strain: score.and_then(|score| score.strain),
            calories: kcal(kilojoule),
            kilojoule,
            average_heart_rate: score.and_then(|score| score.average_heart_rate),
            max_heart_rate: score.and_then(|score| score.max_heart_rate),
            steps: cycle.step_count.filter(|_| score.is_some()),
            start: cycle.start,
            end: cycle.end,
            state: cycle.score_state.to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WorkoutPart {
    pub id: WorkoutId,
    /// WHOOP's name of the sport, such as `running`; free text.
    pub sport: Option<String>,
    pub strain: Option<f64>,
    /// Whole kilocalories.
    pub calories: Option<i64>,
    #[serde(with = "instant")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: DateTime<Utc>,
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub distance_meter: Option<f64>,
    /// Zones zero to five; null where WHOOP gave none.
    pub zones_milli: Option<[Option<i64>; 6]>,
    pub state: String,
}

impl From<&Workout> for WorkoutPart {
    fn from(workout: &Workout) -> Self {
        let is_scored = workout.score_state.is_scored();
        let score = workout.score.as_ref().filter(|_| is_scored);
        Self {
            id: workout.id.clone(),
            sport: workout.sport_name.clone(),
            strain: score.and_then(|score| score.strain),
            calories: kcal(score.and_then(|score| score.kilojoule)),
            start: workout.start,
            end: workout.end,
            timezone_offset: workout.timezone_offset.clone(),
            average_heart_rate: score.and_then(|score| score.average_heart_rate),
            max_heart_rate: score.and_then(|score| score.max_heart_rate),
            distance_meter: score.and_then(|score| score.distance_meter),
            zones_milli: score
                .and_then(|score| score.zone_durations.as_ref())
                .map(|zones| zones.in_order()),
            state: workout.score_state.to_string(),
        }
    }
}
