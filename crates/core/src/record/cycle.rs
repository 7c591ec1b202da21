use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ExtraFields, Record, ScoreState, ValidationError, lenient, validate};
use crate::{CycleId, DataType, instant};

/// One cycle: a physiological day, from the beginning of one night to the beginning of the next.
///
/// A cycle is not a calendar day. It may be shorter than 24 hours, or much longer if WHOOP detected
/// no sleep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    pub id: CycleId,
    pub user_id: i64,
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub updated_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub start: DateTime<Utc>,
    /// End of the cycle; `None` while the cycle is still running.
    #[serde(default, with = "instant::option")]
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub score_state: ScoreState,
    pub score: Option<CycleScore>,
    /// Number of steps; `None` if the strap was not worn during the whole cycle.
    #[serde(default, deserialize_with = "lenient::whole")]
    pub step_count: Option<i64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CycleScore {
    /// Strain of the cycle, 0 to 21. The scale is not linear, so the strains of two cycles cannot
    /// be added.
    pub strain: Option<f64>,
    /// Total energy of the cycle in kilojoules, including the energy used at rest.
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

impl Record for Cycle {
    const DATA_TYPE: DataType = DataType::Cycle;

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
        validate::instant("created_at", Some(self.created_at))?;
        validate::instant("updated_at", Some(self.updated_at))?;
        validate::instant("start", Some(self.start))?;
        validate::instant("end", self.end)?;
        validate::text("timezone_offset", self.timezone_offset.as_deref())?;
        validate::state(&self.score_state)?;
        validate::extra(&self.extra)?;
        if let Some(score) = &self.score {
            validate::extra(&score.extra)?;
        }
        Ok(())
    }
}
