//! Nightly clean-up: deletes records older than `RETENTION_DAYS`, audit rows older than
//! `AUDIT_RETENTION_DAYS`, old runs, changes and webhook events, and connection requests that were
//! never completed.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{UserId, plan::selection::FORTNIGHT, retention::RetentionStart};
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;
use whoop_storage::{
    PgConnection, StorageError, reassign_local_dates, retention,
    table::{audit, change, oauth_states, record_denial, sync_log, users, webhook_event},
};

use crate::{EngineSettings, SyncError};

/// Time for which runs are kept in `whoop_sync_run`: 90 days.
const RUN_RETENTION: TimeDelta = TimeDelta::days(90);

/// Time for which changes are kept in the change feed: 30 days. An app that was offline for a
/// shorter time can still catch up with the feed.
const CHANGE_RETENTION: TimeDelta = TimeDelta::days(30);

/// Time for which webhook events are kept: 30 days. Some events are deleted earlier, see the next
/// constants.
const EVENT_RETENTION: TimeDelta = TimeDelta::days(30);

/// Time for which a pending webhook event is kept: 14 days. Within this time, scheduled runs read
/// every member, even those who do not use the app.
const PENDING_EVENT_RETENTION: TimeDelta = FORTNIGHT;

/// Time for which webhook events of WHOOP accounts without a member, or with disconnected members
/// only, are kept: one day.
const UNKNOWN_ACCOUNT_RETENTION: TimeDelta = TimeDelta::days(1);

/// Age from which an id in the audit trail that belongs to no stored member is replaced by a
/// pseudonym: one day. A younger id may belong to a connection request in progress.
const UNKNOWN_ID_RETENTION: TimeDelta = TimeDelta::days(1);

/// Maximum number of ids that one query selects for replacement by pseudonyms.
const IDS_PER_QUERY: i64 = 500;

/// Applies the retention period of records, and deletes data that has expired.
#[derive(Debug, Clone)]
pub struct RecordRetention {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) settings: EngineSettings,
}

impl RecordRetention {
    /// Returns the first date from which a member's records are kept; `None` if all records are
    /// kept.
    pub(crate) async fn member_kept_from(
        &self,
        user_id: &UserId,
    ) -> Result<Option<RetentionStart>, SyncError> {
        let Some(retention) = self.settings.retention else {
            return Ok(None);
        };
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let timezone_offset = member.and_then(|member| member.timezone_offset);
        Ok(Some(
            retention.kept_from(self.clock.now(), timezone_offset.as_deref()),
        ))
    }

    /// Returns the time from which the records of a member with this UTC offset are kept; `None` if
    /// all records are kept.
    pub(crate) fn kept_from(&self, timezone_offset: Option<&str>) -> Option<DateTime<Utc>> {
        let kept = self
            .settings
            .retention?
            .kept_from(self.clock.now(), timezone_offset);
        Some(kept.instant)
    }

    /// Deletes the expired data of all members, including disconnected ones. Returns the number of
    /// deleted rows of records.
    ///
    /// Also assigns local dates again where this is needed after an upgrade, and tries again to
    /// store records that were set aside.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn purge_expired(&self) -> Result<u64, SyncError> {
        let now = self.clock.now();
        let members = {
            let mut conn = self.database.get().await?;
            // Rows would be deleted too early if this machine's clock were ahead.
            sync_log::check_clock(&conn, now).await?;
            retention::purge_runs(&mut conn, now - RUN_RETENTION).await?;
            change::purge(&mut conn, now - CHANGE_RETENTION).await?;
            oauth_states::purge(&mut conn, now - oauth_states::ENDED_RETENTION).await?;
            webhook_event::purge(
                &mut conn,
                now - EVENT_RETENTION,
                now - PENDING_EVENT_RETENTION,
                now - UNKNOWN_ACCOUNT_RETENTION,
            )
            .await?;
            record_denial::purge(&mut conn, now).await?;
            audit::purge(&mut conn, now - self.settings.audit_retention).await?;
            self.pseudonymise_unknown_ids(&mut conn, now - UNKNOWN_ID_RETENTION)
                .await?;
            users::list_offsets(&mut conn).await?
        };
        reassign_local_dates::reassign_local_dates(&self.database).await?;
        self.retry_set_aside().await?;
        let Some(days) = self.settings.retention else {
            return Ok(0);
        };
        let mut removed = 0;
        for (user_id, timezone_offset) in members {
            let Ok(user_id) = user_id.parse::<UserId>() else {
                continue;
            };
            let kept = days.kept_from(now, timezone_offset.as_deref());
            let mut transaction = self.database.begin().await?;
            match retention::purge_records(&mut transaction, &user_id, kept, now).await {
                Ok(rows) => {
                    transaction.commit().await?;
                    removed += rows;
                }
                Err(StorageError::MemberGone(_)) => transaction.rollback().await?,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(removed)
    }

    /// Replaces ids in the audit trail that belong to no stored member, in rows older than
    /// `before`, by pseudonyms.
    async fn pseudonymise_unknown_ids(
        &self,
        conn: &mut PgConnection,
        before: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        loop {
            let ids = audit::list_unknown_member_ids(conn, before, IDS_PER_QUERY).await?;
            for id in &ids {
                let pseudonym = self.keys.audit_pseudonym(id);
                audit::pseudonymise(conn, id, &pseudonym).await?;
            }
            if (ids.len() as i64) < IDS_PER_QUERY {
                return Ok(());
            }
        }
    }
}
