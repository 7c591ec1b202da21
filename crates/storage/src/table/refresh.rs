use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, schema::whoop_refresh};

/// Since when a refresh of this member has been without its end.
///
/// Asked under the lock of the member's tokens it is one that was cut off, for
/// nobody else can be at it.
pub async fn begun_at(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    Ok(whoop_refresh::table
        .find(user_id.as_str())
        .select(whoop_refresh::begun_at)
        .first(conn)
        .await
        .optional()?)
}

/// Notes that WHOOP is about to be asked. Not on the connection that holds the
/// lock: it has to outlast a process that dies with that one.
pub async fn begin(
    conn: &mut PgConnection,
    user_id: &UserId,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::insert_into(whoop_refresh::table)
        .values((
            whoop_refresh::user_id.eq(user_id.as_str()),
            whoop_refresh::begun_at.eq(now),
        ))
        // The earlier one is the one whose answer was lost.
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes how it ended: in the transaction that stores the answer.
pub async fn end(conn: &mut PgConnection, user_id: &UserId) -> Result<(), StorageError> {
    diesel::delete(whoop_refresh::table.find(user_id.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}
