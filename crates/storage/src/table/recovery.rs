use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use whoop_core::{
    SleepId,
    offset::local_date,
    record::{Recovery, RecoveryScore, fold_extra_fields, unfold_extra_fields},
};

use super::{
    RecordTable, RecordTies, cycle,
    record::{extra_of, non_default},
};
use crate::{StorageError, schema::whoop_recovery};

#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = whoop_recovery, check_for_backend(diesel::pg::Pg))]
pub struct RecoveryRow {
    pub id: String,
    pub local_date: NaiveDate,
    pub score_state: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub extra: Value,
    pub synced_at: DateTime<Utc>,
    pub cycle_id: String,
    pub sleep_id: String,
    pub recovery_score: Option<f64>,
    pub resting_heart_rate: Option<f64>,
    pub hrv_rmssd_milli: Option<f64>,
    pub spo2_percentage: Option<f64>,
    pub skin_temp_celsius: Option<f64>,
    pub user_calibrating: Option<bool>,
}

impl RecordTable for Recovery {
    type TableRow = RecoveryRow;

    const TABLE: &'static str = "whoop_recovery";
    const COLUMNS: &'static [&'static str] = &[
        "cycle_id",
        "sleep_id",
        "recovery_score",
        "resting_heart_rate",
        "hrv_rmssd_milli",
        "spo2_percentage",
        "skin_temp_celsius",
        "user_calibrating",
    ];

    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> RecoveryRow {
        let score = self.score.clone().unwrap_or_default();
        RecoveryRow {
            id: self.cycle_id.to_string(),
            local_date,
            score_state: self.score_state.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            extra: Value::Object(fold_extra_fields(
                &self.extra,
                &[(&["score"], &score.extra)],
            )),
            synced_at,
            cycle_id: self.cycle_id.to_string(),
            sleep_id: self.sleep_id.0.clone(),
            recovery_score: score.recovery_score,
            resting_heart_rate: score.resting_heart_rate,
            hrv_rmssd_milli: score.hrv_rmssd_milli,
            spo2_percentage: score.spo2_percentage,
            skin_temp_celsius: score.skin_temp_celsius,
            user_calibrating: score.user_calibrating,
        }
    }

    fn own_date(&self) -> NaiveDate {
        local_date(self.created_at, None)
    }

    /// Returns the creation time, because a recovery has no start and end. WHOOP creates a recovery
    /// some hours after the night.
    fn happened_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn timezone_offset(&self) -> Option<&str> {
        None
    }

    fn ties(&self) -> RecordTies<'_> {
        RecordTies {
            cycle_id: Some(self.cycle_id),
            sleep_id: None,
        }
    }
}

impl RecoveryRow {
    /// Converts the row into WHOOP's format.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the row was edited by hand and is invalid.
    pub fn into_record(self, whoop_user_id: i64) -> Result<Recovery, StorageError> {
        let mut extra = extra_of(self.extra);
        let score = RecoveryScore {
            user_calibrating: self.user_calibrating,
            recovery_score: self.recovery_score,
            resting_heart_rate: self.resting_heart_rate,
            hrv_rmssd_milli: self.hrv_rmssd_milli,
            spo2_percentage: self.spo2_percentage,
            skin_temp_celsius: self.skin_temp_celsius,
            extra: unfold_extra_fields(&mut extra, &["score"]),
        };
        Ok(Recovery {
            cycle_id: cycle::parse_id(Recovery::TABLE, &self.cycle_id)?,
            sleep_id: SleepId(self.sleep_id),
            user_id: whoop_user_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            score_state: self.score_state.into(),
            score: non_default(score),
            extra,
        })
    }
}
