//! The sync states of all connected members, from which a scheduled run selects the members to
//! sync.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use whoop_core::{
    DataType,
    coverage::CONFIRM_AFTER,
    plan::{
        LOOK_BACK, app_opens::AppOpenHistory, selection::MemberSyncState,
        webhook_signals::WebhookSignals,
    },
};

use crate::{PgConnection, StorageError, member_snapshot::pending_records_sql, prepared::prepared};

/// A connected member, with the state that a scheduled run needs for its selection.
#[derive(Debug, Clone)]
pub struct ConnectedMember {
    pub user_id: String,
    pub sync_state: MemberSyncState,
    /// Whether a backfill would find nothing to read for this member, in any data type.
    ///
    /// A data type has nothing to read if its whole history is stored or the member did not grant
    /// it. If WHOOP's list was first seen to contain nothing older less than 20 hours ago, another
    /// read cannot confirm this yet, so there is nothing to read either.
    pub history_complete: bool,
}

#[derive(QueryableByName)]
struct ConnectedMemberRow {
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
    is_failing: bool,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    backing_off: Option<Vec<String>>,
    #[diesel(sql_type = Bool)]
    history_complete: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    signal_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    signals: Option<Vec<String>>,
}

#[derive(QueryableByName)]
struct PendingCountRow {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Returns all connected members, ordered by id. Two queries read all of them.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<ConnectedMember>, StorageError> {
    let rows: Vec<ConnectedMemberRow> = prepared(
        "SELECT u.user_id, u.last_seen_at, u.visit_days, max(l.signal_at) AS signal_at, \
                array_agg(l.data_type) FILTER (WHERE l.signal_open) AS signals, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'recovery') AS recovery, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'sleep') AS sleep, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'workout') AS workout, \
                max(l.last_sync_at) FILTER (WHERE l.data_type = 'cycle') AS cycle, \
                array_agg(l.data_type) FILTER (WHERE l.sync_status = 'not_granted') AS not_granted, \
                coalesce(bool_or(l.failing_since IS NOT NULL), false) AS is_failing, \
                array_agg(l.data_type) FILTER (WHERE l.failing_since <= l.last_attempt_at \
                    AND l.last_attempt_at <= $2 \
                    AND l.failing_since < (SELECT max(last_sync_at) FROM whoop_sync_log) \
                    AND $2 < l.last_attempt_at + least((l.last_attempt_at - l.failing_since) / 2, \
                                                       interval '7 days')) AS backing_off, \
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
    let mut members: Vec<ConnectedMember> = rows
        .into_iter()
        .map(|row| ConnectedMember::from_row(row, now))
        .collect();
    let pending_counts: Vec<PendingCountRow> = prepared(old_pending_counts_sql())
        .bind::<Timestamptz, _>(now - LOOK_BACK)
        .load(conn)
        .await?;
    let mut states: HashMap<&str, &mut MemberSyncState> = HashMap::new();
    for member in &mut members {
        states.insert(&member.user_id, &mut member.sync_state);
    }
    for row in pending_counts {
        let Some(state) = states.get_mut(row.user_id.as_str()) else {
            continue;
        };
        let counts = state.old_pending_counts.iter_mut();
        for (data_type, count) in DataType::ALL.iter().zip(counts) {
            if data_type.as_str() == row.data_type {
                *count = usize::try_from(row.records).unwrap_or(0);
            }
        }
    }
    Ok(members)
}

/// Returns the query for the number of pending records older than `$1`, per member and data type.
fn old_pending_counts_sql() -> String {
    let pending = pending_records_sql(|happened_at| format!("{happened_at} < $1"));
    format!(
        "SELECT user_id, data_type, count(*) AS records FROM ({pending}) AS pending GROUP BY 1, 2"
    )
}

impl ConnectedMember {
    fn from_row(row: ConnectedMemberRow, now: DateTime<Utc>) -> Self {
        let types = |names: Option<Vec<String>>| {
            names
                .into_iter()
                .flatten()
                .filter_map(|name| name.parse().ok())
        };
        Self {
            user_id: row.user_id,
            sync_state: MemberSyncState {
                // These values are in the order of `DataType::ALL`.
                last_sync_at: [row.recovery, row.sleep, row.workout, row.cycle],
                not_granted: types(row.not_granted).collect(),
                is_failing: row.is_failing,
                backing_off: types(row.backing_off).collect(),
                app_opens: AppOpenHistory {
                    last: row.last_seen_at,
                    days: u32::try_from(row.visit_days).unwrap_or(0),
                },
                signals: WebhookSignals::trusted(row.signal_at, types(row.signals), now),
                old_pending_counts: [0; 4],
            },
            history_complete: row.history_complete,
        }
    }
}
