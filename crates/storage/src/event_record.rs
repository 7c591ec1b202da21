//! The stored records that a webhook event refers to.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{CycleId, DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared};

/// A stored record that a webhook event refers to.
#[derive(Debug, Clone, QueryableByName)]
pub struct EventRecord {
    /// The record's own id. For a recovery it differs from the id in the event, because the event
    /// contains the id of the sleep.
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Timestamptz)]
    pub happened_at: DateTime<Utc>,
    /// Whether the record is pending: WHOOP has not scored it yet.
    #[diesel(sql_type = Bool)]
    pub is_open: bool,
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
}

impl EventRecord {
    /// Returns the id of the cycle that the record belongs to, if it is known. For a main sleep,
    /// this is the cycle that began with the sleep.
    pub fn started_cycle(&self) -> Option<CycleId> {
        self.cycle_id.as_ref()?.parse().ok().map(CycleId)
    }
}

/// Finds the stored record that an event refers to, by the data type and the id in the event.
///
/// An event about a recovery contains the id of a sleep. In this case, all recoveries that belong
/// to this sleep are returned.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn find_by_event(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    event_id: &str,
) -> Result<Vec<EventRecord>, StorageError> {
    let sql = match data_type {
        DataType::Sleep => {
            "SELECT id, start_time AS happened_at, cycle_id, \
                    score_state NOT IN ('SCORED', 'UNSCORABLE') AS is_open \
             FROM whoop_sleep WHERE user_id = $1 AND id = $2"
        }
        DataType::Recovery => {
            "SELECT id, created_at AS happened_at, cycle_id, \
                    score_state NOT IN ('SCORED', 'UNSCORABLE') AS is_open \
             FROM whoop_recovery WHERE user_id = $1 AND sleep_id = $2"
        }
        DataType::Workout => {
            "SELECT id, start_time AS happened_at, NULL AS cycle_id, \
                    score_state NOT IN ('SCORED', 'UNSCORABLE') AS is_open \
             FROM whoop_workout WHERE user_id = $1 AND id = $2"
        }
        DataType::Cycle => {
            "SELECT id, start_time AS happened_at, id AS cycle_id, \
                    score_state NOT IN ('SCORED', 'UNSCORABLE') AS is_open \
             FROM whoop_cycle WHERE user_id = $1 AND id = $2"
        }
    };
    Ok(prepared(sql)
        .bind::<Text, _>(user_id.as_str())
        .bind::<Text, _>(event_id)
        .load(conn)
        .await?)
}
