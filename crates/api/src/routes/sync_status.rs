use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::day::ConnectionStatus;
use whoop_storage::table::sync_log::SyncLogRow;
use whoop_sync::status::MemberStatus;

use crate::{json, member::PathMember, problem::Problem, state::AppState};

/// Sync status of a member.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SyncStatus {
    /// The app's id of the member.
    user_id: String,
    /// State of the member's connection to WHOOP.
    connection: ConnectionStatus,
    /// Whether a sync of this member is running. A background sync that was requested with `POST
    /// sync`, and the first sync after connecting, count as running until they end, even between
    /// two pages.
    syncing: bool,
    /// Sync status of each data type: `recovery`, `sleep`, `workout`, `cycle`.
    data_types: BTreeMap<&'static str, TypeStatus>,
    /// Progress of reading the member's history.
    backfill: BackfillSummary,
    /// Number of records from WHOOP that could not be read and were set aside.
    rejected_records: i64,
    /// Delay between changes at WHOOP and their storage by this service.
    freshness: FreshnessSummary,
}

/// Delay between a change at WHOOP and the time at which this service stored it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct FreshnessSummary {
    /// Number of changes within the last seven days. Changes from before the member connected are
    /// not counted.
    changes: i64,
    /// Median delay in seconds; null if there was no change.
    median_seconds: Option<f64>,
    /// 95th percentile of the delay in seconds; null if there was no change.
    p95_seconds: Option<f64>,
    /// Time of the latest webhook that WHOOP sent about this member; null if none has arrived since
    /// the member connected. If no webhook arrives for two days, the scheduled runs read all data
    /// types.
    last_webhook_at: Option<DateTime<Utc>>,
}

/// Status of the last sync of a data type.
///
/// - `never`: the data type was never read
/// - `running`: a sync is running
/// - `success`: the last sync succeeded
/// - `failed`: the last sync failed
/// - `not_granted`: the member did not grant this data type at WHOOP, so it is not read
#[derive(utoipa::ToSchema)]
#[schema(as = TypeSyncStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
enum TypeSyncStatusSchema {
    Never,
    Running,
    Success,
    Failed,
    NotGranted,
}

/// Sync status of one data type. All records of the time between `covered_from` and `covered_until`
/// are stored.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
struct TypeStatus {
    /// Status of the last sync of the data type.
    #[schema(value_type = TypeSyncStatusSchema)]
    sync_status: String,
    /// Time of the last complete read up to the present; null if there was none.
    last_sync_at: Option<DateTime<Utc>>,
    /// Time of the last attempt to sync the data type; null if there was none.
    last_attempt_at: Option<DateTime<Utc>>,
    /// Total number of records of this data type that were written to the database.
    records_synced: i64,
    /// Start of the time span of which all records are stored; null if there is none.
    covered_from: Option<DateTime<Utc>>,
    /// End of the time span of which all records are stored; null if there is none.
    covered_until: Option<DateTime<Utc>>,
    /// Whether WHOOP has no records from the time before `covered_from`.
    whole_history: bool,
    /// Explanation for the member if the last sync failed or had to set records aside; null if it
    /// succeeded completely.
    last_error: Option<String>,
    /// Time of the last error; null if there was none.
    last_error_at: Option<DateTime<Utc>>,
}

/// Progress of the backfill, which reads the member's history into the database.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct BackfillSummary {
    /// Whether the history is stored back to the member's first record, or back to the start of the
    /// retention period.
    complete: bool,
    /// Time from which all records of every granted data type are stored; null if there is none.
    stored_from: Option<DateTime<Utc>>,
}

impl From<&SyncLogRow> for TypeStatus {
    fn from(row: &SyncLogRow) -> Self {
        Self {
            sync_status: row.sync_status.clone(),
            last_sync_at: row.last_sync_at,
            last_attempt_at: row.last_attempt_at,
            records_synced: row.records_synced,
            covered_from: row.covered_from,
            covered_until: row.covered_until,
            whole_history: row.whole_history,
            last_error: row.last_error.clone(),
            last_error_at: row.last_error_at,
        }
    }
}

impl SyncStatus {
    fn of(user_id: String, status: &MemberStatus) -> Self {
        let never = || TypeStatus {
            sync_status: "never".to_owned(),
            ..TypeStatus::default()
        };
        Self {
            user_id,
            connection: status.connection,
            syncing: status.syncing,
            data_types: status
                .types
                .iter()
                .map(|(data_type, row)| {
                    (
                        data_type.as_str(),
                        row.as_ref().map_or_else(never, TypeStatus::from),
                    )
                })
                .collect(),
            backfill: BackfillSummary {
                complete: status.history_complete(),
                stored_from: status.history_from(),
            },
            rejected_records: status.rejected_records,
            freshness: FreshnessSummary {
                changes: status.delays.changes,
                median_seconds: status.delays.median,
                p95_seconds: status.delays.p95,
                last_webhook_at: status.last_webhook_at(),
            },
        }
    }
}

/// Sync status of a member, by data type.
#[utoipa::path(
    get, operation_id = "getSyncStatus", path = "/api/v1/whoop/sync-status/{user_id}", tag = "Sync",
    params(("user_id" = String, Path, description = "The app's id of the member")),
    responses(
        (status = 200, description = "The sync status, by data type", body = SyncStatus),
        (status = 400, description = "The user id is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    member: PathMember,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let member = user_id.clone();
    let status = state
        .run_on_engine(|engine| async move { engine.operations.member_status(&member).await })
        .await??;
    let is_running = state.background_syncs.is_running(&user_id);
    let mut body = SyncStatus::of(user_id.into(), &status);
    body.syncing |= is_running;
    Ok(json::respond(HttpResponse::Ok(), &body))
}
