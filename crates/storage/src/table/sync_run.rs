use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{PgConnection, StorageError, schema::whoop_sync_run};

/// What a run came to.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = whoop_sync_run)]
pub struct Finished {
    pub status: &'static str,
    pub finished_at: DateTime<Utc>,
    pub members: i64,
    pub calls: i64,
    pub records: i64,
    pub failures: i64,
    pub detail: Option<String>,
}

/// Nothing that began longer ago and has not ended is taken for running still. Where it is
/// all the same, its end says so.
const TAKES_AT_MOST: TimeDelta = TimeDelta::hours(24);

/// Notes that a run begins, and of those that were killed that they were.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn begin(
    conn: &mut PgConnection,
    slot: Option<&str>,
    trigger: &str,
    now: DateTime<Utc>,
) -> Result<Uuid, StorageError> {
    let killed = whoop_sync_run::table
        .filter(whoop_sync_run::status.eq("running"))
        .filter(whoop_sync_run::started_at.lt(now - TAKES_AT_MOST));
    diesel::update(killed)
        .set((
            whoop_sync_run::status.eq("failed"),
            whoop_sync_run::detail.eq("it never said how it ended: most likely it was killed"),
        ))
        .execute(conn)
        .await?;
    Ok(diesel::insert_into(whoop_sync_run::table)
        .values((
            whoop_sync_run::slot.eq(slot),
            whoop_sync_run::trigger.eq(trigger),
            whoop_sync_run::started_at.eq(now),
        ))
        .returning(whoop_sync_run::id)
        .get_result(conn)
        .await?)
}

pub async fn finish(
    conn: &mut PgConnection,
    id: Uuid,
    finished: &Finished,
) -> Result<(), StorageError> {
    diesel::update(whoop_sync_run::table.find(id))
        .set(finished)
        .execute(conn)
        .await?;
    Ok(())
}
