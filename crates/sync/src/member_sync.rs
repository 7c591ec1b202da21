//! Syncs one member: reads the member's data types concurrently. Each data type has its own result.

use std::sync::Arc;
use whoop_core::Clock;
use whoop_storage::Database;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, LastReads, last_reads},
    plan::{self, LOOK_BACK, MAX_READS_BY_ID, ReadReason, ReadRequest, ReadWindow, Slot},
    quota::is_known_to_fail,
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::{
    member_snapshot::{self, MemberSnapshot},
    table::sync_log::{self, SyncLogRow},
};

use crate::{
    Backfill, EngineSettings, MemberLeases, MemberOutcome, MemberReport, RecordReader,
    RecordRetention, SyncContext, SyncError, TypeReport, pending_scores, window::ReadProgress,
};

/// Request to sync one member: the data types to read, the reason, and how far back to read.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    pub slot: Option<Slot>,
    /// Reason for reading data types that were read before. The reason for the other data types is
    /// [`ReadReason::NeverRead`].
    pub reason: ReadReason,
    pub data_types: Vec<DataType>,
    /// Earliest time to read back to, even if the span after it was already read completely. It
    /// only makes a window longer, never shorter.
    pub since: Option<DateTime<Utc>>,
    /// Whether the sync continues with older history, page by page, until the member's first record
    /// (backfill).
    pub backfill: bool,
}

impl SyncRequest {
    /// Creates a caller's request to read all four data types, without older history.
    pub fn of_all_types() -> Self {
        Self {
            slot: None,
            reason: ReadReason::Asked,
            data_types: DataType::ALL.to_vec(),
            since: None,
            backfill: false,
        }
    }
}

/// Planned read of a sync request: a window of one data type.
pub(crate) struct PlannedRead {
    pub(crate) read: ReadRequest,
    /// Number of pending records (without a score) that are older than any window and are requested
    /// by their ids.
    pub(crate) by_id: usize,
    pub(crate) coverage: Coverage,
}

/// Plans the reads of a sync request from the stored state of the member. `kept_from` is the start
/// of the retention period; `None` if all records are kept.
pub(crate) fn plan_reads(
    known: &MemberSnapshot,
    request: &SyncRequest,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<PlannedRead> {
    let reach = now - LOOK_BACK;
    let selected = known
        .coverage
        .iter()
        .filter(|one| request.data_types.contains(&one.data_type));
    selected
        .map(|coverage| {
            let data_type = coverage.data_type;
            let oldest_pending =
                pending_scores::oldest_pending_within(&known.pending_records, data_type, reach);
            let mut window = plan::sync_window(request.slot, coverage, oldest_pending, now);
            // Records that are older than the retention period are not read.
            if let Some(since) = request
                .since
                .map(|since| Some(since).max(kept_from).unwrap_or(since))
            {
                window.must_reach = window.must_reach.min(since);
            }
            let by_id =
                pending_scores::pending_beyond(&known.pending_records, data_type, reach).count();
            PlannedRead {
                read: ReadRequest {
                    data_type,
                    window,
                    reason: if coverage.last_sync_at.is_none() {
                        ReadReason::NeverRead
                    } else {
                        request.reason
                    },
                },
                by_id: by_id.min(MAX_READS_BY_ID),
                coverage: coverage.clone(),
            }
        })
        .collect()
}

/// Syncs one member: takes the member lease, plans the reads, and reads the data types
/// concurrently.
#[derive(Debug, Clone)]
pub struct MemberSync {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: EngineSettings,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) retention: Arc<RecordRetention>,
    pub(crate) types: Arc<DataTypeSync>,
    pub(crate) backfill: Arc<Backfill>,
}

impl MemberSync {
    /// Syncs one member while holding the member lease.
    ///
    /// If another process is syncing the member, waits for that process, and then reads only the
    /// data types that it has not read.
    ///
    /// # Errors
    ///
    /// Only errors that concern the member as a whole, for example if PostgreSQL is unavailable. An
    /// error of a single data type is in the report.
    pub async fn sync_member(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
    ) -> Result<MemberReport, SyncError> {
        let decided_on = last_reads(&self.types.load_coverage(user_id).await?);
        self.lease_and_sync(user_id, context, request, &decided_on)
            .await
    }

    /// Syncs one member because a caller requests it.
    ///
    /// A data type is not read again if it was read up to the present within
    /// [`crate::EngineSettings::forced_read_interval`], as far back as the caller asks, and WHOOP
    /// has announced no change since.
    ///
    /// # Errors
    ///
    /// The same as for [`MemberSync::sync_member`].
    pub async fn sync_on_request(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
    ) -> Result<MemberReport, SyncError> {
        let log = {
            let mut conn = self.database.get().await?;
            sync_log::list(&mut conn, user_id).await?
        };
        let now = self.clock.now();
        let is_shared = |row: &SyncLogRow| {
            let coverage = row.coverage();
            let is_recent = coverage.is_some_and(|known| {
                known.was_read_within(self.settings.forced_read_interval, now)
            });
            let reaches_back = |since| row.last_sync_from.is_some_and(|from| from <= since);
            is_recent && !row.signal_open && request.since.is_none_or(reaches_back)
        };
        let is_unread = |data_type: &DataType| {
            let row = log.iter().find(|row| row.is_of(*data_type));
            row.is_none_or(|row| row.is_granted() && !is_shared(row))
        };
        let mut data_types = request.data_types.clone();
        data_types.retain(is_unread);
        if data_types.is_empty() {
            return Ok(MemberReport::without_types(
                user_id,
                MemberOutcome::Shared,
                None,
            ));
        }
        let remaining = SyncRequest {
            data_types,
            ..request.clone()
        };
        self.sync_member(user_id, context, &remaining).await
    }

    /// Does the same as [`MemberSync::sync_member`], except for data types that another process has
    /// read since the sync was planned. These data types are not read again.
    ///
    /// `decided_on` contains the last read of each data type at the time of planning. If two runs
    /// overlap, or a run and an app request, only one of them calls WHOOP.
    pub(crate) async fn sync_unless_read(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        if !request.backfill && self.is_already_read(user_id, request, decided_on).await? {
            return Ok(MemberReport::without_types(
                user_id,
                MemberOutcome::Shared,
                None,
            ));
        }
        self.lease_and_sync(user_id, context, request, decided_on)
            .await
    }

    async fn lease_and_sync(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        let leased = match self.leases.lease_member(user_id, context).await {
            Err(error) if error.is_refresh_failure() => {
                return self
                    .types
                    .report_token_failure(user_id, &request.data_types, error)
                    .await;
            }
            leased => leased?,
        };
        let report = self
            .sync_leased(user_id, &leased.context, request, decided_on)
            .await;
        self.leases.release_member(leased).await?;
        let mut report = report?;
        if report.has_yielded() {
            return Err(SyncError::Yielded);
        }
        if request.backfill && report.can_continue() {
            report.merge(
                self.backfill
                    .backfill_types(user_id, context, &request.data_types, None)
                    .await,
            );
        }
        Ok(report)
    }

    /// Whether other processes have read all requested data types since `decided_on`.
    async fn is_already_read(
        &self,
        user_id: &UserId,
        request: &SyncRequest,
        decided_on: &LastReads,
    ) -> Result<bool, SyncError> {
        // If the request names a time to read back to, another sync may not have read that far
        // back.
        if request.since.is_some() {
            return Ok(false);
        }
        let coverage = self.types.load_coverage(user_id).await?;
        let mut selected = coverage
            .iter()
            .filter(|one| request.data_types.contains(&one.data_type));
        Ok(selected.all(|one| one.was_read_since(decided_on)))
    }

    /// Reads the requested data types, except those that another process has read since
    /// `decided_on`. The caller holds the member lease.
    async fn sync_leased(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: &SyncRequest,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        let known = self
            .types
            .load_snapshot(user_id)
            .await?
            .ok_or(SyncError::NotConnected)?;
        let now = self.clock.now();
        let kept_from = self
            .retention
            .kept_from(known.member.timezone_offset.as_deref());
        let mut planned = plan_reads(&known, request, kept_from, now);
        // If the request names a time to read back to, another sync may not have read that far
        // back.
        if request.since.is_none() {
            planned.retain(|one| !one.coverage.was_read_since(decided_on));
        }
        if planned.is_empty() {
            return Ok(MemberReport::without_types(
                user_id,
                MemberOutcome::Shared,
                None,
            ));
        }
        let reads = planned.into_iter().map(|one| one.read).collect();
        let mut report = self.types.read_windows(user_id, context, now, reads).await;
        // A sync that a webhook caused does not request old records that still wait for their
        // score; other syncs do.
        if report.outcome == MemberOutcome::Done && request.reason != ReadReason::Webhook {
            self.types
                .fetch_all_pending(user_id, context, &mut report)
                .await;
        }
        Ok(report)
    }
}

/// Reads single data types of a member whose lease the caller holds, and logs the result of each
/// data type.
#[derive(Debug, Clone)]
pub struct DataTypeSync {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reader: Arc<RecordReader>,
}

impl DataTypeSync {
    /// Returns a report in which every data type has failed, because the member's tokens could not
    /// be refreshed. Stores the failures in the sync log.
    pub(crate) async fn report_token_failure(
        &self,
        user_id: &UserId,
        data_types: &[DataType],
        error: SyncError,
    ) -> Result<MemberReport, SyncError> {
        let error = Arc::new(error);
        let mut types = Vec::with_capacity(data_types.len());
        for data_type in data_types {
            self.begin_attempt(user_id, *data_type).await?;
            let ended = Err(SyncError::from_shared_refresh(&error));
            types.push(
                self.build_type_report(user_id, *data_type, ReadProgress::default(), ended)
                    .await,
            );
        }
        Ok(MemberReport::from_types(user_id, types))
    }

    /// Loads the stored state of a member from which reads are planned; `None` if the member never
    /// connected.
    async fn load_snapshot(&self, user_id: &UserId) -> Result<Option<MemberSnapshot>, SyncError> {
        let conn = self.database.get().await?;
        let mut known = member_snapshot::load(&conn, &[user_id.as_str()]).await?;
        Ok(known.remove(user_id.as_str()))
    }

    pub(crate) async fn load_coverage(&self, user_id: &UserId) -> Result<Vec<Coverage>, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(sync_log::coverage_of(
            &sync_log::list(&mut conn, user_id).await?,
        ))
    }

    /// Reads windows of several data types concurrently. The caller holds the member lease.
    ///
    /// `planned_at` is the time at which the windows were planned. A window that ends before this
    /// time, such as the window of an old day that an app requests, does not make its data type
    /// fresh.
    pub(crate) async fn read_windows(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        planned_at: DateTime<Utc>,
        reads: Vec<ReadRequest>,
    ) -> MemberReport {
        let types = join_all(reads.into_iter().map(|request| async move {
            let ReadRequest {
                data_type, window, ..
            } = request;
            let mut read = ReadProgress {
                up_to_now: window.end >= planned_at,
                ..ReadProgress::default()
            };
            let ended = async {
                let start = self.begin_attempt(user_id, data_type).await?;
                read.signal_at = start.signal_at;
                let is_known_to_fail = is_known_to_fail(start.failing_since, self.clock.now());
                let context = &context.for_known_failure(is_known_to_fail);
                self.read_data_type(user_id, context, data_type, window, &mut read)
                    .await
            };
            let ended = ended.await;
            self.build_type_report(user_id, data_type, read, ended)
                .await
        }))
        .await;
        MemberReport::from_types(user_id, types)
    }

    /// Requests by id the pending records (without a score) that are older than any window, and
    /// adds the results to `report`.
    async fn fetch_all_pending(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        report: &mut MemberReport,
    ) {
        let oldest = self.clock.now() - LOOK_BACK;
        // If WHOOP answered 404 for the list of a data type, it would also answer 404 for each id,
        // so the data type is skipped.
        let listed = report.types.iter().filter(|one| !one.not_found);
        let mut types: Vec<DataType> = listed.map(|one| one.data_type).collect();
        // Sleeps come first, because a recovery takes its local date from its sleep.
        types.sort_by_key(|data_type| *data_type != DataType::Sleep);
        for data_type in types {
            let mut read = ReadProgress::default();
            let ended = self
                .reader
                .fetch_pending(user_id, context, data_type, oldest, &mut read)
                .await;
            let more = self
                .build_type_report(user_id, data_type, read, ended)
                .await;
            report.merge(MemberReport::from_types(user_id, vec![more]));
        }
    }

    /// Records in the sync log that a read of a data type begins, and creates the row of the data
    /// type if there is none. Returns the state of the data type before the read.
    pub(crate) async fn begin_attempt(
        &self,
        user_id: &UserId,
        data_type: DataType,
    ) -> Result<sync_log::SyncStart, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(sync_log::begin(&mut conn, user_id, data_type, self.clock.now()).await?)
    }

    /// Reads one window of one data type, and adds the result to `read`.
    pub(crate) async fn read_data_type(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_type: DataType,
        window: ReadWindow,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        match data_type {
            DataType::Recovery => {
                self.reader
                    .read_window::<Recovery>(user_id, context, window, read)
                    .await
            }
            DataType::Sleep => {
                self.reader
                    .read_window::<Sleep>(user_id, context, window, read)
                    .await
            }
            DataType::Workout => {
                self.reader
                    .read_window::<Workout>(user_id, context, window, read)
                    .await
            }
            DataType::Cycle => {
                self.reader
                    .read_window::<Cycle>(user_id, context, window, read)
                    .await
            }
        }
    }

    pub(crate) async fn build_type_report(
        &self,
        user_id: &UserId,
        data_type: DataType,
        read: ReadProgress,
        ended: Result<(), SyncError>,
    ) -> TypeReport {
        let is_dry_run = read.is_dry_run();
        let ReadProgress {
            stored,
            pages,
            not_found,
            comparison,
            complete_span,
            signal_at: _,
            list_ended: _,
            up_to_now: _,
        } = read;
        let report = TypeReport {
            data_type,
            stored,
            error: None,
            comparison,
            cause: None,
            not_found,
            complete_span: complete_span.filter(|_| ended.is_ok()),
        };
        match ended {
            Ok(()) => {
                tracing::debug!(member = %user_id, %data_type, pages, ?stored, "data type read");
                report
            }
            Err(cause) => {
                let error = cause.error_chain();
                if cause.is_deferred() {
                    tracing::info!(member = %user_id, %data_type, reason = error, "sync deferred");
                } else {
                    tracing::warn!(member = %user_id, %data_type, error, "sync failed");
                }
                if !is_dry_run {
                    self.note_failure(user_id, data_type, &cause).await;
                }
                TypeReport {
                    error: Some(error),
                    cause: Some(cause),
                    ..report
                }
            }
        }
    }

    async fn note_failure(&self, user_id: &UserId, data_type: DataType, cause: &SyncError) {
        let noted = async {
            let mut conn = self.database.get().await?;
            let (message, now) = (cause.user_message(), self.clock.now());
            if cause.is_deferred() {
                sync_log::note_deferred(&mut conn, user_id, data_type, &message, now).await
            } else {
                sync_log::fail(&mut conn, user_id, data_type, &message, now).await
            }
        };
        if let Err(storage_error) = noted.await {
            tracing::error!(
                member = %user_id, %data_type, error = %storage_error,
                "could not store the failure in the sync log"
            );
        }
    }
}
