//! The main numbers of each day in a date range, for charts. One statement reads all days.

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
    coverage::{Coverage, span_of_date},
    day::BriefDay,
    offset,
};

use crate::{
    PgConnection, PooledConnection, StorageError,
    schema::{whoop_sync_log, whoop_users},
    table::sync_log::{SyncLogRow, coverage_of},
};

/// Query for the days of a date range. The SQL function is defined in `migrations/`, so that
/// clients with SQL access can use it too.
const DAYS: &str = "SELECT * FROM whoop_days($1, $2, $3) ORDER BY local_date";

#[derive(QueryableByName)]
struct DayRangeRow {
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Nullable<Double>)]
    recovery_score: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    hrv_rmssd_milli: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    resting_heart_rate: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    sleep_performance: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    sleep_duration_milli: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    day_strain: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    kilojoule: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    workouts: Option<i64>,
}

/// Returns the main numbers of every date in a range, in ascending order. Both ends of the range
/// are included.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn read(
    conn: &PooledConnection,
    user_id: &UserId,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<BriefDay>, StorageError> {
    let conn: &PgConnection = conn;
    // This statement is not prepared. For a prepared statement, PostgreSQL may use a generic plan,
    // which assumes a range of one or two days. The joins of that plan make a range of one year
    // take five times as long.
    let days = sql_query(DAYS)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(from)
        .bind::<Date, _>(to);
    // The three queries are sent together in one round trip.
    let (timezone_offset, log, days) = try_join!(
        whoop_users::table
            .find(user_id.as_str())
            .select(whoop_users::timezone_offset)
            .load::<Option<String>>(&mut &*conn),
        whoop_sync_log::table
            .filter(whoop_sync_log::user_id.eq(user_id.as_str()))
            .select(SyncLogRow::as_select())
            .load::<SyncLogRow>(&mut &*conn),
        days.load::<DayRangeRow>(&mut &*conn),
    )?;
    let offset_seconds = timezone_offset
        .iter()
        .flatten()
        .find_map(|text| offset::parse(text))
        .map_or(0, |offset| offset.local_minus_utc());
    let coverage = coverage_of(&log);
    let is_read = |date| {
        coverage
            .iter()
            .filter(|entry| entry.data_type == DataType::Workout)
            .any(|entry| was_read(entry, date, offset_seconds))
    };
    let brief = |row: DayRangeRow| BriefDay {
        date: row.local_date,
        recovery_score: row.recovery_score,
        hrv_rmssd_milli: row.hrv_rmssd_milli,
        resting_heart_rate: row.resting_heart_rate,
        sleep_performance: row.sleep_performance,
        sleep_duration_milli: row.sleep_duration_milli,
        strain: row.day_strain,
        calories: BriefDay::calories_of(row.kilojoule),
        workouts: row
            .workouts
            .or_else(|| is_read(row.local_date).then_some(0)),
    };
    Ok(days.into_iter().map(brief).collect())
}

/// Returns whether the coverage (the time span that was read completely) contains a date.
///
/// If the coverage ends during the date, only the part of the date before that end has to be
/// covered.
fn was_read(coverage: &Coverage, date: NaiveDate, offset_seconds: i32) -> bool {
    let (from, until) = span_of_date(date, offset_seconds);
    let read_until = coverage.covered_until.map_or(until, |at| at.min(until));
    read_until > from && coverage.contains(from, read_until)
}
