//! A span of days in a few numbers each, for charts: one statement for all of it.

use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Date, Double, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use futures::try_join;
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, span_of},
    day::BriefDay,
    offset,
};

use crate::{
    Connection, PgConnection, StorageError,
    schema::{whoop_sync_log, whoop_users},
    table::sync_log::{SyncLogRow, coverage_of},
};

/// Chooses of each date what the whole day shows: the main sleep with the most time
/// asleep (the later one if equal), and that sleep's own recovery and cycle.
const DAYS: &str = r#"
WITH nights AS (
    SELECT DISTINCT ON (s.local_date) s.local_date, s.id, s.cycle_id, s.score_state,
           s.sleep_performance_percentage, s.total_sleep_time_milli
    FROM whoop_sleep s
    WHERE s.user_id = $1 AND s.local_date BETWEEN $2 AND $3 AND s.nap IS NOT TRUE
    ORDER BY s.local_date,
             coalesce(CASE WHEN s.score_state = 'SCORED' THEN s.total_sleep_time_milli END,
                      extract(epoch FROM s.end_time - s.start_time) * 1000, 0) DESC,
             s.start_time DESC, s.id COLLATE "C" DESC
), recoveries AS (
    SELECT DISTINCT ON (r.local_date) r.local_date, r.score_state, r.recovery_score,
           r.hrv_rmssd_milli, r.resting_heart_rate
    FROM whoop_recovery r LEFT JOIN nights n ON n.local_date = r.local_date
    WHERE r.user_id = $1 AND r.local_date BETWEEN $2 AND $3
      AND (n.id IS NULL OR r.sleep_id = n.id OR r.cycle_id = n.cycle_id)
    ORDER BY r.local_date, length(r.cycle_id) DESC, r.cycle_id COLLATE "C" DESC
), cycles AS (
    SELECT DISTINCT ON (c.local_date) c.local_date, c.day_strain, c.kilojoule,
           c.score_state = 'SCORED' OR (c.score_state = 'PENDING_SCORE' AND c.end_time IS NULL
                                        AND c.kilojoule > 0) AS is_shown
    FROM whoop_cycle c LEFT JOIN nights n ON n.local_date = c.local_date
    WHERE c.user_id = $1 AND c.local_date BETWEEN $2 AND $3
      AND (n.id IS NULL OR c.id = n.cycle_id)
    ORDER BY c.local_date, c.start_time DESC, length(c.id) DESC, c.id COLLATE "C" DESC
), workouts AS (
    SELECT w.local_date, count(*) AS workouts
    FROM whoop_workout w
    WHERE w.user_id = $1 AND w.local_date BETWEEN $2 AND $3
    GROUP BY w.local_date
)
SELECT date, recovery_score, hrv_rmssd_milli, resting_heart_rate,
       CASE WHEN nights.score_state = 'SCORED' THEN sleep_performance_percentage END
           AS sleep_performance_percentage,
       CASE WHEN nights.score_state = 'SCORED' THEN total_sleep_time_milli END
           AS total_sleep_time_milli,
       CASE WHEN is_shown THEN day_strain END AS day_strain,
       CASE WHEN is_shown THEN kilojoule END AS kilojoule, workouts
FROM (SELECT $2 + number AS date FROM generate_series(0, $3 - $2) AS number) AS dates
LEFT JOIN nights ON nights.local_date = date
LEFT JOIN recoveries ON recoveries.local_date = date AND recoveries.score_state = 'SCORED'
LEFT JOIN cycles ON cycles.local_date = date
LEFT JOIN workouts ON workouts.local_date = date
ORDER BY date
"#;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Date)]
    date: NaiveDate,
    #[diesel(sql_type = Nullable<Double>)]
    recovery_score: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    hrv_rmssd_milli: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    resting_heart_rate: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    sleep_performance_percentage: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    total_sleep_time_milli: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    day_strain: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    kilojoule: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    workouts: Option<i64>,
}

/// Every date of a span, both ends included, oldest first.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn read(
    conn: &Connection,
    user_id: &UserId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<BriefDay>, StorageError> {
    let conn: &PgConnection = conn;
    // Not prepared: a plan for any span expects a day or two of it, and joins so that
    // a year takes five times as long.
    let days = sql_query(DAYS)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(from)
        .bind::<Date, _>(to);
    // They travel together, and so do their answers.
    let (timezone_offset, log, days) = try_join!(
        whoop_users::table
            .find(user_id.as_str())
            .select(whoop_users::timezone_offset)
            .load::<Option<String>>(&mut &*conn),
        whoop_sync_log::table
            .filter(whoop_sync_log::user_id.eq(user_id.as_str()))
            .select(SyncLogRow::as_select())
            .load::<SyncLogRow>(&mut &*conn),
        days.load::<Row>(&mut &*conn),
    )?;
    let offset_seconds = timezone_offset
        .iter()
        .flatten()
        .find_map(|text| offset::parse(text))
        .map_or(0, |offset| offset.local_minus_utc());
    let coverage = coverage_of(&log);
    let is_known = |date| {
        coverage
            .iter()
            .filter(|one| one.data_type == DataType::Workout)
            .any(|one| was_read(one, date, offset_seconds))
    };
    let brief = |row: Row| BriefDay {
        date: row.date,
        recovery_score: row.recovery_score,
        hrv_rmssd_milli: row.hrv_rmssd_milli,
        resting_heart_rate: row.resting_heart_rate,
        sleep_performance: row.sleep_performance_percentage,
        sleep_duration_milli: row.total_sleep_time_milli,
        strain: row.day_strain,
        calories: BriefDay::calories_of(row.kilojoule),
        workouts: row.workouts.or_else(|| is_known(row.date).then_some(0)),
    };
    Ok(days.into_iter().map(brief).collect())
}

/// Whether a date was read, of a date that runs as far as it had got.
fn was_read(coverage: &Coverage, date: NaiveDate, offset_seconds: i32) -> bool {
    let (from, until) = span_of(date, offset_seconds);
    let read_until = coverage.covered_until.map_or(until, |at| at.min(until));
    read_until > from && coverage.contains(from, read_until)
}
