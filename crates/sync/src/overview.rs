//! Overview of the whole service in numbers, for operators.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use whoop_core::quota::QuotaLimits;
use whoop_storage::{
    Database, StorageError,
    overview::{self, LastRun},
    table::{call_budget, change, sync_log, users, webhook_event},
};

/// Overview of the service in numbers: members, quota, runs and webhooks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// Number of members, by connection status. A status without members is omitted.
    pub members: BTreeMap<String, i64>,
    /// Remaining quota of the WHOOP app.
    pub quota: ServiceQuota,
    /// The last run of each scheduled slot, and the last run without a slot; the latest first.
    pub runs: Vec<LastRun>,
    /// Number of connected members whose last sync failed.
    pub failing: i64,
    /// Number of WHOOP's records that could not be read and were set aside.
    pub rejected_records: i64,
    /// Number of webhook events of the last 30 days, by state. A state without events is omitted.
    pub webhooks: BTreeMap<String, i64>,
    /// Age of the data that members see, and delays of changes.
    pub freshness: ServiceFreshness,
}

/// Call limits of the WHOOP app, and the calls that remain.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ServiceQuota)]
pub struct ServiceQuota {
    /// Maximum number of calls in a minute that WHOOP allows.
    pub calls_per_minute: u32,
    /// Maximum number of calls in 24 hours that WHOOP allows.
    pub calls_per_day: u32,
    /// Number of calls that remain in the minute window.
    pub left_in_minute: u32,
    /// Number of calls that remain in the day window.
    pub left_in_day: u32,
    /// Number of calls in the last 24 hours, by priority class: `interactive`, `webhook`,
    /// `scheduled`, `inactive`, `backfill`.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub spent: BTreeMap<&'static str, u32>,
}

/// Age of the data that members see, and delays of changes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ServiceFreshness)]
pub struct ServiceFreshness {
    /// Per data type: seconds since the last sync of the least recently synced active member. A
    /// member is active if their app requested data in the last 7 days.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub oldest_seconds: BTreeMap<String, f64>,
    /// Median delay in seconds from a change at WHOOP until the change was stored, over the last
    /// seven days; null if there was no change.
    pub median_delay_seconds: Option<f64>,
    /// 95th percentile in seconds of the delay from a change at WHOOP until the change was stored,
    /// over the last seven days; null if there was no change.
    pub p95_delay_seconds: Option<f64>,
    /// Time at which the latest webhook of WHOOP arrived; null if none ever arrived.
    pub last_webhook_at: Option<DateTime<Utc>>,
}

/// Time since the last app request within which a member counts as active: 7 days. The age of the
/// data of other members is not reported.
pub const ACTIVE_WINDOW: TimeDelta = TimeDelta::days(7);

/// Time window over which the delay percentiles are computed: 7 days.
const DELAY_WINDOW: TimeDelta = TimeDelta::days(7);

/// Reads the overview from PostgreSQL. `limits` are WHOOP's call limits for the WHOOP app.
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
