use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{ExtraFields, Record, ScoreState, ValidationError, lenient, validate};
use crate::{CycleId, DataType, SleepId, instant};

/// A main sleep or a nap. For some days after the sleep, WHOOP may change a nap into a main sleep
/// or the reverse.
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
    pub extra: ExtraFields,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SleepScore {
    pub stage_summary: Option<StageSummary>,
    pub sleep_needed: Option<SleepNeeded>,
    /// Respiratory rate in breaths per minute.
    pub respiratory_rate: Option<f64>,
    pub sleep_performance_percentage: Option<f64>,
    pub sleep_consistency_percentage: Option<f64>,
    pub sleep_efficiency_percentage: Option<f64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

/// Durations of the sleep stages in milliseconds, and two counts. The durations of all stages add
/// up to the time in bed.
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
    pub extra: ExtraFields,
}

/// Components of the sleep need in milliseconds. Their sum is the sleep need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SleepNeeded {
    #[serde(deserialize_with = "lenient::whole")]
    pub baseline_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_sleep_debt_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_recent_strain_milli: Option<i64>,
    /// Change of the sleep need by recent naps. It is zero or negative, because a nap lowers the
    /// need.
    #[serde(deserialize_with = "lenient::whole")]
    pub need_from_recent_nap_milli: Option<i64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

impl StageSummary {
    /// Returns the time asleep in milliseconds: the sum of light, slow wave and REM sleep. WHOOP
    /// has no field for this sum. Returns `None` if one of the three durations is absent.
    pub fn asleep_milli(&self) -> Option<i64> {
        let light_and_slow_wave = self
            .total_light_sleep_time_milli?
            .saturating_add(self.total_slow_wave_sleep_time_milli?);
        Some(light_and_slow_wave.saturating_add(self.total_rem_sleep_time_milli?))
    }
}

impl Sleep {
    pub fn is_nap(&self) -> bool {
        self.nap.unwrap_or(false)
    }

    pub fn stages(&self) -> Option<&StageSummary> {
        self.score.as_ref()?.stage_summary.as_ref()
    }

    /// Returns the time asleep, or the time from start to end if the sleep has no score.
    ///
    /// The value is only for comparing sleeps with each other and not for display, because it mixes
    /// two kinds of durations.
    pub fn ranking_duration(&self) -> TimeDelta {
        let stages = self.stages().filter(|_| self.score_state.is_scored());
        stages
            .and_then(StageSummary::asleep_milli)
            .and_then(TimeDelta::try_milliseconds)
            .or_else(|| self.end.map(|end| end - self.start))
            .unwrap_or_default()
    }
}

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

    fn validate(&self) -> Result<(), ValidationError> {
        validate::id("id", &self.id.0)?;
        validate::instant("created_at", Some(self.created_at))?;
        validate::instant("updated_at", Some(self.updated_at))?;
        validate::instant("start", Some(self.start))?;
        validate::instant("end", self.end)?;
        validate::text("timezone_offset", self.timezone_offset.as_deref())?;
        validate::state(&self.score_state)?;
        validate::extra(&self.extra)?;
        let Some(score) = &self.score else {
            return Ok(());
        };
        validate::extra(&score.extra)?;
        if let Some(stages) = &score.stage_summary {
            let asleep = [
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
            for (field, milli) in asleep {
                validate::summable(field, milli)?;
            }
            validate::extra(&stages.extra)?;
        }
        if let Some(need) = &score.sleep_needed {
            let parts = [
                ("score.sleep_needed.baseline_milli", need.baseline_milli),
                (
                    "score.sleep_needed.need_from_sleep_debt_milli",
                    need.need_from_sleep_debt_milli,
                ),
                (
                    "score.sleep_needed.need_from_recent_strain_milli",
                    need.need_from_recent_strain_milli,
                ),
                (
                    "score.sleep_needed.need_from_recent_nap_milli",
                    need.need_from_recent_nap_milli,
                ),
            ];
            for (field, milli) in parts {
                validate::summable(field, milli)?;
            }
            validate::extra(&need.extra)?;
        }
        Ok(())
    }
}
