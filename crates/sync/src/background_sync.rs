//! Background syncs: syncs for which no caller waits.
//!
//! An app request of the same member interrupts such a sync. A sync that reaches far back reads one
//! page at a time, and releases the member lease after each page.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{
    DataType, UserId,
    plan::{LOOK_BACK, ReadWindow},
    quota::PriorityClass,
};

use crate::{
    Backfill, DataTypeSync, MemberLeases, MemberOutcome, MemberReport, MemberSync, SyncContext,
    SyncError, member_sync::SyncRequest, window::ReadProgress,
};

impl SyncRequest {
    /// Whether the sync has to read farther back than any normal window, that is, more than three
    /// weeks ([`LOOK_BACK`]). Such a sync must not delay other members.
    pub fn exceeds_look_back(&self, now: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| since < now - LOOK_BACK)
    }
}

/// Syncs a member for an app request that does not wait for the result of the sync.
#[derive(Debug, Clone)]
pub struct BackgroundSync {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) types: Arc<DataTypeSync>,
    pub(crate) backfill: Arc<Backfill>,
    pub(crate) members: Arc<MemberSync>,
}

impl BackgroundSync {
    /// Syncs one member in the background.
    ///
    /// If the request reaches back more than three weeks (see [`SyncRequest::exceeds_look_back`]),
    /// the sync first reads the newest records and then the older history page by page. It runs in
    /// the priority class backfill, and releases the member lease after each page.
    ///
    /// # Errors
    ///
    /// Only errors that concern the member as a whole, for example if PostgreSQL is unavailable. An
    /// error of a single data type is in the report.
    pub async fn sync_in_background(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
    ) -> Result<MemberReport, SyncError> {
        match request.since {
            Some(since) if request.exceeds_look_back(self.clock.now()) => {
                let context = context.with_class(PriorityClass::Backfill);
                let newest = SyncRequest {
                    since: None,
                    ..request.clone()
                };
                let mut report = self.sync_until_complete(user_id, &context, &newest).await?;
                if matches!(report.outcome, MemberOutcome::Done | MemberOutcome::Shared) {
                    self.backfill_since(user_id, &context, &request.data_types, since, &mut report)
                        .await?;
                }
                Ok(report)
            }
            _ => self.sync_until_complete(user_id, context, request).await,
        }
    }

    /// Syncs a member. If an app request of the same member interrupts the sync, the sync is
    /// repeated after the app request.
    async fn sync_until_complete(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
    ) -> Result<MemberReport, SyncError> {
        let mut context = context.clone();
        loop {
            match self
                .members
                .sync_on_request(user_id, &context, request)
                .await
            {
                Err(SyncError::Yielded) => context = context.with_lease_wait(),
                ended => return ended,
            }
        }
    }

    /// Reads these data types back to `since`, even if the span was already read completely. Adds
    /// the results to `report`.
    ///
    /// `report` is the result of the sync that read the newest records. Each data type is continued
    /// at the start of the span that this sync read completely.
    async fn backfill_since(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_types: &[DataType],
        since: DateTime<Utc>,
        report: &mut MemberReport,
    ) -> Result<(), SyncError> {
        let context = context.with_lease_wait();
        let since = self
            .backfill
            .limit_to_retention(user_id, Some(since))
            .await?
            .unwrap_or(since);
        let coverage = self.types.load_coverage(user_id).await?;
        let granted = coverage.iter().map(|one| one.data_type);
        for data_type in granted.filter(|one| data_types.contains(one)) {
            let mut types = report.types.iter();
            let newest = types.find(|one| one.data_type == data_type);
            let end = newest
                .and_then(|one| one.complete_span)
                .map_or_else(|| self.clock.now(), |(from, _)| from);
            let mut read = ReadProgress::default();
            let ended = self
                .read_pages_backwards(user_id, &context, data_type, since..end, &mut read)
                .await;
            let more = self
                .types
                .build_type_report(user_id, data_type, read, ended)
                .await;
            report.merge(MemberReport::from_types(user_id, vec![more]));
            if report.outcome != MemberOutcome::Done {
                break;
            }
        }
        Ok(())
    }

    /// Reads pages from the newest to the oldest record: from the end of `span` back to its start or
    /// to the member's first record. The member lease is taken for each page.
    async fn read_pages_backwards(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_type: DataType,
        span: Range<DateTime<Utc>>,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let mut oldest = span.end;
        while oldest > span.start {
            // The first page contains the record at `oldest`, which is older than this `end`.
            // Therefore the window is complete after one page.
            let end = oldest + TimeDelta::milliseconds(1);
            let window = ReadWindow {
                must_reach: end,
                end,
            };
            let leased = self.leases.lease_member(user_id, context).await?;
            let ended = self
                .types
                .read_data_type(user_id, &leased.context, data_type, window, read)
                .await;
            self.leases.release_member(leased).await?;
            match ended {
                // An app request interrupted the read. The page is read again after the app
                // request.
                Err(SyncError::Yielded) => continue,
                ended => ended?,
            }
            let from = read.complete_span.map_or(oldest, |(from, _)| from);
            if read.list_ended || from >= oldest {
                break;
            }
            oldest = from;
        }
        Ok(())
    }
}
