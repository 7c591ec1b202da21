//! The status of a member: the connection, and the reads of each data type.

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{DataType, UserId, day::ConnectionStatus};
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;
use whoop_storage::{
    StorageError,
    table::{
        change::{self, DelayPercentiles},
        rejected_record,
        sync_log::{self, SyncLogRow},
        users::{self, UserRow},
    },
};

use crate::{EngineSettings, Quota, RecordRetention, SyncError};

/// Time window for the delay percentiles: 7 days.
const DELAY_WINDOW: TimeDelta = TimeDelta::days(7);

/// A member's connection and sync log.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    pub connection: ConnectionStatus,
    /// `None` for a member who never connected.
    pub member: Option<UserRow>,
    /// One entry per data type, including those that were never read.
    pub types: Vec<(DataType, Option<SyncLogRow>)>,
    /// Number of WHOOP's records that could not be read.
    pub rejected_records: i64,
    /// Whether a process is syncing this member now, or the first sync waits for the quota.
    pub syncing: bool,
    /// Time from which records are kept; `None` if all are kept.
    pub kept_from: Option<DateTime<Utc>>,
    /// Delays of the last week's changes, from the change at WHOOP until it could be read here.
    pub delays: DelayPercentiles,
}

fn is_granted((_, log): &&(DataType, Option<SyncLogRow>)) -> bool {
    log.as_ref().is_none_or(SyncLogRow::is_granted)
}

impl MemberStatus {
    /// Whether the history of every granted data type was read back to its first record, or to the
    /// start of the retention period.
    pub fn history_complete(&self) -> bool {
        let reaches_back = |log: &SyncLogRow| {
            log.whole_history
                || self
                    .kept_from
                    .zip(log.covered_from)
                    .is_some_and(|(kept, from)| from <= kept)
        };
        self.types
            .iter()
            .filter(is_granted)
            .all(|(_, log)| log.as_ref().is_some_and(reaches_back))
    }

    /// Time of the latest webhook about the member.
    pub fn last_webhook_at(&self) -> Option<DateTime<Utc>> {
        let logs = self.types.iter().filter_map(|(_, log)| log.as_ref());
        logs.filter_map(|log| log.signal_at).max()
    }

    /// Time from which all records of every data type are stored.
    pub fn history_from(&self) -> Option<DateTime<Utc>> {
        let starts: Option<Vec<_>> = self
            .types
            .iter()
            .filter(is_granted)
            .map(|(_, log)| log.as_ref()?.covered_from)
            .collect();
        starts?.into_iter().max()
    }
}

/// Reports the state of members and of the service to the operator.
#[derive(Debug, Clone)]
pub struct Operations {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) settings: EngineSettings,
    pub(crate) quota: Arc<Quota>,
    pub(crate) retention: Arc<RecordRetention>,
}

impl Operations {
    /// Returns the members of this list who never connected.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn find_unknown_members(
        &self,
        user_ids: &[UserId],
    ) -> Result<Vec<UserId>, StorageError> {
        let mut conn = self.database.get().await?;
        users::list_unknown(&mut conn, user_ids).await
    }

    /// Returns the status of a member.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn member_status(&self, user_id: &UserId) -> Result<MemberStatus, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let log = sync_log::list(&mut conn, user_id).await?;
        let rejected_records = rejected_record::count(&mut conn, user_id).await?;
        let is_first = member
            .as_ref()
            .is_some_and(|member| is_first_sync_running(member, self.clock.now()));
        let syncing = is_first || whoop_storage::member_lease::is_held(&mut conn, user_id).await?;
        let since = self.clock.now() - DELAY_WINDOW;
        let delays = change::delay_percentiles(&mut conn, Some(user_id), since).await?;
        let types = DataType::ALL
            .into_iter()
            .map(|data_type| {
                let row = log.iter().find(|row| row.data_type == data_type.as_str());
                (data_type, row.cloned())
            })
            .collect();
        Ok(MemberStatus {
            connection: member
                .as_ref()
                .map_or(ConnectionStatus::NeverConnected, UserRow::connection),
            kept_from: self.retention.kept_from(
                member
                    .as_ref()
                    .and_then(|member| member.timezone_offset.as_deref()),
            ),
            member,
            types,
            rejected_records,
            syncing,
            delays,
        })
    }
}

/// Time after a connect in which a first sync that has not ended counts as under way.
const FIRST_SYNC_WINDOW: TimeDelta = TimeDelta::hours(2);

fn is_first_sync_running(member: &UserRow, now: DateTime<Utc>) -> bool {
    member.first_sync_pending
        && member.connection() == ConnectionStatus::Connected
        && now - member.connected_at < FIRST_SYNC_WINDOW
}
