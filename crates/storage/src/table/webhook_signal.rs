//! Webhook signals: marks in the sync log that WHOOP announced a change of a data type of a member,
//! and that the change was not read yet.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared};

/// Opens the signal of a data type for every connected member of a WHOOP account.
///
/// Each signal gets a later time than the signal before, even if the clock of the receiving machine
/// is wrong. A read closes only signals from before its start, so a signal that arrives during the
/// read stays open.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn open(
    conn: &mut PgConnection,
    whoop_user_id: i64,
    data_type: DataType,
    at: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "INSERT INTO whoop_sync_log AS known (user_id, data_type, signal_at) \
         SELECT user_id, $2, $3 FROM whoop_users \
         WHERE whoop_user_id = $1 AND status = 'connected' ORDER BY user_id \
         ON CONFLICT (user_id, data_type) DO UPDATE \
         SET signal_at = greatest($3, known.signal_at + interval '1 microsecond')",
    )
    .bind::<BigInt, _>(whoop_user_id)
    .bind::<Text, _>(data_type.as_str())
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens the missing signals for pending events of a WHOOP account. An older version of the service
/// stored such events without opening a signal.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn open_missing(conn: &mut PgConnection, whoop_user_id: i64) -> Result<(), StorageError> {
    prepared(
        "INSERT INTO whoop_sync_log AS known (user_id, data_type, signal_at) \
         SELECT u.user_id, split_part(e.event_type, '.', 1), max(e.received_at) \
         FROM whoop_webhook_event e JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id \
         WHERE e.whoop_user_id = $1 AND e.state = 'pending' AND u.status = 'connected' \
         GROUP BY u.user_id, split_part(e.event_type, '.', 1) \
         ON CONFLICT (user_id, data_type) DO UPDATE SET signal_at = excluded.signal_at \
         WHERE (known.signal_at >= excluded.signal_at) IS NOT TRUE",
    )
    .bind::<BigInt, _>(whoop_user_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens the signals of data types that may have changed while webhooks were missed, and returns
/// the number of opened signals.
///
/// These are the data types that were last read before `read_before`, of members with a webhook
/// after `webhooks_since`. Cycles are excluded, because WHOOP sends no webhooks about them.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn open_read_before(
    conn: &mut PgConnection,
    read_before: DateTime<Utc>,
    webhooks_since: DateTime<Utc>,
) -> Result<u64, StorageError> {
    let opened = prepared(
        "UPDATE whoop_sync_log AS log \
         SET signal_at = coalesce(signal_at, 'epoch') + interval '1 microsecond' \
         WHERE NOT signal_open AND data_type <> 'cycle' AND last_sync_at < $1 \
           AND user_id IN (SELECT user_id FROM whoop_sync_log WHERE signal_at > $2)",
    )
    .bind::<Timestamptz, _>(read_before)
    .bind::<Timestamptz, _>(webhooks_since)
    .execute(conn)
    .await?;
    Ok(opened as u64)
}

/// Deletes the webhook signals of a member who connects again.
///
/// The first sync reads all changes, so open signals are not needed. The webhooks of the earlier
/// connection also do not show that webhooks arrive for the new connection.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn clear_for_member(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_log SET signal_at = NULL, signal_read_at = NULL WHERE user_id = $1",
    )
    .bind::<Text, _>(user_id.as_str())
    .execute(conn)
    .await?;
    Ok(())
}
