//! The night's tidying: records older than `RETENTION_DAYS`, audit rows older than
//! `AUDIT_RETENTION_DAYS`, old runs, old changes, old events, connects that were never
//! completed.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{UserId, plan::roster::FORTNIGHT, retention::KeptFrom};
use whoop_storage::{
    PgConnection, StorageError, retention, settle_again,
    table::{audit, change, oauth_states, record_denial, sync_log, users, webhook_event},
};

use crate::{Engine, SyncError};

/// How long the list of runs goes back.
const RUNS_KEPT: TimeDelta = TimeDelta::days(90);

/// How long an app may be offline and still catch up.
const CHANGES_KEPT: TimeDelta = TimeDelta::days(30);

/// How long WHOOP's events can be looked at.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(30);

/// How long an event stays pending. A member who does not come is read within this time.
const PENDING_KEPT: TimeDelta = FORTNIGHT;

/// The same of events that concern nobody who is a member, or not any more.
const STRANGERS_KEPT: TimeDelta = TimeDelta::days(1);

/// Time after which the id of nobody who is stored becomes a pseudonym in the audit trail. A connect
/// may be under way until then.
const UNKNOWN_IDS_KEPT: TimeDelta = TimeDelta::days(1);

/// Ids that become pseudonyms between two looks.
const IDS_AT_ONCE: i64 = 500;

impl Engine {
    /// The first date of a member of which records are kept; `None` if all are.
    pub(crate) async fn member_kept_from(
        &self,
        user_id: &UserId,
    ) -> Result<Option<KeptFrom>, SyncError> {
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

    /// The instant since which a member's records are kept; `None` if all are.
    pub(crate) fn kept_from(&self, timezone_offset: Option<&str>) -> Option<DateTime<Utc>> {
        let kept = self
            .settings
            .retention?
            .kept_from(self.clock.now(), timezone_offset);
        Some(kept.instant)
    }

    /// Removes what is too old of every member, also of those who left, whom no
    /// sync visits any more. Returns how many rows that were.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn tidy(&self) -> Result<u64, SyncError> {
        let now = self.clock.now();
        let members = {
            let mut conn = self.database.get().await?;
            // With a clock that is ahead, more would be deleted than is too old.
            sync_log::check_clock(&conn, now).await?;
            retention::trim_runs(&mut conn, now - RUNS_KEPT).await?;
            change::trim(&mut conn, now - CHANGES_KEPT).await?;
            oauth_states::purge(&mut conn, now - oauth_states::REMEMBERED).await?;
            webhook_event::trim(
                &mut conn,
                now - EVENTS_KEPT,
                now - PENDING_KEPT,
                now - STRANGERS_KEPT,
            )
            .await?;
            record_denial::purge(&mut conn, now).await?;
            audit::purge(&mut conn, now - self.settings.audit_retention).await?;
            self.pseudonymise_unknown_ids(&mut conn, now - UNKNOWN_IDS_KEPT)
                .await?;
            users::list_offsets(&mut conn).await?
        };
        settle_again::settle_again(&self.database).await?;
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
            match retention::trim(&mut transaction, &user_id, kept, now).await {
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

    /// Replaces ids in the audit trail that belong to no stored member by their pseudonyms.
    async fn pseudonymise_unknown_ids(
        &self,
        conn: &mut PgConnection,
        before: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        loop {
            let ids = audit::ids_of_nobody(conn, before, IDS_AT_ONCE).await?;
            for id in &ids {
                let pseudonym = self.keys.audit_pseudonym(id);
                audit::pseudonymise(conn, id, &pseudonym).await?;
            }
            if (ids.len() as i64) < IDS_AT_ONCE {
                return Ok(());
            }
        }
    }
}
