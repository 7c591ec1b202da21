use chrono::{DateTime, Utc};
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

pub async fn begin(
    conn: &mut PgConnection,
    slot: Option<&str>,
    trigger: &str,
    now: DateTime<Utc>,
) -> Result<Uuid, StorageError> {
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
