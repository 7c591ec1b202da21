//! The change feed of a member: the changes after a sequence number, and notifications about new
//! changes.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel_async::SimpleAsyncConnection;
use whoop_core::{DataType, UserId};

use crate::{
    Database, PgConnection, StorageError,
    records::{self, DatedRecord},
    table::{
        change::{self, ChangeRow, NOTIFY_CHANNEL, SequenceNumbers},
        users,
    },
};

/// One change of a record, with the record's current state.
#[derive(Debug)]
pub struct FeedEntry {
    pub row: ChangeRow,
    /// `None` if the change is a deletion, if the record was deleted later, or if a later change on
    /// the same page contains the record.
    pub record: Option<DatedRecord>,
}

/// A page of the change feed: the changes after a sequence number.
#[derive(Debug)]
pub struct FeedPage {
    /// Changes in the order of their sequence numbers, without a gap.
    pub entries: Vec<FeedEntry>,
    /// Sequence number of the member's latest change, which may be on a later page.
    pub latest: i64,
    /// Time at which the member's sequence numbers started; `None` for a member who never
    /// connected.
    pub counted_since: Option<DateTime<Utc>>,
}

/// Result of [`after`]: a page of changes, or the answer that the changes cannot be listed.
#[derive(Debug)]
pub enum FeedResult {
    Page(FeedPage),
    /// The changes after the requested sequence number are no longer stored, or the number is from
    /// before the member was erased. The reader has to read all records again and continue from
    /// `latest`.
    Gone {
        latest: i64,
    },
}

/// Result of [`rows_after`]: the changes after a sequence number, without the records.
#[derive(Debug)]
pub enum FeedRows {
    Rows {
        rows: Vec<ChangeRow>,
        numbers: SequenceNumbers,
    },
    /// The member never connected or was erased, so there are no changes. The reader asked for all
    /// changes, with the sequence number 0.
    UnknownMember,
    Gone {
        latest: i64,
    },
}

/// Returns at most `limit` changes of a member after the sequence number `since`, without the
/// records.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn rows_after(
    conn: &mut PgConnection,
    user_id: &UserId,
    since: i64,
    limit: i64,
) -> Result<FeedRows, StorageError> {
    let Some(numbers) = change::sequence_numbers(conn, user_id).await? else {
        return Ok(match since {
            0 => FeedRows::UnknownMember,
            _ => FeedRows::Gone { latest: 0 },
        });
    };
    let latest = numbers.latest;
    if !numbers.retains_all_after(since) {
        return Ok(FeedRows::Gone { latest });
    }
    let rows = change::list_after(conn, user_id, since, limit).await?;
    // A purge may have deleted changes between the query for the numbers and the query for the
    // changes.
    Ok(match rows.first() {
        Some(first) if first.seq != since + 1 => FeedRows::Gone { latest },
        _ => FeedRows::Rows { rows, numbers },
    })
}

/// Returns at most `limit` changes of a member after the sequence number `since`, with the records.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn after(
    conn: &mut PgConnection,
    user_id: &UserId,
    since: i64,
    limit: i64,
) -> Result<FeedResult, StorageError> {
    let (rows, numbers) = match rows_after(conn, user_id, since, limit).await? {
        FeedRows::Rows { rows, numbers } => (rows, numbers),
        FeedRows::Gone { latest } => return Ok(FeedResult::Gone { latest }),
        FeedRows::UnknownMember => {
            return Ok(FeedResult::Page(FeedPage {
                entries: Vec::new(),
                latest: 0,
                counted_since: None,
            }));
        }
    };
    // The records are read after the changes, so each record is at least as new as its last change
    // on this page. If a record is newer, a later page contains another change of the record.
    let mut records = load_current_records(conn, user_id, &rows).await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let record = match row.op.as_str() {
            "upsert" => records.remove(&(row.data_type.clone(), row.record_id.clone())),
            _ => None,
        };
        changes.push(FeedEntry { row, record });
    }
    changes.reverse();
    Ok(FeedResult::Page(FeedPage {
        latest: changes
            .last()
            .map_or(numbers.latest, |last| last.row.seq.max(numbers.latest)),
        entries: changes,
        counted_since: Some(numbers.counted_since),
    }))
}

/// Loads the current state of all records to which the changes in `rows` refer. The key of the map
/// is the data type and the id of the record.
async fn load_current_records(
    conn: &mut PgConnection,
    user_id: &UserId,
    rows: &[ChangeRow],
) -> Result<HashMap<(String, String), DatedRecord>, StorageError> {
    let mut ids_by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        ids_by_type
            .entry(&row.data_type)
            .or_default()
            .push(&row.record_id);
    }
    let Some(member) = users::find(conn, user_id).await? else {
        return Ok(HashMap::new());
    };
    let mut records = HashMap::new();
    for (data_type, ids) in ids_by_type {
        let Ok(parsed_type) = data_type.parse::<DataType>() else {
            continue;
        };
        for row in records::by_id(conn, user_id, parsed_type, &ids).await? {
            let key = (data_type.to_owned(), row.id().to_owned());
            records.insert(key, row.into_dated_record(member.whoop_user_id)?);
        }
    }
    Ok(records)
}

/// Dedicated connection that receives PostgreSQL's notifications about members with new changes.
pub struct ChangeListener(PgConnection);

impl Database {
    /// Opens a connection and subscribes it to the notifications about members with new changes.
    ///
    /// This does not work through a pooler in transaction mode, because such a pooler gives the
    /// server connection to another client after each transaction.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn listen(&self) -> Result<ChangeListener, StorageError> {
        let mut conn = self.connect_dedicated().await?;
        conn.batch_execute(&format!("LISTEN {NOTIFY_CHANNEL}"))
            .await?;
        Ok(ChangeListener(conn))
    }
}

impl ChangeListener {
    /// Waits for the next notification and returns its payload, which identifies the member; see
    /// [`change::notify_payload`].
    ///
    /// # Errors
    ///
    /// The connection was lost. Notifications that are sent before the caller subscribes again are
    /// lost too.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        match self.0.next_notification().await {
            Some(notification) => Ok(notification.payload),
            None => Err(diesel::result::Error::BrokenTransactionManager.into()),
        }
    }
}
