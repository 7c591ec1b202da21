//! All connected members at once, as a run has to know them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use whoop_core::plan::{roster::Standing, visits::Visits};

use crate::{StorageError, prepared::prepared};

/// A connected member before a run.
#[derive(Debug, Clone)]
pub struct Member {
    pub user_id: String,
    pub standing: Standing,
    /// Whether WHOOP has nothing older than what is stored, of any type.
    pub history_complete: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_seen_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    visit_days: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    recovery: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    sleep: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    workout: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cycle: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    history_complete: bool,
}

/// Everybody who is connected, by their id. One query, however many there are.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn list(conn: &mut AsyncPgConnection) -> Result<Vec<Member>, StorageError> {
    let rows: Vec<Row> = prepared(
        "SELECT u.user_id, u.last_seen_at, u.visit_days, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'recovery') AS recovery, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'sleep') AS sleep, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'workout') AS workout, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'cycle') AS cycle, \
                count(*) FILTER (WHERE l.whole_history) = 4 AS history_complete \
         FROM whoop_users u LEFT JOIN whoop_sync_log l ON l.user_id = u.user_id \
         WHERE u.status = 'connected' \
         GROUP BY u.user_id ORDER BY u.user_id",
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(Member::from).collect())
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.user_id,
            standing: Standing {
                // The order of `DataType::ALL`.
                last_sync_at: [row.recovery, row.sleep, row.workout, row.cycle],
                visits: Visits {
                    last: row.last_seen_at,
                    days: u32::try_from(row.visit_days).unwrap_or(0),
                },
                heard: None,
            },
            history_complete: row.history_complete,
        }
    }
}
