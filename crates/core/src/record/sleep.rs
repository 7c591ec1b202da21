use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Extra, Nonsense, Record, ScoreState, lenient, sound};
use crate::{CycleId, DataType, SleepId, instant};

/// A night, or a nap; WHOOP may turn one into the other within days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sleep {
    pub id: SleepId,
    pub cycle_id: Option<CycleId>,
    #[serde(default, deserialize_with = "lenient::whole")]
    pub v1_id: Option<i64>,
    pub user_id: i64,
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub updated_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub start: DateTime<Utc>,
    #[serde(default, with = "instant::option")]
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub nap: Option<bool>,
    pub score_state: ScoreState,
    pub score: Option<SleepScore>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SleepScore {
    pub stage_summary: Option<StageSummary>,
    pub sleep_needed: Option<SleepNeeded>,
    /// Breaths a minute.
    pub respiratory_rate: Option<f64>,
    pub sleep_performance_percentage: Option<f64>,
    pub sleep_consistency_percentage: Option<f64>,
    pub sleep_efficiency_percentage: Option<f64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Time in each stage, in milliseconds; together they are the time in bed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StageSummary {
    #[serde(deserialize_with = "lenient::whole")]
    pub total_in_bed_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub total_awake_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub total_no_data_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub total_light_sleep_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub total_slow_wave_sleep_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub total_rem_sleep_time_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub sleep_cycle_count: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub disturbance_count: Option<i64>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What made up the night's need, in milliseconds; the sum is the need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SleepNeeded {
    #[serde(deserialize_with = "lenient::whole")]
    pub baseline_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_sleep_debt_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_recent_strain_milli: Option<i64>,
    /// Zero or below: a nap lowers the need.
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_recent_nap_milli: Option<i64>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl StageSummary {
    /// Light, slow wave and REM together; WHOOP has no field for it.
    pub fn asleep_milli(&self) -> Option<i64> {
        Some(
            self.total_light_sleep_time_milli?
                + self.total_slow_wave_sleep_time_milli?
                + self.total_rem_sleep_time_milli?,
        )
    }
}

impl SleepNeeded {
    /// The whole need; absent unless every part is there.
    pub fn total_milli(&self) -> Option<i64> {
        Some(
            self.baseline_milli?
                + self.need_from_sleep_debt_milli?
                + self.need_from_recent_strain_milli?
                + self.need_from_recent_nap_milli?,
        )
    }
}

impl Sleep {
    pub fn is_nap(&self) -> bool {
        self.nap.unwrap_or(false)
    }

    pub fn stages(&self) -> Option<&StageSummary> {
        self.score.as_ref()?.stage_summary.as_ref()
    }

    /// Time asleep; where it is not scored, the time from start to end.
    ///
    /// Only for choosing between sleeps, never for showing.
    pub fn weight(&self) -> TimeDelta {
        match self.stages().and_then(StageSummary::asleep_milli) {
            Some(milli) => TimeDelta::milliseconds(milli),
            None => self.end.map_or(TimeDelta::zero(), |end| end - self.start),
        }
    }
}

/// A day of milliseconds times a hundred: no stage lasts longer, and sums of
/// such numbers stay far from overflow.
const LONGEST_MILLI: i64 = 8_640_000_000;

impl Record for Sleep {
    const DATA_TYPE: DataType = DataType::Sleep;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn whoop_user_id(&self) -> i64 {
        self.user_id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    fn score_state(&self) -> &ScoreState {
        &self.score_state
    }

    fn check(&self) -> Result<(), Nonsense> {
        sound::word("id", &self.id.0)?;
        sound::possible("created_at", Some(self.created_at))?;
        sound::possible("updated_at", Some(self.updated_at))?;
        sound::possible("start", Some(self.start))?;
        sound::possible("end", self.end)?;
        sound::in_order(self.start, self.end)?;
        sound::timezone_offset(self.timezone_offset.as_deref())?;
        sound::state(&self.score_state)?;
        sound::storable(&self.extra)?;
        let Some(score) = &self.score else {
            return Ok(());
        };
        sound::within("score.respiratory_rate", score.respiratory_rate, 0.0, 100.0)?;
        sound::percentage(
            "score.sleep_performance_percentage",
            score.sleep_performance_percentage,
        )?;
        sound::percentage(
            "score.sleep_consistency_percentage",
            score.sleep_consistency_percentage,
        )?;
        sound::percentage(
            "score.sleep_efficiency_percentage",
            score.sleep_efficiency_percentage,
        )?;
        sound::storable(&score.extra)?;
        if let Some(stages) = &score.stage_summary {
            let durations = [
                (
                    "score.stage_summary.total_in_bed_time_milli",
                    stages.total_in_bed_time_milli,
                ),
                (
                    "score.stage_summary.total_awake_time_milli",
                    stages.total_awake_time_milli,
                ),
                (
                    "score.stage_summary.total_no_data_time_milli",
                    stages.total_no_data_time_milli,
                ),
                (
                    "score.stage_summary.total_light_sleep_time_milli",
                    stages.total_light_sleep_time_milli,
                ),
                (
                    "score.stage_summary.total_slow_wave_sleep_time_milli",
                    stages.total_slow_wave_sleep_time_milli,
                ),
                (
                    "score.stage_summary.total_rem_sleep_time_milli",
                    stages.total_rem_sleep_time_milli,
                ),
            ];
            for (field, milli) in durations {
                sound::milli(field, milli, 0, LONGEST_MILLI)?;
            }
            sound::count(
                "score.stage_summary.sleep_cycle_count",
                stages.sleep_cycle_count,
            )?;
            sound::count(
                "score.stage_summary.disturbance_count",
                stages.disturbance_count,
            )?;
            sound::storable(&stages.extra)?;
        }
        if let Some(need) = &score.sleep_needed {
            let parts = [
                ("score.sleep_needed.baseline_milli", need.baseline_milli, 0),
                (
                    "score.sleep_needed.need_from_sleep_debt_milli",
                    need.need_from_sleep_debt_milli,
                    -LONGEST_MILLI,
                ),
                (
                    "score.sleep_needed.need_from_recent_strain_milli",
                    need.need_from_recent_strain_milli,
                    -LONGEST_MILLI,
                ),
                (
                    "score.sleep_needed.need_from_recent_nap_milli",
                    need.need_from_recent_nap_milli,
                    -LONGEST_MILLI,
                ),
            ];
            for (field, milli, low) in parts {
                sound::milli(field, milli, low, LONGEST_MILLI)?;
            }
            sound::storable(&need.extra)?;
        }
        Ok(())
    }
}
