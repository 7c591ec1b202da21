//! Following a member: the changes after a number, and word of new ones.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel_async::SimpleAsyncConnection;
use whoop_core::{DataType, UserId};

use crate::{
    Database, PgConnection, StorageError,
    records::{self, Present},
    table::{
        change::{self, CHANNEL, ChangeRow, Numbers},
        users,
    },
};

/// A change, with the record as it is now.
#[derive(Debug)]
pub struct Change {
    pub row: ChangeRow,
    /// `None` for one that left, then or since, and where a later change carries
    /// the record.
    pub record: Option<Present>,
}

/// What came after a number.
#[derive(Debug)]
pub struct Changes {
    /// In their order, without a gap.
    pub changes: Vec<Change>,
    /// The member's latest number.
    pub latest: i64,
    /// Since when the member's numbers are counted; `None` for one who never
    /// connected.
    pub counted_since: Option<DateTime<Utc>>,
}

/// An answer to whoever follows a member.
#[derive(Debug)]
pub enum Followed {
    Changes(Changes),
    /// What came after the number is not kept any more, or the number is of
    /// another life of the member: read everything, then go on from here.
    Gone {
        latest: i64,
    },
}

/// What came after a number, without the records.
#[derive(Debug)]
pub enum Numbered {
    Rows {
        rows: Vec<ChangeRow>,
        numbers: Numbers,
    },
    /// The member never connected, or was erased, and so were the numbers.
    Nobody,
    Gone {
        latest: i64,
    },
}

/// The numbers after one, so many at most.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn numbered(
    conn: &mut PgConnection,
    user_id: &UserId,
    since: i64,
    limit: i64,
) -> Result<Numbered, StorageError> {
    let Some(numbers) = change::numbers(conn, user_id).await? else {
        return Ok(match since {
            0 => Numbered::Nobody,
            _ => Numbered::Gone { latest: 0 },
        });
    };
    let latest = numbers.latest;
    if !numbers.reach_back_to(since) {
        return Ok(Numbered::Gone { latest });
    }
    let rows = change::after(conn, user_id, since, limit).await?;
    // They may have been forgotten between the two questions.
    Ok(match rows.first() {
        Some(first) if first.seq != since + 1 => Numbered::Gone { latest },
        _ => Numbered::Rows { rows, numbers },
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
) -> Result<Followed, StorageError> {
    let (rows, numbers) = match numbered(conn, user_id, since, limit).await? {
        Numbered::Rows { rows, numbers } => (rows, numbers),
        Numbered::Gone { latest } => return Ok(Followed::Gone { latest }),
        Numbered::Nobody => {
            return Ok(Followed::Changes(Changes {
                changes: Vec::new(),
                latest: 0,
                counted_since: None,
            }));
        }
    };
    // After the changes: a record is as new as its last change or newer, and a newer
    // one has a change of its own that comes later.
    let mut records = present(conn, user_id, &rows).await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let record = match row.op.as_str() {
            "upsert" => records.remove(&(row.data_type.clone(), row.record_id.clone())),
            _ => None,
        };
        changes.push(Change { row, record });
    }
    changes.reverse();
    Ok(Followed::Changes(Changes {
        latest: changes
            .last()
            .map_or(numbers.latest, |last| last.row.seq.max(numbers.latest)),
        changes,
        counted_since: Some(numbers.counted_since),
    }))
}

/// The records that changes speak of, as they are now.
async fn present(
    conn: &mut PgConnection,
    user_id: &UserId,
    rows: &[ChangeRow],
) -> Result<HashMap<(String, String), Present>, StorageError> {
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
            present.insert(key, row.present(member.whoop_user_id)?);
        }
    }
    Ok(present)
}

/// Hears at once of every member who changes, through a connection of its own.
pub struct Listener(PgConnection);

impl Database {
    /// Begins to listen. Not through a pooler in transaction mode, which gives the
    /// connection to somebody else.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn listen(&self) -> Result<Listener, StorageError> {
        let mut conn = self.dedicated().await?;
        conn.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Listener(conn))
    }
}

impl Listener {
    /// Waits for the next; see [`change::signal_of`].
    ///
    /// # Errors
    ///
    /// The connection is lost: whatever happened meanwhile was not heard.
    pub async fn next(&mut self) -> Result<String, StorageError> {
        match self.0.notification().await {
            Some(notification) => Ok(notification.payload),
            None => Err(diesel::result::Error::BrokenTransactionManager.into()),
        }
    }
}
