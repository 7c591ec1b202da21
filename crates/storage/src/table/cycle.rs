use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use whoop_core::{
    CycleId, local_date,
    record::{Cycle, CycleScore, fold_extra_fields, unfold_extra_fields},
};

use super::{
    RecordTable, RecordTies,
    record::{corrupt, extra_of, non_default},
};
use crate::{StorageError, schema::whoop_cycle};

#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = whoop_cycle, check_for_backend(diesel::pg::Pg))]
pub struct CycleRow {
    pub id: String,
    pub local_date: NaiveDate,
    pub timezone_offset: Option<String>,
    pub score_state: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub extra: Value,
    pub synced_at: DateTime<Utc>,
    pub start_time: DateTime<Utc>,
    pub end_time: Option<DateTime<Utc>>,
    pub day_strain: Option<f64>,
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub step_count: Option<i64>,
}

impl RecordTable for Cycle {
    type TableRow = CycleRow;

    const TABLE: &'static str = "whoop_cycle";
    const COLUMNS: &'static [&'static str] = &[
        "start_time",
        "end_time",
        "day_strain",
        "kilojoule",
        "average_heart_rate",
        "max_heart_rate",
        "step_count",
    ];

    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> CycleRow {
        let score = self.score.clone().unwrap_or_default();
        CycleRow {
            id: self.id.to_string(),
            local_date,
            timezone_offset: self.timezone_offset.clone(),
            score_state: self.score_state.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            extra: Value::Object(fold_extra_fields(
                &self.extra,
                &[(&["score"], &score.extra)],
            )),
            synced_at,
            start_time: self.start,
            end_time: self.end,
            day_strain: score.strain,
            kilojoule: score.kilojoule,
            average_heart_rate: score.average_heart_rate,
            max_heart_rate: score.max_heart_rate,
            step_count: self.step_count,
        }
    }

    fn own_date(&self) -> NaiveDate {
        local_date::of_sleepless_cycle(self.start, self.end, self.timezone_offset.as_deref())
    }

    fn happened_at(&self) -> DateTime<Utc> {
        self.start
    }

    fn timezone_offset(&self) -> Option<&str> {
        self.timezone_offset.as_deref()
    }

    fn ties(&self) -> RecordTies<'_> {
        RecordTies {
            cycle_id: Some(self.id),
            sleep_id: None,
        }
    }
}

impl CycleRow {
    /// Converts the row into WHOOP's format.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the row was edited by hand and is invalid.
    pub fn into_record(self, whoop_user_id: i64) -> Result<Cycle, StorageError> {
        let id = parse_id(Cycle::TABLE, &self.id)?;
        let mut extra = extra_of(self.extra);
        let score = CycleScore {
            strain: self.day_strain,
            kilojoule: self.kilojoule,
            average_heart_rate: self.average_heart_rate,
            max_heart_rate: self.max_heart_rate,
            extra: unfold_extra_fields(&mut extra, &["score"]),
        };
        Ok(Cycle {
            id,
            user_id: whoop_user_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            start: self.start_time,
            end: self.end_time,
            timezone_offset: self.timezone_offset,
            score_state: self.score_state.into(),
            score: non_default(score),
            step_count: self.step_count,
            extra,
        })
    }
}

/// Parses the number of a cycle, which is stored as text. `table` is the table that an error names.
pub(crate) fn parse_id(table: &'static str, text: &str) -> Result<CycleId, StorageError> {
    text.parse()
        .map(CycleId)
        .map_err(|error| corrupt(table, text, error))
}
