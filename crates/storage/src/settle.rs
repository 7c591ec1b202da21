//! After records were written: the days of the cycles they belong to.
//!
//! A cycle and its recovery take their day from a sleep that may arrive before
//! or after them, flip to a nap, or move. So whichever of the three is written,
//! the day of its cycle is worked out anew from all that is stored.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Date, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use whoop_core::{
    CycleId, DataType, SleepId, UserId,
    local_date::{self, Anchor, CycleTimes, RecoveryTies, SleepTimes},
};

use crate::{
    PgConnection, StorageError,
    changes::Changes,
    prepared::prepared,
    schema::{whoop_cycle, whoop_recovery},
    table::RecordTable,
};

/// Which cycles may have to change their day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) cycles: BTreeSet<String>,
    pub(crate) sleeps: BTreeSet<String>,
}

impl Touched {
    pub(crate) fn add<R: RecordTable>(&mut self, record: &R) {
        let ties = record.ties();
        self.cycles.extend(ties.cycle_id.map(|id| id.to_string()));
        self.sleeps.extend(ties.sleep_id.map(|id| id.0.clone()));
    }
}

#[derive(QueryableByName)]
struct SleepFacts {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    start_time: DateTime<Utc>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Timestamptz>)]
    end_time: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    timezone_offset: Option<String>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Bool>)]
    nap: Option<bool>,
    #[diesel(sql_type = Nullable<diesel::sql_types::BigInt>)]
    total_sleep_time_milli: Option<i64>,
}

impl From<SleepFacts> for SleepTimes {
    fn from(row: SleepFacts) -> Self {
        Self {
            weight: match row.total_sleep_time_milli {
                Some(milli) => TimeDelta::milliseconds(milli),
                None => row
                    .end_time
                    .map_or(TimeDelta::zero(), |end| end - row.start_time),
            },
            id: SleepId(row.id),
            cycle_id: row.cycle_id.and_then(|id| id.parse().ok()).map(CycleId),
            start: row.start_time,
            end: row.end_time,
            timezone_offset: row.timezone_offset,
            nap: row.nap.unwrap_or(false),
        }
    }
}

/// Id, start, offset, and the day it has now.
type StoredCycle = (String, DateTime<Utc>, Option<String>, NaiveDate);

/// Cycle id, sleep id, created, and the day and offset it has now.
type StoredRecovery = (String, String, DateTime<Utc>, NaiveDate, Option<String>);

/// Gives the touched cycles and their recoveries the day they belong to, and notes
/// whose day changed.
pub(crate) async fn settle(
    conn: &mut PgConnection,
    user_id: &UserId,
    touched: Touched,
    changes: &mut Changes,
) -> Result<(), StorageError> {
    let Touched { mut cycles, sleeps } = touched;
    if !sleeps.is_empty() {
        let judged_from_them: Vec<String> = whoop_recovery::table
            .filter(whoop_recovery::user_id.eq(user_id.as_str()))
            .filter(whoop_recovery::sleep_id.eq_any(sleeps.iter().cloned().collect::<Vec<_>>()))
            .select(whoop_recovery::id)
            .load(conn)
            .await?;
        cycles.extend(judged_from_them);
    }
    if cycles.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = cycles.into_iter().collect();

    let asked = &*conn;
    let (cycle_rows, recovery_rows): (Vec<StoredCycle>, Vec<StoredRecovery>) = futures::try_join!(
        whoop_cycle::table
            .filter(whoop_cycle::user_id.eq(user_id.as_str()))
            .filter(whoop_cycle::id.eq_any(&ids))
            .select((
                whoop_cycle::id,
                whoop_cycle::start_time,
                whoop_cycle::timezone_offset,
                whoop_cycle::local_date,
            ))
            .load(&mut &*asked),
        whoop_recovery::table
            .filter(whoop_recovery::user_id.eq(user_id.as_str()))
            .filter(whoop_recovery::id.eq_any(&ids))
            .select((
                whoop_recovery::id,
                whoop_recovery::sleep_id,
                whoop_recovery::created_at,
                whoop_recovery::local_date,
                whoop_recovery::timezone_offset,
            ))
            .load(&mut &*asked),
    )?;
    let judged: Vec<String> = recovery_rows.iter().map(|row| row.1.clone()).collect();
    let sleep_rows: Vec<SleepFacts> = prepared(
        "SELECT id, cycle_id, start_time, end_time, timezone_offset, nap, \
                CASE WHEN score_state = 'SCORED' THEN total_sleep_time_milli END AS total_sleep_time_milli \
         FROM whoop_sleep WHERE user_id = $1 AND (cycle_id = ANY($2) OR id = ANY($3))",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(&ids)
    .bind::<Array<Text>, _>(&judged)
    .load(conn)
    .await?;
    let sleeps: Vec<SleepTimes> = sleep_rows.into_iter().map(SleepTimes::from).collect();

    let mut cycle_days: Vec<(String, NaiveDate)> = Vec::new();
    let mut recovery_days: Vec<(String, Anchor)> = Vec::new();
    for id in &ids {
        let Ok(number) = id.parse().map(CycleId) else {
            continue;
        };
        let cycle_row = cycle_rows.iter().find(|row| &row.0 == id);
        let recovery_row = recovery_rows.iter().find(|row| &row.0 == id);
        let cycle = cycle_row.map(|row| CycleTimes {
            id: number,
            start: row.1,
            timezone_offset: row.2.clone(),
        });
        let recovery = recovery_row.map(|row| RecoveryTies {
            cycle_id: number,
            sleep_id: SleepId(row.1.clone()),
            created_at: row.2,
        });
        let Some(anchor) = local_date::of_cycle(cycle.as_ref(), recovery.as_ref(), &sleeps) else {
            continue;
        };
        if let Some(row) = cycle_row.filter(|row| row.3 != anchor.local_date) {
            changes.settled(DataType::Cycle, id, row.3, anchor.local_date);
            cycle_days.push((id.clone(), anchor.local_date));
        }
        if let Some(row) =
            recovery_row.filter(|row| row.3 != anchor.local_date || row.4 != anchor.timezone_offset)
        {
            changes.settled(DataType::Recovery, id, row.3, anchor.local_date);
            recovery_days.push((id.clone(), anchor));
        }
    }
    move_cycles(conn, user_id, cycle_days).await?;
    move_recoveries(conn, user_id, recovery_days).await
}

async fn move_cycles(
    conn: &mut PgConnection,
    user_id: &UserId,
    days: Vec<(String, NaiveDate)>,
) -> Result<(), StorageError> {
    if days.is_empty() {
        return Ok(());
    }
    let (ids, dates): (Vec<_>, Vec<_>) = days.into_iter().unzip();
    prepared(
        "UPDATE whoop_cycle SET local_date = settled.day \
         FROM unnest($2, $3) AS settled (id, day) \
         WHERE whoop_cycle.user_id = $1 AND whoop_cycle.id = settled.id",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Date>, _>(dates)
    .execute(conn)
    .await?;
    Ok(())
}

async fn move_recoveries(
    conn: &mut PgConnection,
    user_id: &UserId,
    days: Vec<(String, Anchor)>,
) -> Result<(), StorageError> {
    if days.is_empty() {
        return Ok(());
    }
    let (ids, anchors): (Vec<_>, Vec<_>) = days.into_iter().unzip();
    let (dates, offsets): (Vec<_>, Vec<_>) = anchors
        .into_iter()
        .map(|anchor| (anchor.local_date, anchor.timezone_offset))
        .unzip();
    prepared(
        "UPDATE whoop_recovery SET local_date = settled.day, timezone_offset = settled.tz \
         FROM unnest($2, $3, $4) AS settled (id, day, tz) \
         WHERE whoop_recovery.user_id = $1 AND whoop_recovery.id = settled.id",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Date>, _>(dates)
    .bind::<Array<Nullable<Text>>, _>(offsets)
    .execute(conn)
    .await?;
    Ok(())
}
