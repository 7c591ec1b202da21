use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use whoop_core::{
    WorkoutId, local_date,
    record::{Workout, WorkoutScore, ZoneDurations, fold_extra_fields, unfold_extra_fields},
};

use super::{
    RecordTable, RecordTies,
    record::{extra_of, non_default},
};
use crate::schema::whoop_workout;

#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = whoop_workout, check_for_backend(diesel::pg::Pg))]
pub struct WorkoutRow {
    pub id: String,
    pub local_date: NaiveDate,
    pub timezone_offset: Option<String>,
    pub score_state: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub extra: Value,
    pub synced_at: DateTime<Utc>,
    pub v1_id: Option<i64>,
    pub sport_id: Option<i64>,
    pub sport_name: Option<String>,
    pub start_time: DateTime<Utc>,
    pub end_time: Option<DateTime<Utc>>,
    pub strain_score: Option<f64>,
    pub kilojoule: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub percent_recorded: Option<f64>,
    pub distance_meter: Option<f64>,
    pub altitude_gain_meter: Option<f64>,
    pub altitude_change_meter: Option<f64>,
    pub zone_zero_milli: Option<i64>,
    pub zone_one_milli: Option<i64>,
    pub zone_two_milli: Option<i64>,
    pub zone_three_milli: Option<i64>,
    pub zone_four_milli: Option<i64>,
    pub zone_five_milli: Option<i64>,
}

const SCORE: &[&str] = &["score"];
const ZONES: &[&str] = &["score", "zone_durations"];

impl RecordTable for Workout {
    type TableRow = WorkoutRow;

    const TABLE: &'static str = "whoop_workout";
    const COLUMNS: &'static [&'static str] = &[
        "v1_id",
        "sport_id",
        "sport_name",
        "start_time",
        "end_time",
        "strain_score",
        "kilojoule",
        "average_heart_rate",
        "max_heart_rate",
        "percent_recorded",
        "distance_meter",
        "altitude_gain_meter",
        "altitude_change_meter",
        "zone_zero_milli",
        "zone_one_milli",
        "zone_two_milli",
        "zone_three_milli",
        "zone_four_milli",
        "zone_five_milli",
    ];

    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> WorkoutRow {
        let score = self.score.clone().unwrap_or_default();
        let zones = score.zone_durations.unwrap_or_default();
        let nested = [(SCORE, &score.extra), (ZONES, &zones.extra)];
        WorkoutRow {
            id: self.id.0.clone(),
            local_date,
            timezone_offset: self.timezone_offset.clone(),
            score_state: self.score_state.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            extra: Value::Object(fold_extra_fields(&self.extra, &nested)),
            synced_at,
            v1_id: self.v1_id,
            sport_id: self.sport_id,
            sport_name: self.sport_name.clone(),
            start_time: self.start,
            end_time: self.end,
            strain_score: score.strain,
            kilojoule: score.kilojoule,
            average_heart_rate: score.average_heart_rate,
            max_heart_rate: score.max_heart_rate,
            percent_recorded: score.percent_recorded,
            distance_meter: score.distance_meter,
            altitude_gain_meter: score.altitude_gain_meter,
            altitude_change_meter: score.altitude_change_meter,
            zone_zero_milli: zones.zone_zero_milli,
            zone_one_milli: zones.zone_one_milli,
            zone_two_milli: zones.zone_two_milli,
            zone_three_milli: zones.zone_three_milli,
            zone_four_milli: zones.zone_four_milli,
            zone_five_milli: zones.zone_five_milli,
        }
    }

    fn own_date(&self) -> NaiveDate {
        local_date::of_workout(self)
    }

    fn happened_at(&self) -> DateTime<Utc> {
        self.start
    }

    fn timezone_offset(&self) -> Option<&str> {
        self.timezone_offset.as_deref()
    }

    fn ties(&self) -> RecordTies<'_> {
        RecordTies::default()
    }
}

impl WorkoutRow {
    /// Converts the row into WHOOP's format.
    pub fn into_record(self, whoop_user_id: i64) -> Workout {
        let mut extra = extra_of(self.extra);
        let zones = ZoneDurations {
            zone_zero_milli: self.zone_zero_milli,
            zone_one_milli: self.zone_one_milli,
            zone_two_milli: self.zone_two_milli,
            zone_three_milli: self.zone_three_milli,
            zone_four_milli: self.zone_four_milli,
            zone_five_milli: self.zone_five_milli,
            extra: unfold_extra_fields(&mut extra, ZONES),
        };
        let score = WorkoutScore {
            strain: self.strain_score,
            average_heart_rate: self.average_heart_rate,
            max_heart_rate: self.max_heart_rate,
            kilojoule: self.kilojoule,
            percent_recorded: self.percent_recorded,
            distance_meter: self.distance_meter,
            altitude_gain_meter: self.altitude_gain_meter,
            altitude_change_meter: self.altitude_change_meter,
            zone_durations: non_default(zones),
            extra: unfold_extra_fields(&mut extra, SCORE),
        };
        Workout {
            id: WorkoutId(self.id),
            v1_id: self.v1_id,
            user_id: whoop_user_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            start: self.start_time,
            end: self.end_time,
            timezone_offset: self.timezone_offset,
            sport_name: self.sport_name,
            score_state: self.score_state.into(),
            score: non_default(score),
            sport_id: self.sport_id,
            extra,
        }
    }
}
