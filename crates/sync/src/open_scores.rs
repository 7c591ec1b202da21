//! Records that still wait for their score, beyond the reach of any window.

use chrono::{DateTime, Datelike, Utc};
use whoop_core::{DataType, UserId};
use whoop_storage::known::{self, OpenRecord};

use crate::{Engine, Job, SyncError, window::Read};

/// Asked again by id in one sync: enough for a bad week, little enough not to
/// eat the quota.
pub(crate) const MOST_BY_ID: usize = 10;

/// The share of a day: all come round, also behind ten that never settle or
/// that WHOOP has and does not list.
pub(crate) fn todays(mut open: Vec<String>, day: i32) -> Vec<String> {
    if open.len() > MOST_BY_ID {
        let turn = usize::try_from(day).unwrap_or(0) % open.len().div_ceil(MOST_BY_ID);
        // At most the length: the last turn begins before the end.
        open.rotate_left(turn * MOST_BY_ID);
        open.truncate(MOST_BY_ID);
    }
    open
}

/// When the oldest open record of a type happened that a window can reach.
pub(crate) fn oldest_within(
    open: &[OpenRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut within = open
        .iter()
        .filter(|one| one.data_type == data_type && one.happened_at > reach);
    // The oldest comes first.
    within.next().map(|one| one.happened_at)
}

/// Those of a type beyond the reach of a window.
pub(crate) fn beyond(
    open: &[OpenRecord],
    data_type: DataType,
    reach: DateTime<Utc>,
) -> impl Iterator<Item = &OpenRecord> {
    open.iter()
        .filter(move |one| one.data_type == data_type && one.happened_at < reach)
}

impl Engine {
    /// Asks by id for what is open of a type and older than `before`.
    pub(crate) async fn ask_for_open(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        before: DateTime<Utc>,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let open = {
            let mut conn = self.database.get().await?;
            known::open_of(&mut conn, user_id.as_str()).await?
        };
        let ids = beyond(&open, data_type, before)
            .map(|one| one.id.clone())
            .collect();
        for id in todays(ids, self.clock.now().num_days_from_ce()) {
            self.ask_by_id(user_id, job, data_type, id, read).await?;
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
            let days = i32::try_from(count.div_ceil(MOST_BY_ID)).unwrap();

            let asked: BTreeSet<String> = (739_000..739_000 + days.max(1))
                .flat_map(|day| todays(open.clone(), day))
                .collect();

            assert_eq!(asked.len(), count, "of {count}");
            assert!(todays(open, 739_000).len() <= MOST_BY_ID);
        }
    }
}
