use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use whoop_core::{
    SleepId, local_date,
    record::{
        Sleep, SleepNeeded, SleepScore, StageSummary, fold_extra_fields, unfold_extra_fields,
    },
};

use super::{
    RecordTable, RecordTies, cycle,
    record::{extra_of, non_default},
};
use crate::{StorageError, schema::whoop_sleep};

#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = whoop_sleep, check_for_backend(diesel::pg::Pg))]
pub struct SleepRow {
    pub id: String,
    pub local_date: NaiveDate,
    pub timezone_offset: Option<String>,
    pub score_state: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub extra: Value,
    pub synced_at: DateTime<Utc>,
    pub cycle_id: Option<String>,
    pub v1_id: Option<i64>,
    pub start_time: DateTime<Utc>,
    pub end_time: Option<DateTime<Utc>>,
    pub nap: Option<bool>,
    pub total_in_bed_time_milli: Option<i64>,
    pub total_awake_time_milli: Option<i64>,
    pub total_no_data_time_milli: Option<i64>,
    pub total_light_sleep_time_milli: Option<i64>,
    pub total_slow_wave_sleep_time_milli: Option<i64>,
    pub total_rem_sleep_time_milli: Option<i64>,
    pub sleep_cycle_count: Option<i64>,
    pub disturbance_count: Option<i64>,
    pub baseline_milli: Option<i64>,
    pub need_from_sleep_debt_milli: Option<i64>,
    pub need_from_recent_strain_milli: Option<i64>,
    pub need_from_recent_nap_milli: Option<i64>,
    pub respiratory_rate: Option<f64>,
    pub sleep_performance_percentage: Option<f64>,
    pub sleep_consistency_percentage: Option<f64>,
    pub sleep_efficiency_percentage: Option<f64>,
}

const SCORE: &[&str] = &["score"];
const STAGES: &[&str] = &["score", "stage_summary"];
const NEED: &[&str] = &["score", "sleep_needed"];

impl RecordTable for Sleep {
    type TableRow = SleepRow;

    const TABLE: &'static str = "whoop_sleep";
    const COLUMNS: &'static [&'static str] = &[
        "cycle_id",
        "v1_id",
        "start_time",
        "end_time",
        "nap",
        "total_in_bed_time_milli",
        "total_awake_time_milli",
        "total_no_data_time_milli",
        "total_light_sleep_time_milli",
        "total_slow_wave_sleep_time_milli",
        "total_rem_sleep_time_milli",
        "sleep_cycle_count",
        "disturbance_count",
        "baseline_milli",
        "need_from_sleep_debt_milli",
        "need_from_recent_strain_milli",
        "need_from_recent_nap_milli",
        "respiratory_rate",
        "sleep_performance_percentage",
        "sleep_consistency_percentage",
        "sleep_efficiency_percentage",
    ];

    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> SleepRow {
        let score = self.score.clone().unwrap_or_default();
        let stages = score.stage_summary.unwrap_or_default();
        let need = score.sleep_needed.unwrap_or_default();
        let nested = [
            (SCORE, &score.extra),
            (STAGES, &stages.extra),
            (NEED, &need.extra),
        ];
        SleepRow {
            id: self.id.0.clone(),
            local_date,
            timezone_offset: self.timezone_offset.clone(),
            score_state: self.score_state.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            extra: Value::Object(fold_extra_fields(&self.extra, &nested)),
            synced_at,
            cycle_id: self.cycle_id.map(|id| id.to_string()),
            v1_id: self.v1_id,
            start_time: self.start,
            end_time: self.end,
            nap: self.nap,
            total_in_bed_time_milli: stages.total_in_bed_time_milli,
            total_awake_time_milli: stages.total_awake_time_milli,
            total_no_data_time_milli: stages.total_no_data_time_milli,
            total_light_sleep_time_milli: stages.total_light_sleep_time_milli,
            total_slow_wave_sleep_time_milli: stages.total_slow_wave_sleep_time_milli,
            total_rem_sleep_time_milli: stages.total_rem_sleep_time_milli,
            sleep_cycle_count: stages.sleep_cycle_count,
            disturbance_count: stages.disturbance_count,
            baseline_milli: need.baseline_milli,
            need_from_sleep_debt_milli: need.need_from_sleep_debt_milli,
            need_from_recent_strain_milli: need.need_from_recent_strain_milli,
            need_from_recent_nap_milli: need.need_from_recent_nap_milli,
            respiratory_rate: score.respiratory_rate,
            sleep_performance_percentage: score.sleep_performance_percentage,
            sleep_consistency_percentage: score.sleep_consistency_percentage,
            sleep_efficiency_percentage: score.sleep_efficiency_percentage,
        }
    }

    fn own_date(&self) -> NaiveDate {
        local_date::of_sleep(self.start, self.end, self.timezone_offset.as_deref())
    }

    fn happened_at(&self) -> DateTime<Utc> {
        self.start
    }

    fn timezone_offset(&self) -> Option<&str> {
        self.timezone_offset.as_deref()
    }

    fn ties(&self) -> RecordTies<'_> {
        RecordTies {
            cycle_id: self.cycle_id,
            sleep_id: Some(&self.id),
        }
    }
}

impl SleepRow {
    /// Converts the row into WHOOP's format.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the row was edited by hand and is invalid.
    pub fn into_record(self, whoop_user_id: i64) -> Result<Sleep, StorageError> {
        let cycle_id = self
            .cycle_id
            .map(|id| cycle::parse_id(Sleep::TABLE, &id))
            .transpose()?;
        let mut extra = extra_of(self.extra);
        let stages = StageSummary {
            total_in_bed_time_milli: self.total_in_bed_time_milli,
            total_awake_time_milli: self.total_awake_time_milli,
            total_no_data_time_milli: self.total_no_data_time_milli,
            total_light_sleep_time_milli: self.total_light_sleep_time_milli,
            total_slow_wave_sleep_time_milli: self.total_slow_wave_sleep_time_milli,
            total_rem_sleep_time_milli: self.total_rem_sleep_time_milli,
            sleep_cycle_count: self.sleep_cycle_count,
            disturbance_count: self.disturbance_count,
            extra: unfold_extra_fields(&mut extra, STAGES),
        };
        let need = SleepNeeded {
            baseline_milli: self.baseline_milli,
            need_from_sleep_debt_milli: self.need_from_sleep_debt_milli,
            need_from_recent_strain_milli: self.need_from_recent_strain_milli,
            need_from_recent_nap_milli: self.need_from_recent_nap_milli,
            extra: unfold_extra_fields(&mut extra, NEED),
        };
        let score = SleepScore {
            stage_summary: non_default(stages),
            sleep_needed: non_default(need),
            respiratory_rate: self.respiratory_rate,
            sleep_performance_percentage: self.sleep_performance_percentage,
            sleep_consistency_percentage: self.sleep_consistency_percentage,
            sleep_efficiency_percentage: self.sleep_efficiency_percentage,
            extra: unfold_extra_fields(&mut extra, SCORE),
        };
        Ok(Sleep {
            id: SleepId(self.id),
            cycle_id,
            v1_id: self.v1_id,
            user_id: whoop_user_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            start: self.start_time,
            end: self.end_time,
            timezone_offset: self.timezone_offset,
            nap: self.nap,
            score_state: self.score_state.into(),
            score: non_default(score),
            extra,
        })
    }
}
