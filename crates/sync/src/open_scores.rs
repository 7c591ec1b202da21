//! Records that still wait for their score, beyond the reach of any window.

use chrono::{DateTime, Datelike, Utc};
use whoop_core::{DataType, UserId};
use whoop_storage::{day, page::Stored};

use crate::{Engine, Job, SyncError};

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

/// Records of a type that still wait for their score.
pub(crate) struct Open {
    /// When the oldest that a window can reach happened.
    pub(crate) oldest: Option<DateTime<Utc>>,
    /// How many older ones a sync asks for by their ids.
    pub(crate) by_id: usize,
}

impl Engine {
    /// What is open of a type, on both sides of what a window can reach.
    pub(crate) async fn open(
        &self,
        user_id: &UserId,
        data_type: DataType,
        reach: DateTime<Utc>,
    ) -> Result<Open, SyncError> {
        let mut conn = self.database.get().await?;
        let open = day::open_records(&mut conn, user_id, data_type).await?;
        Ok(Open {
            oldest: open
                .iter()
                .map(|(_, when)| *when)
                .find(|when| *when > reach),
            by_id: open
                .iter()
                .filter(|(_, when)| *when < reach)
                .count()
                .min(MOST_BY_ID),
        })
    }

    /// Asks by id for what is open and older than `before`.
    pub(crate) async fn ask_for_open(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        before: DateTime<Utc>,
        stored: &mut Stored,
    ) -> Result<(), SyncError> {
        let open = {
            let mut conn = self.database.get().await?;
            day::open_records(&mut conn, user_id, data_type).await?
        };
        let beyond = open
            .into_iter()
            .filter(|(_, when)| *when < before)
            .map(|(id, _)| id)
            .collect();
        for id in todays(beyond, self.clock.now().num_days_from_ce()) {
            *stored += self.ask_by_id(user_id, job, data_type, id).await?;
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
