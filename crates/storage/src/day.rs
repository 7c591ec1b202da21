//! A member's day, read in one round trip.
//!
//! One statement asks six tables: each statement has a cost of its own, at both ends,
//! that is several times what its rows cost. Of a record only what a day shows is read.

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

/// Everything that answers for one date of one member.
#[derive(Debug, Clone)]
pub struct StoredDay {
    /// `None` for a member who never connected.
    pub member: Option<DayMember>,
    /// Of all four types; those never read included.
    pub coverage: Vec<Coverage>,
    /// What a day shows of them: what WHOOP sent beside that is not read.
    pub records: DayRecords,
    /// What webhooks say; `None` if they are not known to arrive.
    pub signals: Option<WebhookSignals>,
}

/// Of a member, what decides about a day.
#[derive(Debug, Clone)]
pub struct DayMember {
    pub connection: WhoopConnection,
    pub timezone_offset: Option<String>,
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Time of the latest webhook.
    pub signal_at: Option<DateTime<Utc>>,
}

/// Reads a day.
///
/// # Errors
///
/// PostgreSQL is away, or a row was changed by hand into something unreadable.
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
