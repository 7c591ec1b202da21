//! Requests one record from WHOOP by its id, and stores it. If WHOOP answers 404, stores that WHOOP
//! denies the record.

use whoop_client::{ListedRecord, RecordLookup};
use whoop_core::{
    CycleId, DataType, SleepId, UserId, WorkoutId,
    record::{Cycle, Recovery, RejectedRecord, Sleep, Workout},
};
use whoop_storage::{
    page::StoreCounts,
    remove,
    table::{RecordTable, record_denial, sync_log, users},
};

use crate::{
    RecordReader, SyncContext, SyncError,
    window::{ReadProgress, is_within_retention},
};

/// The first of the two pieces of evidence (denials) that WHOOP no longer has a record. The second
/// denial is the 404 for the record's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstDenial {
    /// WHOOP's list shows the record's neighbours on both sides, but not the record.
    List,
    /// A `*.deleted` webhook announced that the record was deleted.
    Webhook,
    /// An earlier request for the record's id, at least an hour ago, returned 404.
    NotFound,
}

/// A request for a record by its id.
#[derive(Debug, Clone)]
pub(crate) struct RecordRequest {
    pub(crate) data_type: DataType,
    pub(crate) id: String,
    /// The evidence that has to come before a 404, so that the 404 deletes the stored record.
    pub(crate) first_denial: FirstDenial,
}

/// WHOOP's answer to a request for a record by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordAnswer {
    /// WHOOP has the record. The record was stored or set aside, or it is older than the retention
    /// period and was not stored.
    Found,
    /// WHOOP answered 404, but there is no earlier denial. The record is not deleted yet.
    DeniedOnce,
    /// WHOOP answered 404 after an earlier denial. The record was deleted.
    Gone,
}

impl RecordReader {
    /// Requests a record by its id, and makes the stored record equal to WHOOP's record.
    ///
    /// A 404 deletes the stored record only if it is the second of two independent denials.
    pub(crate) async fn fetch_by_id(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        request: RecordRequest,
        read: &mut ReadProgress,
    ) -> Result<RecordAnswer, SyncError> {
        let RecordRequest {
            data_type,
            id,
            first_denial,
        } = request;
        match data_type {
            DataType::Sleep => {
                let sleep = SleepId(id.clone());
                let found =
                    self.calls
                        .call_whoop(user_id, context, Sleep::SCOPE, |whoop, token| {
                            let sleep = sleep.clone();
                            async move { whoop.fetch_sleep(&token, &sleep).await }
                        });
                self.store_found(user_id, &id, found.await?, first_denial, read)
                    .await
            }
            DataType::Workout => {
                let workout = WorkoutId(id.clone());
                let found =
                    self.calls
                        .call_whoop(user_id, context, Workout::SCOPE, |whoop, token| {
                            let workout = workout.clone();
                            async move { whoop.fetch_workout(&token, &workout).await }
                        });
                self.store_found(user_id, &id, found.await?, first_denial, read)
                    .await
            }
            DataType::Cycle | DataType::Recovery => {
                // Cycles and recoveries are both stored under the id of their cycle, which is a
                // number.
                let Ok(cycle) = id.parse().map(CycleId) else {
                    return Ok(RecordAnswer::Found);
                };
                if data_type == DataType::Cycle {
                    let found = self.calls.call_whoop(
                        user_id,
                        context,
                        Cycle::SCOPE,
                        |whoop, token| async move { whoop.fetch_cycle(&token, cycle).await },
                    );
                    self.store_found(user_id, &id, found.await?, first_denial, read)
                        .await
                } else {
                    let found = self.calls.call_whoop(
                        user_id,
                        context,
                        Recovery::SCOPE,
                        |whoop, token| async move { whoop.fetch_recovery(&token, cycle).await },
                    );
                    self.store_found(user_id, &id, found.await?, first_denial, read)
                        .await
                }
            }
        }
    }

    async fn store_found<R: RecordTable>(
        &self,
        user_id: &UserId,
        id: &str,
        found: RecordLookup<R>,
        first_denial: FirstDenial,
        read: &mut ReadProgress,
    ) -> Result<RecordAnswer, SyncError> {
        let kept_from = self.retention.member_kept_from(user_id).await?;
        let (records, rejected): (Vec<R>, Vec<RejectedRecord>) = match found {
            RecordLookup::Record(record) if !is_within_retention(&*record, kept_from) => {
                return Ok(RecordAnswer::Found);
            }
            RecordLookup::Record(record) => (vec![*record], Vec::new()),
            RecordLookup::Rejected(rejected) => (Vec::new(), vec![rejected]),
            RecordLookup::NotFound => {
                return self
                    .note_denial(user_id, R::DATA_TYPE, id, first_denial, read)
                    .await;
            }
        };
        let mut transaction = self.database.begin().await?;
        let now = self.clock.now();
        let stored = read
            .store_records(&mut transaction, user_id, &records, &rejected, now)
            .await?;
        if read.is_dry_run() {
            transaction.rollback().await?;
        } else {
            sync_log::add_written(&mut transaction, user_id, R::DATA_TYPE, stored.written())
                .await?;
            transaction.commit().await?;
            self.record_counters.add(R::DATA_TYPE, &stored);
        }
        Ok(RecordAnswer::Found)
    }

    /// Stores that WHOOP answered 404 for a record, and deletes the record if there was an
    /// independent denial before.
    async fn note_denial(
        &self,
        user_id: &UserId,
        data_type: DataType,
        id: &str,
        first_denial: FirstDenial,
        read: &mut ReadProgress,
    ) -> Result<RecordAnswer, SyncError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        users::lock_member(&mut transaction, user_id).await?;
        let was_denied_before =
            record_denial::note(&mut transaction, user_id, data_type, id, now).await?;
        if first_denial == FirstDenial::NotFound && !was_denied_before {
            match read.is_dry_run() {
                true => transaction.rollback().await?,
                false => transaction.commit().await?,
            }
            tracing::info!(
                member = %user_id, %data_type, id,
                "WHOOP returned 404 for a record; it is kept until a second 404 confirms the \
                 deletion"
            );
            return Ok(RecordAnswer::DeniedOnce);
        }
        let removed = remove::remove_record(&mut transaction, user_id, data_type, id, now).await?;
        if let Some(comparison) = &mut read.comparison {
            comparison.add_removed(&removed);
        }
        if read.is_dry_run() {
            transaction.rollback().await?;
            return Ok(RecordAnswer::Gone);
        }
        transaction.commit().await?;
        let deleted = removed.len() as u64;
        read.stored.deleted += deleted;
        let counts = StoreCounts {
            deleted,
            ..StoreCounts::default()
        };
        self.record_counters.add(data_type, &counts);
        if !removed.is_empty() {
            tracing::info!(
                member = %user_id, %data_type, id,
                "record deleted because WHOOP no longer has it"
            );
        }
        Ok(RecordAnswer::Gone)
    }
}
