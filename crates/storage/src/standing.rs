//! All connected members at once, as a run has to know them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{
    coverage::CONFIRM_AFTER,
    plan::{heard::Heard, roster::Standing, visits::Visits},
};

use crate::{
    PgConnection, StorageError,
    prepared::prepared,
    table::webhook_event::{self, Unread},
};

/// A connected member before a run.
#[derive(Debug, Clone)]
pub struct Member {
    pub user_id: String,
    pub standing: Standing,
    /// Whether no older history can be read now: WHOOP has none, or showed the end of its lists today.
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
    #[diesel(sql_type = Nullable<Array<Text>>)]
    not_granted: Option<Vec<String>>,
    #[diesel(sql_type = Bool)]
    history_complete: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    webhook_at: Option<DateTime<Utc>>,
}

/// Everybody who is connected, by their id. Two queries, however many there are.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn list(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Member>, StorageError> {
    // Before the members: an event that is worked off between the two is then asked
    // for once too often, and not once too few.
    let unread: Vec<Unread> = webhook_event::unread(None).load(conn).await?;
    let rows: Vec<Row> = prepared(
        "SELECT u.user_id, u.last_seen_at, u.visit_days, u.webhook_at, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'recovery') AS recovery, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'sleep') AS sleep, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'workout') AS workout, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'cycle') AS cycle, \
                array_agg(l.data_type) FILTER (WHERE l.sync_status = 'not_granted') AS not_granted, \
                count(*) FILTER (WHERE l.whole_history OR l.list_end_seen_at BETWEEN $1 AND $2 \
                                    OR l.sync_status = 'not_granted') = 4 \
                    AS history_complete \
         FROM whoop_users u LEFT JOIN whoop_sync_log l ON l.user_id = u.user_id \
         WHERE u.status = 'connected' \
         GROUP BY u.user_id ORDER BY u.user_id",
    )
    .bind::<Timestamptz, _>(now - CONFIRM_AFTER)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    let mut by_member: HashMap<&str, Vec<&Unread>> = HashMap::new();
    for one in &unread {
        by_member.entry(&one.user_id).or_default().push(one);
    }
    let members = rows.into_iter().map(|row| {
        let unread = by_member.get(row.user_id.as_str());
        let heard = heard(row.webhook_at, unread.into_iter().flatten().copied(), now);
        Member::of(row, heard)
    });
    Ok(members.collect())
}

/// What webhooks say of a member; `None` where they are not known to arrive.
pub(crate) fn heard<'a>(
    webhook_at: Option<DateTime<Utc>>,
    unread: impl Iterator<Item = &'a Unread>,
    now: DateTime<Utc>,
) -> Option<Heard> {
    let mut heard = Heard::since(webhook_at, now)?;
    for one in unread {
        one.note(&mut heard);
    }
    Some(heard)
}

impl Member {
    fn of(row: Row, heard: Option<Heard>) -> Self {
        Self {
            user_id: row.user_id,
            standing: Standing {
                // The order of `DataType::ALL`.
                last_sync_at: [row.recovery, row.sleep, row.workout, row.cycle],
                not_granted: row
                    .not_granted
                    .into_iter()
                    .flatten()
                    .filter_map(|word| word.parse().ok())
                    .collect(),
                visits: Visits {
                    last: row.last_seen_at,
                    days: u32::try_from(row.visit_days).unwrap_or(0),
                },
                heard,
            },
            history_complete: row.history_complete,
        }
    }
}
