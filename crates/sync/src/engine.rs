use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use whoop_client::{Reached, SignedWithin, Whoop};
use whoop_core::{Clock, quota::Limits, retention::Retention};
use whoop_storage::{
    Database, StorageError,
    seal::{SealError, TokenKeys},
    table::{
        audit::{self, Entry},
        call_budget,
    },
};

use crate::{
    Job, SyncError, first_sync,
    lease::LeaseQueues,
    quota::{MemberQuota, Quota},
    record_tally::RecordTally,
    tokens::Refreshes,
};

/// What can be set of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How old today's data may be before a request asks WHOOP.
    pub freshness: TimeDelta,
    /// Minimum interval between two reads of a data type that callers force. One that comes earlier
    /// shares the result of the last read.
    pub forced_reads_every: TimeDelta,
    /// How long records are kept; `None` for ever.
    pub retention: Option<Retention>,
    /// Retention of the audit trail.
    pub audit_retention: TimeDelta,
    /// What WHOOP allows the app, all processes together.
    pub limits: Limits,
    /// How old a webhook may be.
    pub signed_within: SignedWithin,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            freshness: TimeDelta::minutes(15),
            forced_reads_every: TimeDelta::minutes(1),
            retention: None,
            audit_retention: TimeDelta::days(365),
            limits: Limits::default(),
            signed_within: SignedWithin::default(),
        }
    }
}

/// What is left of WHOOP's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLeft {
    /// Calls in the last 60 seconds fewer than the limit.
    pub minute: u32,
    /// Calls in the last 24 hours fewer than the limit.
    pub day: u32,
    /// WHOOP has refused a call and answers none for so long.
    pub closed_for: Option<Duration>,
}

/// Everything a sync needs; cheap to clone, made once a process.
#[derive(Debug, Clone)]
pub struct Engine {
    pub database: Database,
    pub(crate) whoop: Whoop,
    pub settings: Settings,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) lease_queues: Arc<LeaseQueues>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) refreshes: Arc<Refreshes>,
    pub(crate) record_tally: Arc<RecordTally>,
    /// One permit for each first sync that may run.
    pub(crate) first_syncs: Arc<Semaphore>,
}

impl Engine {
    pub fn new(
        database: Database,
        whoop: Whoop,
        keys: TokenKeys,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            quota: Arc::new(Quota::new(database.clone(), settings.limits)),
            lease_queues: Arc::default(),
            record_tally: Arc::default(),
            refreshes: Arc::default(),
            first_syncs: Arc::new(Semaphore::new(first_sync::AT_A_TIME)),
            database,
            whoop,
            settings,
            keys: Arc::new(keys),
            clock,
        }
    }

    /// WHOOP at a job's pace, each call counted against the budget.
    pub fn whoop_for(&self, job: &Job) -> Whoop {
        let quota = MemberQuota {
            quota: Arc::clone(&self.quota),
            class: job.class,
            member: job.member,
            yields: job.yields.clone(),
            is_known_to_fail: job.is_known_to_fail,
        };
        self.whoop
            .with_pace(job.pace)
            .with_allowance(Arc::new(quota))
    }

    /// How many calls a member who waits may still cause, as all processes
    /// together stand.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn quota(&self) -> Result<QuotaLeft, StorageError> {
        let mut conn = self.database.get().await?;
        let current = call_budget::read(&mut conn).await?;
        let limits = self.settings.limits;
        let usage = current.ledger.usage(current.now);
        Ok(QuotaLeft {
            minute: limits.per_minute.saturating_sub(usage.minute),
            day: limits.per_day.saturating_sub(usage.day),
            closed_for: usage
                .closed_until
                .and_then(|until| (until - current.now).to_std().ok()),
        })
    }

    /// Whether WHOOP answers, and what time it is there. Takes one call.
    ///
    /// # Errors
    ///
    /// WHOOP is away, or the quota does not allow a call.
    pub async fn reach(&self) -> Result<Reached, SyncError> {
        Ok(self.whoop_for(&Job::interactive()).reach().await?)
    }

    /// Whether WHOOP knows this app. Takes no call: the token endpoint is not counted.
    ///
    /// # Errors
    ///
    /// WHOOP does not know it, or is away.
    pub async fn knows_app(&self) -> Result<(), SyncError> {
        Ok(self.whoop.knows_app().await?)
    }

    /// The pseudonym of a member in request lines: the same for all processes with the same
    /// `TOKEN_KEYS`.
    pub fn log_pseudonym(&self, user_id: &str) -> String {
        self.keys.log_pseudonym(user_id)
    }

    /// Adds entries to the audit trail, all of them or none.
    ///
    /// # Errors
    ///
    /// PostgreSQL refused or is gone.
    pub async fn write_audit(&self, entries: &[Entry]) -> Result<(), StorageError> {
        let mut conn = self.database.get().await?;
        audit::insert(&mut conn, entries).await
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

/// 256 random bits that fit into a URL.
pub(crate) fn random_text() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
