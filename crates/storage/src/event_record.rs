//! What is stored of the record that an event speaks of.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{CycleId, DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared};

/// A stored record.
#[derive(Debug, Clone, QueryableByName)]
pub struct EventRecord {
    /// Its own id, which of a recovery is not the one that the event has.
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Timestamptz)]
    pub happened_at: DateTime<Utc>,
    /// Whether it waits for its score.
    #[diesel(sql_type = Bool)]
    pub is_open: bool,
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
}

impl EventRecord {
    /// Of a sleep, the cycle that began with it.
    pub fn started_cycle(&self) -> Option<CycleId> {
        self.cycle_id.as_ref()?.parse().ok().map(CycleId)
    }
}

/// The record that an event of this type and id is about; of a recovery, all that
/// were judged from the sleep.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
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
