//! Detects stored records that WHOOP no longer shows, and deletes them.
//!
//! WHOOP sometimes answers 404 for records that exist, and a list can omit a record. Therefore a
//! record is deleted only after two independent pieces of evidence (denials):
//!
//! - a list shows an older and a newer record but not this one, and a request for its id returns
//!   404; or
//! - a `*.deleted` webhook arrived for the record, and a request for its id returns 404; or
//! - two requests for the record's id return 404, at least an hour apart.
//!
//! If a list is empty, the stored records are requested by id only after reads of the list have
//! failed for 20 hours ([`CONFIRM_AFTER`]). Each sync requests a limited number of records by id,
//! so that a fault at WHOOP costs few calls and deletes few records.

use chrono::{DateTime, Datelike, Utc};
use whoop_client::{ListedRecord, PageWalker, WhoopError};
use whoop_core::{
    DataType, UserId,
    coverage::CONFIRM_AFTER,
    plan::{MAX_READS_BY_ID, ReadWindow},
};
use whoop_storage::{
    PgConnection, StorageError,
    remove::{self, MissingRecord},
    table::{RecordTable, sync_log},
};

use crate::{
    RecordReader, SyncContext, SyncError,
    pending_scores::daily_share,
    record_by_id::{FirstDenial, RecordRequest},
    window::ReadProgress,
};

/// Maximum number of missing records at the ends of a list that one sync requests by id. For these
/// records, the list shows no older record, or no newer one.
const MAX_WITHOUT_NEIGHBOUR: usize = 2;

/// Stored records of a completely read window that WHOOP's pages should contain but do not.
#[derive(Debug, Default)]
pub(crate) struct UnlistedRecords {
    /// Ids of missing records for which the list shows both an older and a newer record.
    between_listed: Vec<String>,
    /// Ids of missing records for which the list shows no older record, or no newer record.
    without_neighbour: Vec<String>,
    /// Whether WHOOP's list ended although older records are stored. Such an end of the list is not
    /// trusted.
    pub(crate) ended_early: bool,
    /// Whether WHOOP's list was empty. WHOOP may temporarily show no records of the account at all.
    list_is_empty: bool,
}

impl UnlistedRecords {
    /// Compares the pages of a completely read window with the stored records. Returns the stored
    /// records that are missing from the pages.
    pub(crate) async fn find<R: RecordTable + ListedRecord>(
        conn: &mut PgConnection,
        user_id: &UserId,
        window: ReadWindow,
        walker: &PageWalker,
        began_at: DateTime<Utc>,
    ) -> Result<Self, StorageError> {
        let oldest_listed = walker.oldest().unwrap_or(window.end);
        let listed = remove::ListedWindow {
            data_type: R::DATA_TYPE,
            from: match walker.list_ended() {
                true => DateTime::UNIX_EPOCH,
                false => oldest_listed,
            },
            until: window.end,
            began_at,
            ids: walker.ids(),
        };
        let missing = remove::find_missing(conn, user_id, listed).await?;
        let is_between = |one: &MissingRecord| {
            one.happened_at > oldest_listed
                && walker
                    .newest()
                    .is_some_and(|newest| one.happened_at < newest)
        };
        let ended_early = walker.list_ended()
            && remove::has_older_record(conn, user_id, R::DATA_TYPE, oldest_listed).await?;
        let (between, at_the_ends): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_between);
        let ids = |missing: Vec<MissingRecord>| missing.into_iter().map(|one| one.id).collect();
        Ok(Self {
            between_listed: ids(between),
            without_neighbour: ids(at_the_ends),
            ended_early,
            list_is_empty: walker.ids().is_empty(),
        })
    }
}

impl RecordReader {
    /// Requests by id the stored records that a list did not show. Stores WHOOP's version of a
    /// record, or deletes the record after its second denial.
    pub(crate) async fn fetch_unlisted<R: RecordTable + ListedRecord>(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        unlisted: UnlistedRecords,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let UnlistedRecords {
            between_listed: mut between,
            without_neighbour: mut at_the_ends,
            ended_early,
            list_is_empty: is_empty,
        } = unlisted;
        let today = self.clock.now().num_days_from_ce();
        if is_empty && !self.has_failed_for_a_day(user_id, R::DATA_TYPE).await? {
            at_the_ends.clear();
        }
        if ended_early || read.comparison.is_none() {
            at_the_ends = daily_share(at_the_ends, MAX_WITHOUT_NEIGHBOUR, today);
        }
        // A reconciliation requests all missing records at once; a sync requests only a share of
        // them.
        if read.comparison.is_none() {
            if between.len() > MAX_READS_BY_ID {
                tracing::warn!(
                    member = %user_id,
                    data_type = %R::DATA_TYPE,
                    missing = between.len(),
                    asked = MAX_READS_BY_ID,
                    "WHOOP's list lacks many stored records; later syncs request the rest by id"
                );
            }
            between = daily_share(between, MAX_READS_BY_ID, today);
        }
        for id in between {
            let request = RecordRequest {
                data_type: R::DATA_TYPE,
                id,
                first_denial: FirstDenial::List,
            };
            self.fetch_by_id_or_warn(user_id, context, request, read)
                .await?;
        }
        for id in at_the_ends {
            let request = RecordRequest {
                data_type: R::DATA_TYPE,
                id,
                first_denial: FirstDenial::NotFound,
            };
            self.fetch_by_id_or_warn(user_id, context, request, read)
                .await?;
        }
        Ok(())
    }

    /// Whether the reads of the data type have been failing for at least 20 hours
    /// ([`CONFIRM_AFTER`]).
    async fn has_failed_for_a_day(
        &self,
        user_id: &UserId,
        data_type: DataType,
    ) -> Result<bool, SyncError> {
        let mut conn = self.database.get().await?;
        let since = sync_log::failing_since(&mut conn, user_id, data_type).await?;
        Ok(since.is_some_and(|since| self.clock.now() - since >= CONFIRM_AFTER))
    }

    /// Requests one record by its id.
    ///
    /// If WHOOP rejects the format of the id, another program must have written the row. This is
    /// logged, and the caller continues with the other records.
    async fn fetch_by_id_or_warn(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: RecordRequest,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let (data_type, id) = (request.data_type, request.id.clone());
        let fetched = self.fetch_by_id(user_id, context, request, read).await;
        match fetched {
            Err(SyncError::Whoop(WhoopError::Unexpected { status })) => {
                tracing::warn!(
                    member = %user_id, %data_type, id, status,
                    "WHOOP rejects the id of a stored record; delete the row if another program \
                     wrote it"
                );
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }
}
