//! Summaries of all members, for operators.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{Database, StorageError, prepared::prepared};

/// Summary of one member.
#[derive(Debug, Clone, serde::Serialize, QueryableByName)]
pub struct MemberSummary {
    #[diesel(sql_type = Text)]
    pub user_id: String,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = Timestamptz)]
    pub connected_at: DateTime<Utc>,
    /// Time of the member's last app request.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Time of the last sync of the granted data type that was synced longest ago. `None` if a
    /// granted data type was never synced.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_sync_at: Option<DateTime<Utc>>,
    /// Total number of records that were written for the member, of all data types.
    #[diesel(sql_type = BigInt)]
    pub records_synced: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
}

/// Returns the summaries of all members, ordered by id. If `status` is given, only members with
/// this connection status are returned.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn list(
    database: &Database,
    status: Option<&str>,
) -> Result<Vec<MemberSummary>, StorageError> {
    let mut conn = database.get().await?;
    Ok(prepared(
        "SELECT u.user_id, u.status, u.connected_at, u.last_seen_at, \
                CASE WHEN count(*) FILTER (WHERE l.sync_status = 'not_granted' \
                                              OR l.last_sync_at IS NOT NULL) = 4 \
                     THEN min(l.last_sync_at) FILTER (WHERE l.sync_status <> 'not_granted') END \
                    AS last_sync_at, \
                coalesce(sum(l.records_synced), 0)::bigint AS records_synced, \
                coalesce(u.status_detail, max(l.last_error)) AS last_error \
         FROM whoop_users u LEFT JOIN whoop_sync_log l ON l.user_id = u.user_id \
         WHERE $1 IS NULL OR u.status = $1 \
         GROUP BY u.user_id ORDER BY u.user_id",
    )
    .bind::<Nullable<Text>, _>(status)
    .load(&mut conn)
    .await?)
}

/// Slot of a scheduled run.
///
/// - `morning`, `afternoon`, `evening`, `night`: time of the run
#[derive(utoipa::ToSchema)]
#[schema(as = RunSlot, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum RunSlotSchema {
    Morning,
    Afternoon,
    Evening,
    Night,
}

/// Trigger of a run.
///
/// - `scheduled`: the run was started without a terminal, such as by cron
/// - `manual`: the run was started on a terminal
#[derive(utoipa::ToSchema)]
#[schema(as = RunTrigger, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum RunTriggerSchema {
    Scheduled,
    Manual,
}

/// Status of a run.
///
/// - `running`: the run is in progress
/// - `success`: all members were synced
/// - `failed`: a member failed, the cleanup after the run failed, or the process was killed
/// - `deferred`: the quota did not suffice for all members
/// - `stopped`: the run was stopped before all members were synced
#[derive(utoipa::ToSchema)]
#[schema(as = RunStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum RunStatusSchema {
    Running,
    Success,
    Failed,
    Deferred,
    Stopped,
}

/// The last run of a slot, or the last run without a slot.
#[derive(Debug, Clone, serde::Serialize, QueryableByName, utoipa::ToSchema)]
pub struct LastRun {
    /// Slot of the run; null if it has none.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(value_type = Option<RunSlotSchema>)]
    pub slot: Option<String>,
    /// Trigger of the run.
    #[diesel(sql_type = Text)]
    #[schema(value_type = RunTriggerSchema)]
    pub trigger: String,
    /// Status of the run.
    #[diesel(sql_type = Text)]
    #[schema(value_type = RunStatusSchema)]
    pub status: String,
    /// Time at which the run started.
    #[diesel(sql_type = Timestamptz)]
    pub started_at: DateTime<Utc>,
    /// Time at which the run ended; null while it is in progress, and if its process was killed.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Number of members in the run.
    #[diesel(sql_type = BigInt)]
    pub members: i64,
    /// Number of calls to WHOOP.
    #[diesel(sql_type = BigInt)]
    pub calls: i64,
    /// Number of records written.
    #[diesel(sql_type = BigInt)]
    pub records: i64,
    /// Number of members whose sync failed.
    #[diesel(sql_type = BigInt)]
    pub failures: i64,
    /// First error of the run, as text for the operator; null if there was none.
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
}

/// Returns the last run of each slot (time of day of scheduled runs) and the last run without a
/// slot, the latest first.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn last_runs(database: &Database) -> Result<Vec<LastRun>, StorageError> {
    let mut conn = database.get().await?;
    let mut runs: Vec<LastRun> = prepared(
        "SELECT DISTINCT ON (slot) slot, trigger, \
                CASE WHEN status = 'running' AND alive_until < now() THEN 'failed' ELSE status END \
                    AS status, \
                started_at, finished_at, members, calls, records, failures, \
                CASE WHEN status = 'running' AND alive_until < now() THEN 'the process was killed' \
                     ELSE detail END AS detail \
         FROM whoop_sync_run ORDER BY slot, started_at DESC",
    )
    .load(&mut conn)
    .await?;
    runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    Ok(runs)
}

/// Summary of the webhook inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct InboxSummary {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub latest: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    pub pending: i64,
    #[diesel(sql_type = BigInt)]
    pub dead: i64,
    /// Earliest due time among the pending events of connected members; `None` if there are none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub overdue_since: Option<DateTime<Utc>>,
    /// Number of connected members about whom no webhook arrived since `quiet_since`; see
    /// [`summarize_inbox`].
    #[diesel(sql_type = BigInt)]
    pub quiet: i64,
}

/// Summarizes the webhook inbox.
///
/// A connected member counts as quiet if the latest webhook about the member arrived before
/// `quiet_since`. If none ever arrived, the time of the connection counts instead.
///
/// If `seen_since` is given, `overdue_since` includes only events of members with an app request
/// after that time. Events of other members are deferred on purpose while the quota is short.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn summarize_inbox(
    database: &Database,
    quiet_since: DateTime<Utc>,
    seen_since: Option<DateTime<Utc>>,
) -> Result<InboxSummary, StorageError> {
    let mut conn = database.get().await?;
    Ok(prepared(
        "SELECT max(received_at) AS latest, \
                count(*) FILTER (WHERE state = 'pending') AS pending, \
                count(*) FILTER (WHERE state = 'dead') AS dead, \
                (SELECT min(due_at) FROM whoop_webhook_event e \
                     JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id \
                     WHERE e.state = 'pending' AND u.status = 'connected' \
                       AND ($2 IS NULL OR u.last_seen_at > $2)) AS overdue_since, \
                (SELECT count(*) FROM whoop_users u WHERE u.status = 'connected' \
                     AND coalesce((SELECT max(signal_at) FROM whoop_sync_log l \
                                   WHERE l.user_id = u.user_id), u.connected_at) < $1) AS quiet \
         FROM whoop_webhook_event",
    )
    .bind::<Timestamptz, _>(quiet_since)
    .bind::<Nullable<Timestamptz>, _>(seen_since)
    .get_result(&mut conn)
    .await?)
}

/// Numbers of problems that the operator should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct ProblemCounts {
    /// Number of connected members with at least one data type for which the last sync failed.
    #[diesel(sql_type = BigInt)]
    pub failing: i64,
    /// Number of rejected records.
    #[diesel(sql_type = BigInt)]
    pub rejected_records: i64,
}

/// Counts the problems that the operator should look at.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn count_problems(database: &Database) -> Result<ProblemCounts, StorageError> {
    let mut conn = database.get().await?;
    Ok(prepared(
        "SELECT (SELECT count(DISTINCT u.user_id) FROM whoop_users u \
                 JOIN whoop_sync_log l ON l.user_id = u.user_id \
                 WHERE u.status = 'connected' AND l.sync_status = 'failed') AS failing, \
                (SELECT count(*) FROM whoop_rejected_record) AS rejected_records",
    )
    .get_result(&mut conn)
    .await?)
}
