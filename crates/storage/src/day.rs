//! A member's day, read in one round trip.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::try_join;
use whoop_core::{UserId, day::Records, plan::heard::Heard};

use crate::{
    Connection, StorageError,
    schema::{
        whoop_cycle, whoop_recovery, whoop_sleep, whoop_sync_log, whoop_users, whoop_workout,
    },
    standing::heard,
    table::{
        cycle::CycleRow,
        recovery::RecoveryRow,
        sleep::SleepRow,
        sync_log::SyncLogRow,
        users::UserRow,
        webhook_event::{self, Unread},
        workout::WorkoutRow,
    },
};

/// Everything that answers for one date of one member.
#[derive(Debug, Clone)]
pub struct StoredDay {
    /// `None` for a member who never connected.
    pub member: Option<UserRow>,
    pub log: Vec<SyncLogRow>,
    pub records: Records,
    /// What webhooks say; `None` where they are not known to arrive.
    pub heard: Option<Heard>,
}

/// Reads a day. The seven questions travel together and so do their answers.
///
/// # Errors
///
/// PostgreSQL is away, or a row was changed by hand into something unreadable.
pub async fn read(
    conn: &Connection,
    user_id: &UserId,
    date: NaiveDate,
    now: DateTime<Utc>,
) -> Result<StoredDay, StorageError> {
    let conn: &AsyncPgConnection = conn;
    let user = user_id.as_str();
    let (unread, member, log, recoveries, sleeps, cycles, workouts) = try_join!(
        webhook_event::unread(Some(user_id)).load::<Unread>(&mut &*conn),
        whoop_users::table
            .find(user)
            .select(UserRow::as_select())
            .load::<UserRow>(&mut &*conn),
        whoop_sync_log::table
            .filter(whoop_sync_log::user_id.eq(user))
            .select(SyncLogRow::as_select())
            .load::<SyncLogRow>(&mut &*conn),
        whoop_recovery::table
            .filter(whoop_recovery::user_id.eq(user))
            .filter(whoop_recovery::local_date.eq(date))
            .select(RecoveryRow::as_select())
            .load::<RecoveryRow>(&mut &*conn),
        whoop_sleep::table
            .filter(whoop_sleep::user_id.eq(user))
            .filter(whoop_sleep::local_date.eq(date))
            .select(SleepRow::as_select())
            .load::<SleepRow>(&mut &*conn),
        whoop_cycle::table
            .filter(whoop_cycle::user_id.eq(user))
            .filter(whoop_cycle::local_date.eq(date))
            .select(CycleRow::as_select())
            .load::<CycleRow>(&mut &*conn),
        whoop_workout::table
            .filter(whoop_workout::user_id.eq(user))
            .filter(whoop_workout::local_date.eq(date))
            .select(WorkoutRow::as_select())
            .load::<WorkoutRow>(&mut &*conn),
    )?;
    let member = member.into_iter().next();
    let whoop_user_id = member.as_ref().map_or(0, |member| member.whoop_user_id);
    let records = Records {
        recoveries: recoveries
            .into_iter()
            .map(|row| row.into_record(whoop_user_id))
            .collect::<Result<_, _>>()?,
        sleeps: sleeps
            .into_iter()
            .map(|row| row.into_record(whoop_user_id))
            .collect::<Result<_, _>>()?,
        cycles: cycles
            .into_iter()
            .map(|row| row.into_record(whoop_user_id))
            .collect::<Result<_, _>>()?,
        workouts: workouts
            .into_iter()
            .map(|row| row.into_record(whoop_user_id))
            .collect(),
    };
    let webhook_at = member.as_ref().and_then(|member| member.webhook_at);
    Ok(StoredDay {
        heard: heard(webhook_at, unread.iter(), now),
        member,
        log,
        records,
    })
}
