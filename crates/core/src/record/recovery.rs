use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ExtraFields, Record, ScoreState, ValidationError, validate};
use crate::{CycleId, DataType, SleepId, instant};

/// One recovery: the readiness of the body, which WHOOP scores once per cycle from the main sleep
/// of the night.
///
/// A recovery has no id of its own and no start or end. It contains the ids of its cycle and its
/// sleep.
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
    pub extra: ExtraFields,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecoveryScore {
    /// Whether WHOOP is still calibrating the scores of the member. This is the case in a member's
    /// first days, when the other values may be absent.
    pub user_calibrating: Option<bool>,
    /// Recovery score in percent, 0 to 100.
    pub recovery_score: Option<f64>,
    pub resting_heart_rate: Option<f64>,
    /// Heart rate variability (RMSSD) in milliseconds.
    pub hrv_rmssd_milli: Option<f64>,
    /// Blood oxygen saturation in percent. Only straps of the fourth generation and later measure
    /// it.
    pub spo2_percentage: Option<f64>,
    /// Skin temperature in degrees Celsius. Only straps of the fourth generation and later measure
    /// it.
    pub skin_temp_celsius: Option<f64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
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

    fn validate(&self) -> Result<(), ValidationError> {
        validate::instant("created_at", Some(self.created_at))?;
        validate::instant("updated_at", Some(self.updated_at))?;
        validate::id("sleep_id", &self.sleep_id.0)?;
        validate::state(&self.score_state)?;
        validate::extra(&self.extra)?;
        if let Some(score) = &self.score {
            validate::extra(&score.extra)?;
        }
        Ok(())
    }
}
