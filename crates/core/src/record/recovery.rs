use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Extra, Nonsense, Record, ScoreState, sound};
use crate::{CycleId, DataType, SleepId, instant};

/// How ready the body is, judged once a cycle from the night's main sleep.
///
/// It has no id and no times of its own at WHOOP: it goes by its cycle and
/// its sleep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub user_id: i64,
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub updated_at: DateTime<Utc>,
    pub score_state: ScoreState,
    pub score: Option<RecoveryScore>,
    #[serde(flatten)]
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecoveryScore {
    /// True in a member's first days, when the values may still be absent.
    pub user_calibrating: Option<bool>,
    /// 0 to 100.
    pub recovery_score: Option<f64>,
    pub resting_heart_rate: Option<f64>,
    /// RMSSD in milliseconds.
    pub hrv_rmssd_milli: Option<f64>,
    /// Straps of the fourth generation and later.
    pub spo2_percentage: Option<f64>,
    /// Straps of the fourth generation and later.
    pub skin_temp_celsius: Option<f64>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl Record for Recovery {
    const DATA_TYPE: DataType = DataType::Recovery;

    fn id(&self) -> String {
        self.cycle_id.to_string()
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
        sound::possible("created_at", Some(self.created_at))?;
        sound::possible("updated_at", Some(self.updated_at))?;
        sound::word("sleep_id", &self.sleep_id.0)?;
        sound::state(&self.score_state)?;
        sound::storable(&self.extra)?;
        if let Some(score) = &self.score {
            sound::percentage("score.recovery_score", score.recovery_score)?;
            sound::heart_rate("score.resting_heart_rate", score.resting_heart_rate)?;
            sound::within("score.hrv_rmssd_milli", score.hrv_rmssd_milli, 0.0, 1000.0)?;
            sound::percentage("score.spo2_percentage", score.spo2_percentage)?;
            sound::within(
                "score.skin_temp_celsius",
                score.skin_temp_celsius,
                -50.0,
                100.0,
            )?;
            sound::storable(&score.extra)?;
        }
        Ok(())
    }
}
