//! One record, asked for by its id: stored as it is, or denied.

use whoop_client::{Found, Listed};
use whoop_core::{
    CycleId, DataType, SleepId, UserId, WorkoutId,
    record::{Cycle, Recovery, Rejected, Sleep, Workout},
};
use whoop_storage::{
    page::Stored,
    remove,
    table::{RecordTable, record_denial, sync_log, users},
};

use crate::{
    Engine, Job, SyncError,
    window::{Read, is_kept},
};

/// The first of the two denials of a record; the second is the 404 for its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstDenial {
    /// A list shows its neighbours on both sides, and not the record.
    List,
    /// A `*.deleted` webhook.
    Webhook,
    /// Only another 404, at least an hour ago.
    NotFound,
}

/// WHOOP's answer for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was stored, or is too old to be kept.
    Found,
    /// 404, which deletes nothing yet.
    DeniedOnce,
    /// 404, and it was denied before: nothing of it is stored any more.
    Gone,
}

impl Engine {
    /// Makes the record that is stored under an id equal to WHOOP's. A 404 deletes it only if it
    /// is the second of two independent denials.
    pub(crate) async fn ask_by_id(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        id: String,
        first_denial: FirstDenial,
        read: &mut Read,
    ) -> Result<Answer, SyncError> {
        match data_type {
            DataType::Sleep => {
                let sleep = SleepId(id.clone());
                let found = self.call(user_id, job, Sleep::SCOPE, |whoop, token| {
                    let sleep = sleep.clone();
                    async move { whoop.sleep(&token, &sleep).await }
                });
                self.keep(user_id, &id, found.await?, first_denial, read)
                    .await
            }
            DataType::Workout => {
                let workout = WorkoutId(id.clone());
                let found = self.call(user_id, job, Workout::SCOPE, |whoop, token| {
                    let workout = workout.clone();
                    async move { whoop.workout(&token, &workout).await }
                });
                self.keep(user_id, &id, found.await?, first_denial, read)
                    .await
            }
            DataType::Cycle | DataType::Recovery => {
                // Both go by the cycle's number, which we wrote ourselves.
                let Ok(cycle) = id.parse().map(CycleId) else {
                    return Ok(Answer::Found);
                };
                if data_type == DataType::Cycle {
                    let found = self.call(user_id, job, Cycle::SCOPE, |whoop, token| async move {
                        whoop.cycle(&token, cycle).await
                    });
                    self.keep(user_id, &id, found.await?, first_denial, read)
                        .await
                } else {
                    let found =
                        self.call(user_id, job, Recovery::SCOPE, |whoop, token| async move {
                            whoop.recovery_of(&token, cycle).await
                        });
                    self.keep(user_id, &id, found.await?, first_denial, read)
                        .await
                }
            }
        }
    }

    async fn keep<R: RecordTable>(
        &self,
        user_id: &UserId,
        id: &str,
        found: Found<R>,
        first_denial: FirstDenial,
        read: &mut Read,
    ) -> Result<Answer, SyncError> {
        let kept_from = self.member_kept_from(user_id).await?;
        let (records, rejected): (Vec<R>, Vec<Rejected>) = match found {
            Found::Record(record) if !is_kept(&*record, kept_from) => return Ok(Answer::Found),
            Found::Record(record) => (vec![*record], Vec::new()),
            Found::Rejected(rejected) => (Vec::new(), vec![rejected]),
            Found::Gone => {
                return self
                    .deny(user_id, R::DATA_TYPE, id, first_denial, read)
                    .await;
            }
        };
        let mut transaction = self.database.begin().await?;
        let now = self.clock.now();
        let stored = read
            .keep(&mut transaction, user_id, &records, &rejected, now)
            .await?;
        if read.is_dry() {
            transaction.rollback().await?;
        } else {
            sync_log::count(&mut transaction, user_id, R::DATA_TYPE, stored.written()).await?;
            transaction.commit().await?;
            self.record_tally.note(R::DATA_TYPE, &stored);
        }
        Ok(Answer::Found)
    }

    /// Notes a 404, and deletes the record if it was denied before.
    async fn deny(
        &self,
        user_id: &UserId,
        data_type: DataType,
        id: &str,
        first_denial: FirstDenial,
        read: &mut Read,
    ) -> Result<Answer, SyncError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        users::take_turn(&mut transaction, user_id).await?;
        let was_denied_before =
            record_denial::note(&mut transaction, user_id, data_type, id, now).await?;
        if first_denial == FirstDenial::NotFound && !was_denied_before {
            match read.is_dry() {
                true => transaction.rollback().await?,
                false => transaction.commit().await?,
            }
            tracing::info!(member = %user_id, %data_type, id, "WHOOP answered 404 for a record; it stays until WHOOP does so again");
            return Ok(Answer::DeniedOnce);
        }
        let removed = remove::remove(&mut transaction, user_id, data_type, id, now).await?;
        if let Some(comparison) = &mut read.comparison {
            comparison.add_removed(&removed);
        }
        if read.is_dry() {
            transaction.rollback().await?;
            return Ok(Answer::Gone);
        }
        transaction.commit().await?;
        let deleted = removed.len() as u64;
        read.stored.deleted += deleted;
        let gone = Stored {
            deleted,
            ..Stored::default()
        };
        self.record_tally.note(data_type, &gone);
        if !removed.is_empty() {
            tracing::info!(member = %user_id, %data_type, id, "record deleted, because WHOOP no longer has it");
        }
        Ok(Answer::Gone)
    }
}
