//! The SQL statement for a day, and its result row: six kinds of rows with the same columns.

use chrono::{DateTime, Utc};
use diesel::{
    Queryable,
    sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz},
};

pub(super) const MEMBER: i32 = 0;
pub(super) const COVERAGE: i32 = 1;
pub(super) const RECOVERY: i32 = 2;
pub(super) const SLEEP: i32 = 3;
pub(super) const CYCLE: i32 = 4;
pub(super) const WORKOUT: i32 = 5;

/// SQL statement for one day. `$1` is the id of the member and `$2` is the date.
///
/// A column is null in the kinds of rows that have no value for it.
pub(super) const DAY: &str = "
SELECT 0, status, timezone_offset, NULL::TEXT, NULL::TEXT, NULL::BOOLEAN, NULL::BOOLEAN,
       last_seen_at, (SELECT max(signal_at) FROM whoop_sync_log WHERE user_id = $1),
       NULL::TIMESTAMPTZ, NULL::TIMESTAMPTZ, NULL::TIMESTAMPTZ, NULL::TIMESTAMPTZ,
       NULL::DOUBLE PRECISION, NULL::DOUBLE PRECISION, NULL::DOUBLE PRECISION,
       NULL::DOUBLE PRECISION, NULL::DOUBLE PRECISION,
       NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::BIGINT,
       NULL::BIGINT, NULL::BIGINT
FROM whoop_users WHERE user_id = $1
UNION ALL
SELECT 1, data_type, NULL, sync_status, NULL, whole_history, signal_open,
       last_sync_at, covered_from, covered_until, list_end_seen_at, earlier_from, earlier_until,
       NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM whoop_sync_log WHERE user_id = $1
UNION ALL
SELECT 2, cycle_id, NULL, score_state, sleep_id, user_calibrating, in_others,
       NULL, NULL, synced_at, NULL, NULL, NULL,
       recovery_score, resting_heart_rate, hrv_rmssd_milli, spo2_percentage, skin_temp_celsius,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM whoop_recovery WHERE user_id = $1 AND local_date = $2
UNION ALL
SELECT 3, id, timezone_offset, score_state, cycle_id, nap, in_others,
       start_time, end_time, synced_at, NULL, NULL, NULL,
       respiratory_rate, sleep_performance_percentage, sleep_consistency_percentage,
       sleep_efficiency_percentage, NULL,
       total_light_sleep_time_milli, total_slow_wave_sleep_time_milli, total_rem_sleep_time_milli,
       total_awake_time_milli, baseline_milli, need_from_sleep_debt_milli,
       need_from_recent_strain_milli, need_from_recent_nap_milli
FROM whoop_sleep
WHERE user_id = $1 AND (local_date = $2 AND night_date IS NULL OR night_date = $2)
UNION ALL
SELECT 4, id, NULL, score_state, NULL, NULL, in_others,
       start_time, end_time, NULL, NULL, NULL, NULL,
       day_strain, kilojoule, average_heart_rate, max_heart_rate, NULL,
       step_count, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM whoop_cycle WHERE user_id = $1 AND local_date = $2
UNION ALL
SELECT 5, id, timezone_offset, score_state, sport_name, NULL, NULL,
       start_time, end_time, NULL, NULL, NULL, NULL,
       strain_score, kilojoule, average_heart_rate, max_heart_rate, distance_meter,
       zone_zero_milli, zone_one_milli, zone_two_milli, zone_three_milli, zone_four_milli,
       zone_five_milli, NULL, NULL
FROM whoop_workout WHERE user_id = $1 AND local_date = $2
";

/// Column types, in the order of the fields of [`DayRow`].
pub(super) type DayColumns = (
    Integer,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Bool>,
    Nullable<Bool>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Double>,
    Nullable<Double>,
    Nullable<Double>,
    Nullable<Double>,
    Nullable<Double>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
);

type OptionalInstant = Option<DateTime<Utc>>;
type OptionalFloat = Option<f64>;
type OptionalInteger = Option<i64>;

#[derive(Queryable)]
pub(super) struct DayRow {
    pub(super) kind: i32,
    /// The id of a record. In a member row it is the connection status, and in a coverage row the
    /// data type.
    pub(super) id: String,
    pub(super) timezone_offset: Option<String>,
    /// The score state of a record. In a coverage row it is the status of the last sync.
    pub(super) score_state: Option<String>,
    /// The id of the sleep in a recovery row, the id of the cycle in a sleep row, and the name of
    /// the sport in a workout row.
    pub(super) other: Option<String>,
    pub(super) flag: Option<bool>,
    /// Whether another cycle than the one of this record is displayed for the date. In a coverage
    /// row: whether a webhook signal is open.
    pub(super) in_others: Option<bool>,
    pub(super) start: OptionalInstant,
    pub(super) end: OptionalInstant,
    /// The time at which a record was stored. In a coverage row it is the end of the covered time
    /// span.
    pub(super) stored_at: OptionalInstant,
    pub(super) list_end_seen_at: OptionalInstant,
    pub(super) earlier_from: OptionalInstant,
    pub(super) earlier_until: OptionalInstant,
    pub(super) float_0: OptionalFloat,
    pub(super) float_1: OptionalFloat,
    pub(super) float_2: OptionalFloat,
    pub(super) float_3: OptionalFloat,
    pub(super) float_4: OptionalFloat,
    pub(super) number_0: OptionalInteger,
    pub(super) number_1: OptionalInteger,
    pub(super) number_2: OptionalInteger,
    pub(super) number_3: OptionalInteger,
    pub(super) number_4: OptionalInteger,
    pub(super) number_5: OptionalInteger,
    pub(super) number_6: OptionalInteger,
    pub(super) number_7: OptionalInteger,
}
