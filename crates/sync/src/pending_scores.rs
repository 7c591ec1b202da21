//! Requests by id the pending records that are older than any read window. Pending records still
//! wait for their score.

use chrono::{DateTime, Datelike, Utc};
use whoop_core::{DataType, UserId, plan::MAX_READS_BY_ID};
use whoop_storage::member_snapshot::{self, PendingRecord};

use crate::{
    RecordReader, SyncContext, SyncError,
    record_by_id::{FirstDenial, RecordRequest},
    window::ReadProgress,
};

/// Returns at most `limit` of these ids, and a different share of them on each day.
///
/// All ids are returned within a few days. Therefore every record is requested, even if other
/// records never get a score, or exist at WHOOP but are in no list.
pub(crate) fn daily_share(mut ids: Vec<String>, limit: usize, day: i32) -> Vec<String> {
    if ids.len() > limit {
        let share = usize::try_from(day).unwrap_or(0) % ids.len().div_ceil(limit);
        // The rotation is never longer than the list, because the last share begins before the end
        // of the list.
        ids.rotate_left(share * limit);
        ids.truncate(limit);
    }
    ids
}

/// Returns the time of the oldest pending record (without a score) of a data type that is newer
/// than `reach`; windows do not read older records.
pub(crate) fn oldest_pending_within(
    pending: &[PendingRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut within = pending
        .iter()
        .filter(|one| one.data_type == data_type && one.happened_at > reach);
    // The records are sorted by time, the oldest first.
    within.next().map(|one| one.happened_at)
}

/// Returns the pending records (without a score) of a data type that are older than `reach`; no
/// window reads them.
pub(crate) fn pending_beyond(
    pending: &[PendingRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> impl Iterator<Item = &PendingRecord> {
    pending
        .iter()
        .filter(move |one| one.data_type == data_type && one.happened_at < reach)
}

impl RecordReader {
    /// Requests the pending records of a data type that are older than `before` by their ids, at
    /// most [`MAX_READS_BY_ID`] in one sync.
    pub(crate) async fn fetch_pending(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_type: DataType,
        before: DateTime<Utc>,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let pending = {
            let mut conn = self.database.get().await?;
            member_snapshot::list_pending_records(&mut conn, user_id.as_str()).await?
        };
        let ids = pending_beyond(&pending, data_type, before)
            .map(|one| one.id.clone())
            .collect();
        for id in daily_share(ids, MAX_READS_BY_ID, self.clock.now().num_days_from_ce()) {
            let request = RecordRequest {
                data_type,
                id,
                first_denial: FirstDenial::NotFound,
            };
            self.fetch_by_id(user_id, context, request, read).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pending_record_is_requested_within_a_few_days() {
        for count in [0, 1, 10, 11, 25, 40] {
            let pending: Vec<String> = (0..count).map(|id: usize| id.to_string()).collect();
            let days = i32::try_from(count.div_ceil(MAX_READS_BY_ID)).unwrap();

            let requested: BTreeSet<String> = (739_000..739_000 + days.max(1))
                .flat_map(|day| daily_share(pending.clone(), MAX_READS_BY_ID, day))
                .collect();

            assert_eq!(requested.len(), count, "of {count}");
            assert!(daily_share(pending, MAX_READS_BY_ID, 739_000).len() <= MAX_READS_BY_ID);
        }
    }
}
