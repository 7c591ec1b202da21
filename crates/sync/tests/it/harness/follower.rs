//! An app that keeps its own copy of a member's records by reading the change feed.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;
use whoop_core::UserId;
use whoop_storage::{
    change_feed::{self, FeedResult},
    export::{self, ExportCursor, ExportItem},
};
use whoop_sync::Engine;

/// The app's copy: records by data type and id, each with its local date.
pub(crate) type Copy = BTreeMap<(String, String), (NaiveDate, Value)>;

#[derive(Debug)]
pub(crate) struct Follower {
    user_id: UserId,
    /// Sequence number of the last change that the app has read.
    pub(crate) since: i64,
    copy: Copy,
    /// Number of times that the app had to read all records again because changes were deleted.
    pub(crate) restarts: usize,
}

impl Follower {
    pub(crate) fn of(user_id: &UserId) -> Self {
        Self {
            user_id: user_id.clone(),
            since: 0,
            copy: Copy::new(),
            restarts: 0,
        }
    }

    /// Requests the next changes, at most `limit`, and applies them to the copy. Returns `false` if
    /// there are no more changes.
    pub(crate) async fn poll(&mut self, engine: &Engine, limit: i64) -> bool {
        let result = {
            let mut conn = engine.database.get().await.unwrap();
            change_feed::after(&mut conn, &self.user_id, self.since, limit)
                .await
                .unwrap()
        };
        let found = match result {
            FeedResult::Gone { latest } => {
                // The changes after `since` are no longer available. As the API requires, the app
                // reads all records again and continues with the sequence number `latest`.
                self.restarts += 1;
                self.copy = stored(engine, &self.user_id).await;
                self.since = latest;
                return true;
            }
            FeedResult::Page(found) => found,
        };
        for change in found.entries {
            assert_eq!(
                change.row.seq,
                self.since + 1,
                "gap in the sequence numbers"
            );
            self.since = change.row.seq;
            let key = (change.row.data_type, change.row.record_id);
            match (change.row.op.as_str(), change.record) {
                ("delete", _) => {
                    self.copy.remove(&key);
                }
                (_, Some(present)) => {
                    let record = serde_json::to_value(&present.record).unwrap();
                    self.copy.insert(key, (present.local_date, record));
                }
                // The record was deleted by a later change, or a later change on the same page
                // contains the record.
                (_, None) => {}
            }
        }
        self.since < found.latest
    }

    /// Reads all remaining changes, and asserts that the copy then equals the stored records.
    pub(crate) async fn assert_ends_equal(&mut self, engine: &Engine) {
        while self.poll(engine, 100).await {}
        let stored = stored(engine, &self.user_id).await;
        let ids = |copy: &Copy| copy.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(&self.copy), ids(&stored), "of {}", self.user_id);
        for (key, record) in &stored {
            assert_eq!(
                self.copy.get(key),
                Some(record),
                "{key:?} of {}",
                self.user_id
            );
        }
    }
}

/// Returns all stored records of a member, with their local dates.
pub(crate) async fn stored(engine: &Engine, user_id: &UserId) -> Copy {
    let mut conn = engine.database.get().await.unwrap();
    let (mut copy, mut cursor, mut whoop_user_id) = (Copy::new(), ExportCursor::default(), 0);
    while let Some((items, next)) = export::next(&mut conn, user_id, cursor).await.unwrap() {
        for item in items {
            match item {
                ExportItem::Member(member) => {
                    whoop_user_id = member["whoop_user_id"].as_i64().unwrap();
                }
                ExportItem::Record(row) => {
                    let key = (row.data_type().to_string(), row.id().to_owned());
                    let date = row.local_date();
                    let record = row.into_record(whoop_user_id).unwrap();
                    copy.insert(key, (date, serde_json::to_value(&record).unwrap()));
                }
                _ => {}
            }
        }
        cursor = next;
    }
    copy
}
