use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use whoop_client::{TimestampTolerance, WhoopClient};
use whoop_core::{Clock, quota::QuotaLimits, retention::Retention};
use whoop_storage::{
    Database, StorageError,
    seal::{SealError, TokenKeys},
    table::audit::{self, AuditEntry},
};

use crate::{
    Backfill, BackgroundSync, Confirmations, Connections, DataTypeSync, Days, FirstSyncs,
    LegacyImport, MemberCalls, MemberLeases, MemberSync, Operations, Quota, Reconciliation,
    RecordReader, RecordRetention, Revocations, ScheduledRuns, TokenRefresher, WebhookInbox,
    first_sync,
};

/// All services of a process, created once and connected to each other. A clone shares the
/// services, and is cheap.
#[derive(Debug, Clone)]
pub struct Engine {
    pub database: Database,
    keys: Arc<TokenKeys>,
    clock: Arc<dyn Clock>,
    pub quota: Arc<Quota>,
    pub refresher: Arc<TokenRefresher>,
    pub calls: Arc<MemberCalls>,
    pub reader: Arc<RecordReader>,
    pub retention: Arc<RecordRetention>,
    pub members: Arc<MemberSync>,
    pub background: Arc<BackgroundSync>,
    pub days: Arc<Days>,
    pub reconciliation: Arc<Reconciliation>,
    pub inbox: Arc<WebhookInbox>,
    pub first_syncs: Arc<FirstSyncs>,
    pub revocations: Arc<Revocations>,
    pub connections: Arc<Connections>,
    pub confirmations: Arc<Confirmations>,
    pub runs: Arc<ScheduledRuns>,
    pub operations: Arc<Operations>,
    pub legacy_import: Arc<LegacyImport>,
}

/// Settings of the services in [`Engine`].
#[derive(Debug, Clone, Copy)]
pub struct EngineSettings {
    /// Maximum age of today's data (freshness interval). If the data is older, an app request for
    /// it calls WHOOP.
    pub freshness: TimeDelta,
    /// Minimum interval between two forced reads of a data type. A forced read that is requested
    /// earlier uses the result of the last read.
    pub forced_read_interval: TimeDelta,
    /// Retention period of records; `None` keeps all records.
    pub retention: Option<Retention>,
    /// Time for which rows of the audit trail are kept.
    pub audit_retention: TimeDelta,
    /// WHOOP's call limits for the WHOOP app. They apply to all processes together.
    pub limits: QuotaLimits,
    /// Accepted difference between the timestamp of a webhook's signature and the current time.
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

impl Engine {
    /// Creates all services. Each service holds only the resources and the other services that it
    /// uses.
    pub fn new(
        database: Database,
        whoop: WhoopClient,
        keys: TokenKeys,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Self {
        let keys = Arc::new(keys);
        let quota = Arc::new(Quota::new(database.clone(), whoop, settings.limits));
        let refresher = Arc::new(TokenRefresher {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            quota: Arc::clone(&quota),
            refreshes: Arc::default(),
        });
        let calls = Arc::new(MemberCalls {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            settings,
            quota: Arc::clone(&quota),
            refresher: Arc::clone(&refresher),
        });
        let leases = Arc::new(MemberLeases {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            calls: Arc::clone(&calls),
            queues: Arc::default(),
        });
        let retention = Arc::new(RecordRetention {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            settings,
        });
        let reader = Arc::new(RecordReader {
            database: database.clone(),
            clock: Arc::clone(&clock),
            calls: Arc::clone(&calls),
            retention: Arc::clone(&retention),
            record_counters: Arc::default(),
        });
        let types = Arc::new(DataTypeSync {
            database: database.clone(),
            clock: Arc::clone(&clock),
            reader: Arc::clone(&reader),
        });
        let backfill = Arc::new(Backfill {
            database: database.clone(),
            clock: Arc::clone(&clock),
            leases: Arc::clone(&leases),
            retention: Arc::clone(&retention),
            types: Arc::clone(&types),
        });
        let members = Arc::new(MemberSync {
            database: database.clone(),
            clock: Arc::clone(&clock),
            settings,
            leases: Arc::clone(&leases),
            retention: Arc::clone(&retention),
            types: Arc::clone(&types),
            backfill: Arc::clone(&backfill),
        });
        let background = Arc::new(BackgroundSync {
            clock: Arc::clone(&clock),
            leases: Arc::clone(&leases),
            types: Arc::clone(&types),
            backfill: Arc::clone(&backfill),
            members: Arc::clone(&members),
        });
        let days = Arc::new(Days {
            database: database.clone(),
            clock: Arc::clone(&clock),
            settings,
            quota: Arc::clone(&quota),
            calls: Arc::clone(&calls),
            leases: Arc::clone(&leases),
            types: Arc::clone(&types),
        });
        let reconciliation = Arc::new(Reconciliation {
            clock: Arc::clone(&clock),
            leases: Arc::clone(&leases),
            types: Arc::clone(&types),
            backfill: Arc::clone(&backfill),
        });
        let inbox = Arc::new(WebhookInbox {
            database: database.clone(),
            clock: Arc::clone(&clock),
            settings,
            quota: Arc::clone(&quota),
            leases: Arc::clone(&leases),
            reader: Arc::clone(&reader),
            members: Arc::clone(&members),
        });
        let first_syncs = Arc::new(FirstSyncs {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            calls: Arc::clone(&calls),
            leases: Arc::clone(&leases),
            types: Arc::clone(&types),
            backfill: Arc::clone(&backfill),
            members: Arc::clone(&members),
            first_sync_slots: Arc::new(Semaphore::new(first_sync::MAX_CONCURRENT_FIRST_SYNCS)),
        });
        let revocations = Arc::new(Revocations {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            quota: Arc::clone(&quota),
            calls: Arc::clone(&calls),
        });
        let connections = Arc::new(Connections {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            quota: Arc::clone(&quota),
            refresher: Arc::clone(&refresher),
            first_syncs: Arc::clone(&first_syncs),
            revocations: Arc::clone(&revocations),
        });
        let confirmations = Arc::new(Confirmations {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            connections: Arc::clone(&connections),
            revocations: Arc::clone(&revocations),
        });
        let runs = Arc::new(ScheduledRuns {
            database: database.clone(),
            clock: Arc::clone(&clock),
            settings,
            quota: Arc::clone(&quota),
            retention: Arc::clone(&retention),
            members: Arc::clone(&members),
            reconciliation: Arc::clone(&reconciliation),
            first_syncs: Arc::clone(&first_syncs),
            revocations: Arc::clone(&revocations),
        });
        let operations = Arc::new(Operations {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            settings,
            quota: Arc::clone(&quota),
            retention: Arc::clone(&retention),
        });
        let legacy_import = Arc::new(LegacyImport {
            database: database.clone(),
            clock: Arc::clone(&clock),
            keys: Arc::clone(&keys),
            leases: Arc::clone(&leases),
        });
        Self {
            database,
            keys,
            clock,
            quota,
            refresher,
            calls,
            reader,
            retention,
            members,
            background,
            days,
            reconciliation,
            inbox,
            first_syncs,
            revocations,
            connections,
            confirmations,
            runs,
            operations,
            legacy_import,
        }
    }

    /// Returns the pseudonym of a member for the log lines of requests. It is the same in all
    /// processes with the same `TOKEN_KEYS`.
    pub fn log_pseudonym(&self, user_id: &str) -> String {
        self.keys.log_pseudonym(user_id)
    }

    /// Adds entries to the audit trail. If this fails, none of the entries is added.
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

/// Returns 256 random bits as text that can be part of a URL.
pub(crate) fn random_text() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
