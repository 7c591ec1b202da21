//! Overview of the whole service, for administrators.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use whoop_core::quota::QuotaLimits;
use whoop_storage::{
    Database, StorageError,
    overview::{self, LastRun},
    table::{call_budget, change, sync_log, users, webhook_event},
};

/// Members, quota, runs and webhooks in numbers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// Number of members, by status of their connection; a status without members has no key.
    pub members: BTreeMap<String, i64>,
    /// Remaining quota of the WHOOP app.
    pub quota: ServiceQuota,
    /// The last run of each slot, the latest first.
    pub runs: Vec<LastRun>,
    /// Number of connected members with a failed last sync.
    pub failing: i64,
    /// Number of WHOOP's records that could not be read and were set aside.
    pub rejected_records: i64,
    /// Number of webhook events of the last 30 days, by state; a state without events has no key.
    pub webhooks: BTreeMap<String, i64>,
    /// Age of the data that members see.
    pub freshness: ServiceFreshness,
}

/// Remaining quota of the WHOOP app.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ServiceQuota)]
pub struct ServiceQuota {
    /// Maximum number of calls in a minute.
    pub calls_per_minute: u32,
    /// Maximum number of calls in 24 hours.
    pub calls_per_day: u32,
    /// Remaining calls of the minute window.
    pub left_in_minute: u32,
    /// Remaining calls of the day window.
    pub left_in_day: u32,
    /// Number of calls of the last 24 hours, by priority class: `interactive`, `webhook`,
    /// `scheduled`, `inactive`, `backfill`.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub spent: BTreeMap<&'static str, u32>,
}

/// Age of the data that members see.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ServiceFreshness)]
pub struct ServiceFreshness {
    /// Per data type: seconds since the last sync of the least recently synced active member.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub oldest_seconds: BTreeMap<String, f64>,
    /// Median delay in seconds from a change at WHOOP until it was stored, over the last seven
    /// days; null if there was no change.
    pub median_delay_seconds: Option<f64>,
    /// 95th percentile of the same delay in seconds; null if there was no change.
    pub p95_delay_seconds: Option<f64>,
    /// Time at which WHOOP's latest webhook arrived; null if none ever did.
    pub last_webhook_at: Option<DateTime<Utc>>,
}

/// Maximum time since the last app request of an active member. Other members are read once in two
/// weeks.
pub const ACTIVE_WINDOW: TimeDelta = TimeDelta::days(7);

/// Time window for the delay percentiles: 7 days.
const DELAY_WINDOW: TimeDelta = TimeDelta::days(7);

/// Reads the overview. `limits` are WHOOP's limits for the WHOOP app.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn read_overview(
    database: &Database,
    limits: QuotaLimits,
    now: DateTime<Utc>,
) -> Result<Overview, StorageError> {
    let mut conn = database.get().await?;
    let members = users::count_by_status(&mut conn).await?;
    let current = call_budget::read(&mut conn).await?;
    let webhooks = webhook_event::count_by_state(&mut conn).await?;
    let delays = change::delay_percentiles(&mut conn, None, now - DELAY_WINDOW).await?;
    let oldest = sync_log::oldest(&mut conn, now - ACTIVE_WINDOW, now).await?;
    drop(conn);
    let usage = current.ledger.usage(current.now);
    let by_class = current.ledger.usage_by_class(current.now);
    let problems = overview::count_problems(database).await?;
    Ok(Overview {
        members: members
            .into_iter()
            .map(|one| (one.status, one.members))
            .collect(),
        quota: ServiceQuota {
            calls_per_minute: limits.per_minute,
            calls_per_day: limits.per_day,
            left_in_minute: limits.per_minute.saturating_sub(usage.minute),
            left_in_day: limits.per_day.saturating_sub(usage.day),
            spent: by_class
                .map(|(class, calls)| (class.as_str(), calls))
                .into(),
        },
        runs: overview::last_runs(database).await?,
        failing: problems.failing,
        rejected_records: problems.rejected_records,
        webhooks: webhooks
            .into_iter()
            .map(|one| (one.state, one.events))
            .collect(),
        freshness: ServiceFreshness {
            oldest_seconds: oldest
                .into_iter()
                .map(|one| (one.data_type, one.seconds))
                .collect(),
            median_delay_seconds: delays.median,
            p95_delay_seconds: delays.p95,
            last_webhook_at: overview::summarize_inbox(database, now, None).await?.latest,
        },
    })
}
