//! Requests records that still wait for their score and are older than any window.

use chrono::{DateTime, Datelike, Utc};
use whoop_core::{DataType, UserId, plan::MAX_READS_BY_ID};
use whoop_storage::member_snapshot::{self, PendingRecord};

use crate::{Engine, SyncContext, SyncError, record_by_id::FirstDenial, window::ReadProgress};

/// Returns at most `most` of these ids, a different share each day. All ids are included within a
/// few days, even if some records never get their score, or exist at WHOOP but are in no list.
pub(crate) fn daily_share(mut ids: Vec<String>, most: usize, day: i32) -> Vec<String> {
    if ids.len() > most {
        let share = usize::try_from(day).unwrap_or(0) % ids.len().div_ceil(most);
        // The rotation is at most the length, because the last share begins before the end.
        ids.rotate_left(share * most);
        ids.truncate(most);
    }
    ids
}

/// Returns the time of the oldest pending record of a data type that a window can reach.
pub(crate) fn oldest_pending_within(
    open: &[PendingRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut within = open
        .iter()
        .filter(|one| one.data_type == data_type && one.happened_at > reach);
    // The oldest record is the first.
    within.next().map(|one| one.happened_at)
}

/// Returns the pending records of a data type that no window can reach.
pub(crate) fn pending_beyond(
    open: &[PendingRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> impl Iterator<Item = &PendingRecord> {
    open.iter()
        .filter(move |one| one.data_type == data_type && one.happened_at < reach)
}

impl Engine {
    /// Requests the pending records of a data type that are older than `before`, by their ids.
    pub(crate) async fn fetch_pending(
        &self,
        user_id: &UserId,
        job: &SyncContext,
        data_type: DataType,
        before: DateTime<Utc>,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let open = {
            let mut conn = self.database.get().await?;
            member_snapshot::list_pending_records(&mut conn, user_id.as_str()).await?
        };
        let ids = pending_beyond(&open, data_type, before)
            .map(|one| one.id.clone())
            .collect();
        for id in daily_share(ids, MAX_READS_BY_ID, self.clock.now().num_days_from_ce()) {
            self.fetch_by_id(user_id, job, data_type, id, FirstDenial::NotFound, read)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_open_record_has_its_day() {
        for count in [0, 1, 10, 11, 25, 40] {
            let open: Vec<String> = (0..count).map(|id: usize| id.to_string()).collect();
            let days = i32::try_from(count.div_ceil(MAX_READS_BY_ID)).unwrap();

            let asked: BTreeSet<String> = (739_000..739_000 + days.max(1))
                .flat_map(|day| daily_share(open.clone(), MAX_READS_BY_ID, day))
                .collect();

            assert_eq!(asked.len(), count, "of {count}");
            assert!(daily_share(open, MAX_READS_BY_ID, 739_000).len() <= MAX_READS_BY_ID);
        }
    }
}
