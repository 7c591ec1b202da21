use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use whoop_client::{PingResult, TimestampTolerance, WhoopClient};
use whoop_core::{Clock, quota::QuotaLimits, retention::Retention};
use whoop_storage::{
    Database, StorageError,
    seal::{SealError, TokenKeys},
    table::{
        audit::{self, AuditEntry},
        call_budget,
    },
};

use crate::{
    SyncContext, SyncError, first_sync,
    lease::LeaseQueues,
    quota::{MemberQuota, PermitPool},
    record_counters::RecordCounters,
    tokens::TokenRefreshes,
};

/// Settings of the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineSettings {
    /// Maximum age of today's data; a request for older data calls WHOOP.
    pub freshness: TimeDelta,
    /// Minimum interval between two reads of a data type that callers force. A forced read that is
    /// requested earlier shares the result of the last read.
    pub forced_read_interval: TimeDelta,
    /// Time for which records are kept; `None` keeps them for ever.
    pub retention: Option<Retention>,
    /// Retention of the audit trail.
    pub audit_retention: TimeDelta,
    /// WHOOP's limits for the WHOOP app, for all processes together.
    pub limits: QuotaLimits,
    /// Tolerance for the timestamp of a webhook's signature.
    pub signed_within: TimestampTolerance,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            freshness: TimeDelta::minutes(15),
            forced_read_interval: TimeDelta::minutes(1),
            retention: None,
            audit_retention: TimeDelta::days(365),
            limits: QuotaLimits::default(),
            signed_within: TimestampTolerance::default(),
        }
    }
}

/// Remaining quota of the WHOOP app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemainingQuota {
    /// Calls that remain in the minute window: the limit minus the calls of the last 60 seconds.
    pub minute: u32,
    /// Calls that remain in the day window: the limit minus the calls of the last 24 hours.
    pub day: u32,
    /// Time until calls are sent again, if WHOOP has refused one.
    pub closed_for: Option<Duration>,
}

/// Resources and settings that a sync needs. Cheap to clone; created once per process.
#[derive(Debug, Clone)]
pub struct Engine {
    pub database: Database,
    pub(crate) whoop: WhoopClient,
    pub settings: EngineSettings,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) quota: Arc<PermitPool>,
    pub(crate) lease_queues: Arc<LeaseQueues>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) refreshes: Arc<TokenRefreshes>,
    pub(crate) record_counters: Arc<RecordCounters>,
    /// Limits the number of concurrent first syncs.
    pub(crate) first_sync_slots: Arc<Semaphore>,
}

impl Engine {
    pub fn new(
        database: Database,
        whoop: WhoopClient,
        keys: TokenKeys,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Self {
        Self {
            quota: Arc::new(PermitPool::new(database.clone(), settings.limits)),
            lease_queues: Arc::default(),
            record_counters: Arc::default(),
            refreshes: Arc::default(),
            first_sync_slots: Arc::new(Semaphore::new(first_sync::MAX_CONCURRENT_FIRST_SYNCS)),
            database,
            whoop,
            settings,
            keys: Arc::new(keys),
            clock,
        }
    }

    /// Returns a WHOOP client with the retry policy and priority class of a context. It counts each
    /// call against the quota.
    pub fn whoop_for(&self, context: &SyncContext) -> WhoopClient {
        let quota = MemberQuota {
            quota: Arc::clone(&self.quota),
            class: context.class,
            member_hash: context.member_hash,
            lease_wanted: context.lease_wanted.clone(),
            is_known_to_fail: context.is_known_to_fail,
        };
        self.whoop
            .with_retry_policy(context.retry_policy)
            .with_quota_gate(Arc::new(quota))
    }

    /// Calls that an interactive request can still make, after the calls of all processes.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn remaining_quota(&self) -> Result<RemainingQuota, StorageError> {
        let mut conn = self.database.get().await?;
        let current = call_budget::read(&mut conn).await?;
        let limits = self.settings.limits;
        let usage = current.ledger.usage(current.now);
        Ok(RemainingQuota {
            minute: limits.per_minute.saturating_sub(usage.minute),
            day: limits.per_day.saturating_sub(usage.day),
            closed_for: usage
                .closed_until
                .and_then(|until| (until - current.now).to_std().ok()),
        })
    }

    /// Checks that WHOOP answers, and compares its clock with this machine's. Uses one call of the
    /// quota.
    ///
    /// # Errors
    ///
    /// WHOOP is unavailable, or the quota does not allow a call.
    pub async fn ping(&self) -> Result<PingResult, SyncError> {
        Ok(self.whoop_for(&SyncContext::interactive()).ping().await?)
    }

    /// Checks that WHOOP accepts the client id and the client secret. Uses no call of the quota,
    /// because the token endpoint is not counted.
    ///
    /// # Errors
    ///
    /// WHOOP does not accept them, or is unavailable.
    pub async fn check_app_credentials(&self) -> Result<(), SyncError> {
        Ok(self.whoop.check_app_credentials().await?)
    }

    /// Returns the pseudonym of a member for the log lines of requests: the same in all processes
    /// with the same `TOKEN_KEYS`.
    pub fn log_pseudonym(&self, user_id: &str) -> String {
        self.keys.log_pseudonym(user_id)
    }

    /// Adds entries to the audit trail, all of them or none.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable or rejects the entries.
    pub async fn write_audit(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let mut conn = self.database.get().await?;
        audit::insert(&mut conn, entries).await
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

/// Returns 256 random bits as text that fits into a URL.
pub(crate) fn random_text() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
