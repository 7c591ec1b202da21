//! Following a member: the changes after a number, and word of new ones.

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

/// A change, with the record as it is now.
#[derive(Debug)]
pub struct FeedEntry {
    pub row: ChangeRow,
    /// `None` for one that left, then or since, and where a later change carries
    /// the record.
    pub record: Option<DatedRecord>,
}

/// What came after a number.
#[derive(Debug)]
pub struct FeedPage {
    /// In their order, without a gap.
    pub entries: Vec<FeedEntry>,
    /// The member's latest number.
    pub latest: i64,
    /// Since when the member's numbers are counted; `None` for one who never
    /// connected.
    pub counted_since: Option<DateTime<Utc>>,
}

/// An answer to whoever follows a member.
#[derive(Debug)]
pub enum FeedResult {
    Page(FeedPage),
    /// What came after the number is not kept any more, or the number is of
    /// another life of the member: read everything, then go on from here.
    Gone {
        latest: i64,
    },
}

/// What came after a number, without the records.
#[derive(Debug)]
pub enum FeedRows {
    Rows {
        rows: Vec<ChangeRow>,
        numbers: SequenceNumbers,
    },
    /// The member never connected, or was erased, and so were the numbers.
    UnknownMember,
    Gone {
        latest: i64,
    },
}

/// The numbers after one, so many at most.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
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
    // They may have been forgotten between the two questions.
    Ok(match rows.first() {
        Some(first) if first.seq != since + 1 => FeedRows::Gone { latest },
        _ => FeedRows::Rows { rows, numbers },
    })
}

/// A member's changes after a number, so many at most.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
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
    // After the changes: a record is as new as its last change or newer, and a newer
    // one has a change of its own that comes later.
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

/// The records that changes speak of, as they are now.
async fn load_current_records(
    conn: &mut PgConnection,
    user_id: &UserId,
    rows: &[ChangeRow],
) -> Result<HashMap<(String, String), DatedRecord>, StorageError> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        wanted
            .entry(&row.data_type)
            .or_default()
            .push(&row.record_id);
    }
    let Some(member) = users::find(conn, user_id).await? else {
        return Ok(HashMap::new());
    };
    let mut present = HashMap::new();
    for (data_type, ids) in wanted {
        let Ok(of) = data_type.parse::<DataType>() else {
            continue;
        };
        for row in records::by_id(conn, user_id, of, &ids).await? {
            let key = (data_type.to_owned(), row.id().to_owned());
            present.insert(key, row.into_dated_record(member.whoop_user_id)?);
        }
    }
    Ok(present)
}

/// Hears at once of every member who changes, through a connection of its own.
pub struct ChangeListener(PgConnection);

impl Database {
    /// Begins to listen. Not through a pooler in transaction mode, which gives the
    /// connection to somebody else.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn listen(&self) -> Result<ChangeListener, StorageError> {
        let mut conn = self.connect_dedicated().await?;
        conn.batch_execute(&format!("LISTEN {NOTIFY_CHANNEL}"))
            .await?;
        Ok(ChangeListener(conn))
    }
}

impl ChangeListener {
    /// Waits for the next; see [`change::signal_of`].
    ///
    /// # Errors
    ///
    /// The connection is lost: whatever happened meanwhile was not heard.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        match self.0.next_notification().await {
            Some(notification) => Ok(notification.payload),
            None => Err(diesel::result::Error::BrokenTransactionManager.into()),
        }
    }
}
