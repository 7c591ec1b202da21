//! Backfill: reads a member's older history from WHOOP, from the newest to the oldest record.
//!
//! Each page is read on its own and stored in one transaction with the sync log (`whoop_sync_log`).
//! Therefore any process can continue an interrupted backfill.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{
    DataType, UserId,
    coverage::Coverage,
    plan::{self, ReadReason, ReadWindow},
    quota::PriorityClass,
};
use whoop_storage::Database;
use whoop_storage::table::users;

use crate::{
    DataTypeSync, MemberLeases, MemberReport, MemberSync, RecordRetention, SyncContext, SyncError,
    member_sync::SyncRequest, window::ReadProgress,
};

/// Reads history of members that is older than the time span that was already read completely
/// (coverage).
#[derive(Debug, Clone)]
pub struct Backfill {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) retention: Arc<RecordRetention>,
    pub(crate) types: Arc<DataTypeSync>,
}

impl Backfill {
    /// Continues the backfill of these data types, back to `from`, or to the member's first record
    /// if `from` is `None`. History older than the retention period is not read.
    ///
    /// Each round reads one page of each data type. The member lease is free between two rounds, so
    /// that other callers can sync the member.
    pub(crate) async fn backfill_types(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_types: &[DataType],
        from: Option<DateTime<Utc>>,
    ) -> MemberReport {
        let context = context
            .with_class(PriorityClass::Backfill)
            .with_lease_wait();
        let mut rounds = BackfillRounds::new(data_types);
        let ended = async {
            let back_to = self.limit_to_retention(user_id, from).await?;
            // If the history is already complete, neither the member lease nor quota permits are
            // taken.
            let coverage = self.types.load_coverage(user_id).await?;
            let now = self.clock.now();
            let is_unfinished = |one: &Coverage| plan::backfill_window(one, back_to, now).is_some();
            let is_granted = |data_type| coverage.iter().any(|known| known.data_type == data_type);
            rounds.unfinished.retain(|one| is_granted(one.data_type));
            for known in coverage.iter().filter(|one| !is_unfinished(one)) {
                rounds
                    .unfinished
                    .retain(|one| one.data_type != known.data_type);
                if data_types.contains(&known.data_type) {
                    rounds
                        .finished
                        .push((known.data_type, ReadProgress::default(), Ok(())));
                }
            }
            while !rounds.unfinished.is_empty() {
                let leased = self.leases.lease_member(user_id, &context).await?;
                let round = self
                    .backfill_round(user_id, &leased.context, back_to, &mut rounds)
                    .await;
                self.leases.release_member(leased).await?;
                round?;
            }
            Ok(())
        };
        let ended: Result<(), SyncError> = ended.await;
        let mut types = Vec::new();
        for (data_type, read, ended) in rounds.into_results() {
            types.push(
                self.types
                    .build_type_report(user_id, data_type, read, ended)
                    .await,
            );
        }
        let mut report = MemberReport::from_types(user_id, types);
        // An error between two rounds concerns the member as a whole. The data types that were read
        // before the error have not failed.
        if let Err(error) = ended {
            report.merge(MemberReport::from_error(user_id, &error));
        }
        report
    }

    /// Returns the earliest time to read back to: `from`, or the start of the retention period if
    /// that is later.
    ///
    /// `None` means that the history is read back to the member's first record.
    pub(crate) async fn limit_to_retention(
        &self,
        user_id: &UserId,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<DateTime<Utc>>, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let timezone_offset = member.and_then(|member| member.timezone_offset);
        Ok(self
            .retention
            .kept_from(timezone_offset.as_deref())
            .max(from))
    }

    /// Reads one page of each data type whose history is incomplete. The caller holds the member
    /// lease.
    async fn backfill_round(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        back_to: Option<DateTime<Utc>>,
        rounds: &mut BackfillRounds,
    ) -> Result<(), SyncError> {
        let coverage = self.types.load_coverage(user_id).await?;
        let now = self.clock.now();
        rounds.unfinished.retain_mut(|one| {
            let known = coverage
                .iter()
                .find(|known| known.data_type == one.data_type);
            // If the last page did not extend the coverage, the same page would be requested in
            // every round. The backfill of the data type ends instead.
            let known = known.filter(|known| one.previous_coverage.as_ref() != Some(*known));
            one.window = known.and_then(|known| plan::backfill_window(known, back_to, now));
            one.previous_coverage = known.cloned();
            let is_unfinished = one.window.is_some();
            if !is_unfinished {
                let read = std::mem::take(&mut one.read);
                rounds.finished.push((one.data_type, read, Ok(())));
            }
            is_unfinished
        });
        let ended = join_all(rounds.unfinished.iter_mut().map(async |one| {
            match one.window {
                Some(window) => {
                    self.types
                        .read_data_type(user_id, context, one.data_type, window, &mut one.read)
                        .await
                }
                None => Ok(()),
            }
        }))
        .await;
        for (one, ended) in std::mem::take(&mut rounds.unfinished)
            .into_iter()
            .zip(ended)
        {
            match ended {
                Ok(()) => rounds.unfinished.push(one),
                // An app request interrupted the read of this page. The next round reads it again.
                Err(SyncError::Yielded) => rounds.unfinished.push(TypeBackfill {
                    previous_coverage: None,
                    ..one
                }),
                Err(error) => rounds.finished.push((one.data_type, one.read, Err(error))),
            }
        }
        Ok(())
    }
}

impl MemberSync {
    /// Reads a member's history back to `from`, or to the member's first record if `from` is
    /// `None`. Data types that were never read are first read up to the present.
    ///
    /// # Errors
    ///
    /// Only errors that concern the member as a whole, for example if PostgreSQL is unavailable. An
    /// error of a single data type is in the report.
    pub async fn backfill_member(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        from: Option<DateTime<Utc>>,
    ) -> Result<MemberReport, SyncError> {
        let coverage = self.types.load_coverage(user_id).await?;
        let never_read: Vec<DataType> = coverage
            .iter()
            .filter(|one| one.covered_from.is_none())
            .map(|one| one.data_type)
            .collect();
        let mut report = if never_read.is_empty() {
            MemberReport::from_types(user_id, Vec::new())
        } else {
            let request = SyncRequest {
                reason: ReadReason::NeverRead,
                data_types: never_read,
                ..SyncRequest::of_all_types()
            };
            self.sync_member(user_id, context, &request).await?
        };
        report.merge(
            self.backfill
                .backfill_types(user_id, context, &DataType::ALL, from)
                .await,
        );
        Ok(report)
    }
}

/// State of the backfill of several data types, which are read concurrently.
struct BackfillRounds {
    unfinished: Vec<TypeBackfill>,
    finished: Vec<(DataType, ReadProgress, Result<(), SyncError>)>,
}

/// Progress of the backfill of one data type.
struct TypeBackfill {
    data_type: DataType,
    read: ReadProgress,
    /// Coverage (completely read time span) of the data type before the last page was read; `None`
    /// before the first page and after an interruption.
    previous_coverage: Option<Coverage>,
    window: Option<ReadWindow>,
}

impl BackfillRounds {
    fn new(data_types: &[DataType]) -> Self {
        let unfinished = data_types.iter().map(|data_type| TypeBackfill {
            data_type: *data_type,
            read: ReadProgress::default(),
            previous_coverage: None,
            window: None,
        });
        Self {
            unfinished: unfinished.collect(),
            finished: Vec::new(),
        }
    }

    /// Returns each data type with its progress and its result. A data type with unfinished history
    /// has no error, because a later backfill continues it.
    fn into_results(self) -> impl Iterator<Item = (DataType, ReadProgress, Result<(), SyncError>)> {
        let unfinished = self.unfinished.into_iter();
        self.finished
            .into_iter()
            .chain(unfinished.map(|one| (one.data_type, one.read, Ok(()))))
    }
}
