//! A member's day, read in one round trip.
//!
//! One statement asks six tables: each statement has a cost of its own, at both ends,
//! that is several times what its rows cost. Of a record only what a day shows is read.

mod rows;
mod statement;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::sql_types::{Date, Text};
use diesel_async::RunQueryDsl;
use futures::try_join;
use whoop_core::{
    UserId,
    coverage::Coverage,
    day::{Connection as WhoopConnection, DayRecords},
    plan::heard::Heard,
};

use self::{rows::Gathered, statement::Row};
use crate::{
    Connection, PgConnection, StorageError,
    prepared::prepared,
    standing::heard,
    table::webhook_event::{self, Unread},
};

/// What webhooks say is only asked of dates to which WHOOP may still add. A member's
/// yesterday is never further back than this, wherever they are.
const LIVE_FOR: TimeDelta = TimeDelta::hours(48);

/// Everything that answers for one date of one member.
#[derive(Debug, Clone)]
pub struct StoredDay {
    /// `None` for a member who never connected.
    pub member: Option<DayMember>,
    /// Of all four types; those never read included.
    pub coverage: Vec<Coverage>,
    /// What a day shows of them: what WHOOP sent beside that is not read.
    pub records: DayRecords,
    /// What webhooks say; `None` where they are not known to arrive, and of dates that
    /// are long over.
    pub heard: Option<Heard>,
}

/// Of a member, what decides about a day.
#[derive(Debug, Clone)]
pub struct DayMember {
    pub connection: WhoopConnection,
    pub timezone_offset: Option<String>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub webhook_at: Option<DateTime<Utc>>,
}

/// Reads a day.
///
/// # Errors
///
/// PostgreSQL is away, or a row was changed by hand into something unreadable.
pub async fn read(
    conn: &Connection,
    user_id: &UserId,
    date: NaiveDate,
    now: DateTime<Utc>,
) -> Result<StoredDay, StorageError> {
    let conn: &PgConnection = conn;
    let statement = prepared(statement::DAY)
        .typed::<statement::Columns>()
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(date);
    let is_live = date >= (now - LIVE_FOR).date_naive();
    let (unread, rows) = if is_live {
        // They travel together, and so do their answers.
        try_join!(
            webhook_event::unread(Some(user_id)).load::<Unread>(&mut &*conn),
            statement.load::<Row>(&mut &*conn),
        )?
    } else {
        (Vec::new(), statement.load::<Row>(&mut &*conn).await?)
    };
    let Gathered {
        member,
        coverage,
        records,
    } = rows::gather(rows)?;
    let webhook_at = member.as_ref().and_then(|member| member.webhook_at);
    let heard = heard(webhook_at, unread.iter(), now).filter(|_| is_live);
    Ok(StoredDay {
        member,
        coverage,
        records,
        heard,
    })
}
