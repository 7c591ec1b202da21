//! One record, asked for by its id: stored as it is, or gone.

use whoop_client::{Found, Listed};
use whoop_core::{
    CycleId, DataType, SleepId, UserId, WorkoutId,
    record::{Cycle, Recovery, Rejected, Sleep, Workout},
};
use whoop_storage::{
    page::Stored,
    remove,
    table::{RecordTable, sync_log},
};

use crate::{Engine, Job, SyncError, window::Read};

impl Engine {
    /// Makes what is stored under an id equal to what WHOOP has there, which
    /// may be nothing.
    pub(crate) async fn ask_by_id(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        id: String,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        match data_type {
            DataType::Sleep => {
                let sleep = SleepId(id.clone());
                let found = self.call(user_id, job, Sleep::SCOPE, |whoop, token| {
                    let sleep = sleep.clone();
                    async move { whoop.sleep(&token, &sleep).await }
                });
                self.keep(user_id, &id, found.await?, read).await
            }
            DataType::Workout => {
                let workout = WorkoutId(id.clone());
                let found = self.call(user_id, job, Workout::SCOPE, |whoop, token| {
                    let workout = workout.clone();
                    async move { whoop.workout(&token, &workout).await }
                });
                self.keep(user_id, &id, found.await?, read).await
            }
            DataType::Cycle | DataType::Recovery => {
                // Both go by the cycle's number, which we wrote ourselves.
                let Ok(cycle) = id.parse().map(CycleId) else {
                    return Ok(());
                };
                if data_type == DataType::Cycle {
                    let found = self.call(user_id, job, Cycle::SCOPE, |whoop, token| async move {
                        whoop.cycle(&token, cycle).await
                    });
                    self.keep(user_id, &id, found.await?, read).await
                } else {
                    let found =
                        self.call(user_id, job, Recovery::SCOPE, |whoop, token| async move {
                            whoop.recovery_of(&token, cycle).await
                        });
                    self.keep(user_id, &id, found.await?, read).await
                }
            }
        }
    }

    async fn keep<R: RecordTable>(
        &self,
        user_id: &UserId,
        id: &str,
        found: Found<R>,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let (records, rejected): (Vec<R>, Vec<Rejected>) = match found {
            // What is not kept is not brought back.
            Found::Record(record) if self.is_too_old(user_id, &*record).await? => return Ok(()),
            Found::Record(record) => (vec![*record], Vec::new()),
            Found::Rejected(rejected) => (Vec::new(), vec![rejected]),
            Found::Gone => return self.let_go(user_id, R::DATA_TYPE, id, read).await,
        };
        let mut transaction = self.database.begin().await?;
        let now = self.clock.now();
        let stored = read
            .keep(&mut transaction, user_id, &records, &rejected, now)
            .await?;
        if let Some(comparison) = &mut read.comparison {
            comparison.note_unlisted(R::DATA_TYPE, id);
        }
        if read.is_dry() {
            transaction.rollback().await?;
        } else {
            sync_log::count(&mut transaction, user_id, R::DATA_TYPE, stored.written()).await?;
            transaction.commit().await?;
            self.record_tally.note(R::DATA_TYPE, &stored);
        }
        Ok(())
    }

    async fn is_too_old<R: RecordTable>(
        &self,
        user_id: &UserId,
        record: &R,
    ) -> Result<bool, SyncError> {
        if self.settings.retention.is_none() {
            return Ok(false);
        }
        let kept_from = self.not_before(user_id, None).await?;
        Ok(kept_from.is_some_and(|kept| record.happened_at() < kept))
    }

    async fn let_go(
        &self,
        user_id: &UserId,
        data_type: DataType,
        id: &str,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let mut transaction = self.database.begin().await?;
        let removed =
            remove::remove(&mut transaction, user_id, data_type, id, self.clock.now()).await?;
        if let Some(comparison) = &mut read.comparison {
            comparison.note_gone(data_type, &removed);
        }
        if read.is_dry() {
            transaction.rollback().await?;
            return Ok(());
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
            tracing::info!(member = %user_id, %data_type, id, "WHOOP no longer has it; deleted");
        }
        Ok(())
    }
}
