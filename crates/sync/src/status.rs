//! How a member stands: the connection, and what has been read of each type.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{DataType, UserId, day::ConnectionStatus};
use whoop_storage::{
    StorageError,
    table::{
        change::{self, DelayPercentiles},
        rejected_record,
        sync_log::{self, SyncLogRow},
        users::{self, UserRow},
    },
};

use crate::{Engine, SyncError};

/// Since when delays are looked at.
const DELAY_WINDOW: TimeDelta = TimeDelta::days(7);

/// A member's connection and logs.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    pub connection: ConnectionStatus,
    /// `None` for a member who never connected.
    pub member: Option<UserRow>,
    /// One entry a type, those never read included.
    pub types: Vec<(DataType, Option<SyncLogRow>)>,
    /// Records of WHOOP that could not be read.
    pub rejected_records: i64,
    /// Whether a process is syncing this member now, or the first sync waits for the quota.
    pub syncing: bool,
    /// Since when records are kept; `None` for ever.
    pub kept_from: Option<DateTime<Utc>>,
    /// How long changes of the last week took from WHOOP until they could be read.
    pub delays: DelayPercentiles,
}

fn is_granted((_, log): &&(DataType, Option<SyncLogRow>)) -> bool {
    log.as_ref().is_none_or(SyncLogRow::is_granted)
}

impl MemberStatus {
    /// Whether nothing older is left to read of any type, or is kept.
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

    /// Since when everything of every type is stored.
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

impl Engine {
    /// Those of these members who never connected.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn find_unknown_members(
        &self,
        user_ids: &[UserId],
    ) -> Result<Vec<UserId>, StorageError> {
        let mut conn = self.database.get().await?;
        users::list_unknown(&mut conn, user_ids).await
    }

    /// How a member stands.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
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
            kept_from: self.kept_from(
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
