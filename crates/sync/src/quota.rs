//! Access to WHOOP's API within WHOOP's quota.

use std::{sync::Arc, time::Duration};

use whoop_client::{PingResult, RequestCount, WhoopClient};
use whoop_core::quota::QuotaLimits;
use whoop_storage::{Database, StorageError, table::call_budget};

use crate::{SyncContext, SyncError};

mod permit_pool;

pub(crate) use permit_pool::{MemberQuota, PermitPool};

/// Access to WHOOP's API. Each call takes a permit from the quota, which all processes share.
#[derive(Debug, Clone)]
pub struct Quota {
    database: Database,
    /// WHOOP's call limits for the WHOOP app. They apply to all processes together.
    pub limits: QuotaLimits,
    pub(crate) pool: Arc<PermitPool>,
    /// Client without a quota check, for requests to WHOOP's OAuth endpoints, which do not count
    /// against the quota.
    pub(crate) whoop: WhoopClient,
}

/// Calls that remain in the quota of the WHOOP app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemainingQuota {
    /// Calls that remain in the minute window: the limit minus the calls of the last 60 seconds.
    pub minute: u32,
    /// Calls that remain in the day window: the limit minus the calls of the last 24 hours.
    pub day: u32,
    /// Time until calls are sent again, if WHOOP has refused a call with 429; otherwise `None`.
    pub closed_for: Option<Duration>,
}

impl Quota {
    pub(crate) fn new(database: Database, whoop: WhoopClient, limits: QuotaLimits) -> Self {
        Self {
            pool: Arc::new(PermitPool::new(database.clone(), limits)),
            database,
            limits,
            whoop,
        }
    }

    /// Returns a WHOOP client with the retry policy and the priority class of `context`. Each call
    /// of this client takes a permit from the quota.
    pub fn whoop_for(&self, context: &SyncContext) -> WhoopClient {
        let quota = MemberQuota {
            quota: Arc::clone(&self.pool),
            class: context.class,
            member_hash: context.member_hash,
            lease_wanted: context.lease_wanted.clone(),
            is_known_to_fail: context.is_known_to_fail,
        };
        self.whoop
            .with_retry_policy(context.retry_policy)
            .with_quota_gate(Arc::new(quota))
    }

    /// Returns the number of calls that remain in the quota, after the calls of all processes.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn remaining_quota(&self) -> Result<RemainingQuota, StorageError> {
        let mut conn = self.database.get().await?;
        let current = call_budget::read(&mut conn).await?;
        let usage = current.ledger.usage(current.now);
        Ok(RemainingQuota {
            minute: self.limits.per_minute.saturating_sub(usage.minute),
            day: self.limits.per_day.saturating_sub(usage.day),
            closed_for: usage
                .closed_until
                .and_then(|until| (until - current.now).to_std().ok()),
        })
    }

    /// Checks that WHOOP's API answers, and compares WHOOP's clock with the clock of this machine.
    /// Uses one call of the quota.
    ///
    /// # Errors
    ///
    /// WHOOP is unavailable, or the quota does not allow a call.
    pub async fn ping(&self) -> Result<PingResult, SyncError> {
        Ok(self.whoop_for(&SyncContext::interactive()).ping().await?)
    }

    /// Checks that WHOOP accepts the client id and the client secret of the WHOOP app.
    ///
    /// The check uses no call of the quota, because requests to the token endpoint do not count.
    ///
    /// # Errors
    ///
    /// WHOOP does not accept the client id or the client secret, or is unavailable.
    pub async fn check_app_credentials(&self) -> Result<(), SyncError> {
        Ok(self.whoop.check_app_credentials().await?)
    }

    /// Returns the number of requests that this process sent to WHOOP, by outcome.
    pub fn request_counts(&self) -> Vec<RequestCount> {
        self.whoop.request_counts()
    }
}
