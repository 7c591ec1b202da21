//! A member's day, read in one round trip.
//!
//! One statement reads six tables, because each additional statement would cost the client and the
//! server several times as much as the rows that it returns. Only the columns that are displayed
//! for a day are read.

mod rows;
mod statement;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Date, Text};
use diesel_async::RunQueryDsl;
use whoop_core::{
    UserId,
    coverage::Coverage,
    day::{ConnectionStatus as WhoopConnection, DayRecords},
    plan::webhook_signals::WebhookSignals,
};

use self::{rows::DayParts, statement::DayRow};
use crate::{PgConnection, PooledConnection, StorageError, prepared::prepared};

/// All stored data that is needed to display one date of one member.
#[derive(Debug, Clone)]
pub struct StoredDay {
    /// `None` for a member who never connected.
    pub member: Option<DayMember>,
    /// Coverage (the time span that was read completely) of each data type that the member granted,
    /// including data types that were never read.
    pub coverage: Vec<Coverage>,
    /// The records of the day, with only the values that are displayed.
    pub records: DayRecords,
    /// Data types with a change that WHOOP announced and that was not read yet (open webhook
    /// signals). `None` if no webhook about the member arrived in the last 48 hours.
    pub signals: Option<WebhookSignals>,
}

/// The values of a member's row that are needed to display a day.
#[derive(Debug, Clone)]
pub struct DayMember {
    pub connection: WhoopConnection,
    pub timezone_offset: Option<String>,
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Time of the latest webhook about the member's data.
    pub signal_at: Option<DateTime<Utc>>,
}

/// Reads all stored data that is needed to display one date of one member.
///
/// # Errors
///
/// PostgreSQL is unavailable, or a row contains an invalid value because it was edited by hand.
pub async fn read(
    conn: &PooledConnection,
    user_id: &UserId,
    date: NaiveDate,
    now: DateTime<Utc>,
) -> Result<StoredDay, StorageError> {
    let conn: &PgConnection = conn;
    let rows = prepared(statement::DAY)
        .with_column_types::<statement::DayColumns>()
        .bind::<Text, _>(user_id.as_str())
        .bind::<Date, _>(date)
        .load::<DayRow>(&mut &*conn)
        .await?;
    let DayParts {
        member,
        coverage,
        signals,
        records,
    } = rows::collect_rows(rows)?;
    let signal_at = member.as_ref().and_then(|member| member.signal_at);
    Ok(StoredDay {
        member,
        coverage,
        records,
        signals: WebhookSignals::trusted(signal_at, signals, now),
    })
}
