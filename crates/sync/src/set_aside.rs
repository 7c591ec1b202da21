//! Retries records that were set aside. A new version of the service may be able to parse records
//! that an older version could not parse.

use serde_json::value::RawValue;
use whoop_core::{
    DataType, UserId,
    record::{Cycle, Recovery, Sleep, Workout, parse_record},
};
use whoop_storage::{
    StorageError, page,
    table::{
        RecordTable,
        rejected_record::{self, RejectedRow},
    },
};

use crate::{RecordRetention, SyncError, window::is_within_retention};

/// Maximum number of set-aside records that are retried in one night.
const RECORDS_PER_NIGHT: i64 = 1_000;

impl RecordRetention {
    /// Stores the set-aside records that can be parsed now. Returns the number of stored records.
    /// Makes no call to WHOOP.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub(crate) async fn retry_set_aside(&self) -> Result<u64, SyncError> {
        let set_aside = {
            let mut conn = self.database.get().await?;
            rejected_record::sample(&mut conn, RECORDS_PER_NIGHT).await?
        };
        let mut stored = 0;
        for one in set_aside {
            let retried = match one.data_type.parse() {
                Ok(DataType::Recovery) => self.retry_record::<Recovery>(&one).await,
                Ok(DataType::Sleep) => self.retry_record::<Sleep>(&one).await,
                Ok(DataType::Workout) => self.retry_record::<Workout>(&one).await,
                Ok(DataType::Cycle) => self.retry_record::<Cycle>(&one).await,
                Err(_) => Ok(0),
            };
            match retried {
                Ok(written) => stored += written,
                Err(error) => tracing::warn!(
                    member = one.user_id,
                    data_type = one.data_type,
                    error = %error,
                    "could not store a record that was set aside; a later night run tries again"
                ),
            }
        }
        if stored > 0 {
            tracing::info!(records = stored, "stored records that had been set aside");
        }
        Ok(stored)
    }

    async fn retry_record<R: RecordTable>(
        &self,
        set_aside: &RejectedRow,
    ) -> Result<u64, SyncError> {
        let (Ok(user_id), Ok(raw)) = (
            set_aside.user_id.parse::<UserId>(),
            serde_json::from_str::<&RawValue>(&set_aside.raw),
        ) else {
            return Ok(0);
        };
        let Ok(record) = parse_record::<R>(raw) else {
            return Ok(0);
        };
        if !is_within_retention(&record, self.member_kept_from(&user_id).await?) {
            return Ok(0);
        }
        let mut transaction = self.database.begin().await?;
        let now = self.clock.now();
        match page::store(&mut transaction, &user_id, &[record], &[], now).await {
            Ok(stored) => {
                transaction.commit().await?;
                Ok(stored.written())
            }
            Err(StorageError::MemberGone(_)) => {
                transaction.rollback().await?;
                Ok(0)
            }
            Err(other) => Err(other.into()),
        }
    }
}
