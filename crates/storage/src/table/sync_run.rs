use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Double, Timestamptz},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_sync_run};

/// The columns that are written when a scheduled run ends.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = whoop_sync_run, treat_none_as_null = true)]
pub struct FinishedRunColumns {
    pub status: &'static str,
    pub finished_at: DateTime<Utc>,
    pub members: i64,
    pub calls: i64,
    pub records: i64,
    pub failures: i64,
    pub detail: Option<String>,
}

/// Age after which an unfinished run without `alive_until` counts as killed. Older versions of the
/// service did not store `alive_until`.
const MAX_RUN_DURATION: TimeDelta = TimeDelta::hours(24);

/// Records the start of a run and returns its id. Marks unfinished runs of killed processes as
/// failed.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn begin(
    conn: &mut PgConnection,
    slot: Option<&str>,
    trigger: &str,
    now: DateTime<Utc>,
    duration: Duration,
) -> Result<Uuid, StorageError> {
    prepared(
        "UPDATE whoop_sync_run SET status = 'failed', detail = 'the process was killed' \
         WHERE status = 'running' \
           AND (alive_until < now() OR alive_until IS NULL AND started_at < $1)",
    )
    .bind::<Timestamptz, _>(now - MAX_RUN_DURATION)
    .execute(conn)
    .await?;
    let id = diesel::insert_into(whoop_sync_run::table)
        .values((
            whoop_sync_run::slot.eq(slot),
            whoop_sync_run::trigger.eq(trigger),
            whoop_sync_run::started_at.eq(now),
        ))
        .returning(whoop_sync_run::id)
        .get_result(conn)
        .await?;
    alive(conn, id, duration).await?;
    Ok(id)
}

/// Records that the process of a run is alive, until `duration` from now by the database's clock.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn alive(
    conn: &mut PgConnection,
    id: Uuid,
    duration: Duration,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_run SET alive_until = now() + make_interval(secs => $2) WHERE id = $1",
    )
    .bind::<diesel::sql_types::Uuid, _>(id)
    .bind::<Double, _>(duration.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn finish(
    conn: &mut PgConnection,
    id: Uuid,
    finished: &FinishedRunColumns,
) -> Result<(), StorageError> {
    diesel::update(whoop_sync_run::table.find(id))
        .set(finished)
        .execute(conn)
        .await?;
    Ok(())
}
