//! Status of a member: the connection to WHOOP, and the reads of each data type.

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

/// Time window over which the delay percentiles are computed: 7 days.
const DELAY_WINDOW: TimeDelta = TimeDelta::days(7);

/// Status of one member: the connection, and the state of each data type in the sync log.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    pub connection: ConnectionStatus,
    /// The stored member; `None` if the member never connected.
    pub member: Option<UserRow>,
    /// One entry per data type, with its row of the sync log; `None` if the data type has no row
    /// yet.
    pub types: Vec<(DataType, Option<SyncLogRow>)>,
    /// Number of WHOOP's records of this member that could not be read and were set aside.
    pub rejected_records: i64,
    /// Whether a process is syncing this member now, or the first sync after connecting has not
    /// ended yet.
    pub syncing: bool,
    /// Time from which the member's records are kept; `None` if all records are kept.
    pub kept_from: Option<DateTime<Utc>>,
    /// Delays of the changes of the last 7 days, each from the change at WHOOP until the change was
    /// stored here.
    pub delays: DelayPercentiles,
}

fn is_granted((_, log): &&(DataType, Option<SyncLogRow>)) -> bool {
    log.as_ref().is_none_or(SyncLogRow::is_granted)
}

impl MemberStatus {
    /// Whether the history of every granted data type was read completely: back to the member's
    /// first record, or to the start of the retention period.
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

    /// Returns the time of the latest webhook about the member; `None` if there was none.
    pub fn last_webhook_at(&self) -> Option<DateTime<Utc>> {
        let logs = self.types.iter().filter_map(|(_, log)| log.as_ref());
        logs.filter_map(|log| log.signal_at).max()
    }

    /// Returns the time from which all records of every granted data type are stored; `None` if one
    /// of the data types was never read.
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

/// Reports the state of single members and of the whole service to the operator.
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
    /// Returns those of the given members who never connected.
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

    /// Returns the connection and the reads of a member.
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

/// Time after connecting within which an unfinished first sync is reported as running.
const FIRST_SYNC_WINDOW: TimeDelta = TimeDelta::hours(2);

fn is_first_sync_running(member: &UserRow, now: DateTime<Utc>) -> bool {
    member.first_sync_pending
        && member.connection() == ConnectionStatus::Connected
        && now - member.connected_at < FIRST_SYNC_WINDOW
}
