//! Records of any type: as their tables hold them, and in WHOOP's own shape.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use whoop_core::{
    DataType, UserId,
    record::{Cycle, Recovery, Sleep, Workout},
};

use crate::{
    PgConnection, StorageError,
    schema::{whoop_cycle, whoop_recovery, whoop_sleep, whoop_workout},
    table::{
        RecordTable, cycle::CycleRow, recovery::RecoveryRow, sleep::SleepRow, workout::WorkoutRow,
    },
};

/// A record as its table holds it.
#[derive(Debug)]
pub enum RecordRow {
    Cycle(CycleRow),
    Recovery(RecoveryRow),
    Sleep(SleepRow),
    Workout(WorkoutRow),
}

/// A record in WHOOP's own shape.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub enum WhoopRecord {
    Cycle(Cycle),
    Recovery(Recovery),
    Sleep(Box<Sleep>),
    Workout(Box<Workout>),
}

/// A record as it is now, and the member's day that it belongs to.
#[derive(Debug, serde::Serialize)]
pub struct DatedRecord {
    pub local_date: NaiveDate,
    #[serde(flatten)]
    pub record: WhoopRecord,
}

impl RecordRow {
    pub const fn data_type(&self) -> DataType {
        match self {
            Self::Cycle(_) => DataType::Cycle,
            Self::Recovery(_) => DataType::Recovery,
            Self::Sleep(_) => DataType::Sleep,
            Self::Workout(_) => DataType::Workout,
        }
    }

    pub const fn local_date(&self) -> NaiveDate {
        match self {
            Self::Cycle(row) => row.local_date,
            Self::Recovery(row) => row.local_date,
            Self::Sleep(row) => row.local_date,
            Self::Workout(row) => row.local_date,
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Self::Cycle(row) => &row.id,
            Self::Recovery(row) => &row.id,
            Self::Sleep(row) => &row.id,
            Self::Workout(row) => &row.id,
        }
    }

    /// Where it stands on a [`page`].
    pub fn page_cursor(&self) -> PageCursor {
        let (created_at, id) = self.export_key();
        PageCursor {
            local_date: self.local_date(),
            created_at,
            id,
        }
    }

    /// Where it stands among all of its type: by what never changes.
    pub(crate) fn export_key(&self) -> (DateTime<Utc>, String) {
        match self {
            Self::Cycle(row) => (row.created_at, row.id.clone()),
            Self::Recovery(row) => (row.created_at, row.id.clone()),
            Self::Sleep(row) => (row.created_at, row.id.clone()),
            Self::Workout(row) => (row.created_at, row.id.clone()),
        }
    }

    /// Column by column, as [`columns`] names them.
    ///
    /// # Errors
    ///
    /// A value that JSON does not have.
    pub fn to_flat_json(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Cycle(row) => serde_json::to_value(row),
            Self::Recovery(row) => serde_json::to_value(row),
            Self::Sleep(row) => serde_json::to_value(row),
            Self::Workout(row) => serde_json::to_value(row),
        }
    }

    /// As WHOOP sent it, with its day.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] where somebody changed the row by hand.
    pub fn into_dated_record(self, whoop_user_id: i64) -> Result<DatedRecord, StorageError> {
        Ok(DatedRecord {
            local_date: self.local_date(),
            record: self.into_record(whoop_user_id)?,
        })
    }

    /// As WHOOP sent it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] where somebody changed the row by hand.
    pub fn into_record(self, whoop_user_id: i64) -> Result<WhoopRecord, StorageError> {
        Ok(match self {
            Self::Cycle(row) => WhoopRecord::Cycle(row.into_record(whoop_user_id)?),
            Self::Recovery(row) => WhoopRecord::Recovery(row.into_record(whoop_user_id)?),
            Self::Sleep(row) => WhoopRecord::Sleep(Box::new(row.into_record(whoop_user_id)?)),
            Self::Workout(row) => WhoopRecord::Workout(Box::new(row.into_record(whoop_user_id))),
        })
    }
}

/// The columns of all four tables together, those of every table first.
pub fn columns() -> Vec<&'static str> {
    let common = [
        "id",
        "local_date",
        "timezone_offset",
        "score_state",
        "created_at",
        "updated_at",
        "synced_at",
    ];
    let own = [
        Cycle::COLUMNS,
        Recovery::COLUMNS,
        Sleep::COLUMNS,
        Workout::COLUMNS,
    ];
    let mut seen = BTreeSet::new();
    common
        .into_iter()
        .chain(own.into_iter().flatten().copied())
        .filter(|column| seen.insert(*column))
        .chain(["extra"])
        .collect()
}

/// Where a page of records ended. The next one begins below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    pub local_date: NaiveDate,
    pub created_at: DateTime<Utc>,
    pub id: String,
}

/// Which records of a type are meant. Dates are the member's own, both included.
#[derive(Debug, Clone, Default)]
pub struct DateRange {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// Records of a type, the newest day first, below a place.
///
/// A record keeps its place unless WHOOP moves it to another day, so whoever pages
/// while others write sees each record once.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn page(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    span: &DateRange,
    below: Option<&PageCursor>,
    limit: i64,
) -> Result<Vec<RecordRow>, StorageError> {
    macro_rules! read {
        ($table:ident, $row:ident, $kind:ident) => {{
            let mut query = $table::table
                .filter($table::user_id.eq(user_id.as_str()))
                .order((
                    $table::local_date.desc(),
                    $table::created_at.desc(),
                    $table::id.desc(),
                ))
                .select($row::as_select())
                .limit(limit)
                .into_boxed();
            if let Some(from) = span.from {
                query = query.filter($table::local_date.ge(from));
            }
            if let Some(to) = span.to {
                query = query.filter($table::local_date.le(to));
            }
            if let Some(below) = below {
                let (date, at) = (below.local_date, below.created_at);
                let is_below = $table::created_at
                    .lt(at)
                    .or($table::created_at.eq(at).and($table::id.lt(&below.id)));
                query = query
                    // For the index, which knows the date alone.
                    .filter($table::local_date.le(date))
                    .filter($table::local_date.lt(date).or(is_below));
            }
            let rows: Vec<$row> = query.load(conn).await?;
            rows.into_iter().map(RecordRow::$kind).collect()
        }};
    }
    Ok(match data_type {
        DataType::Cycle => read!(whoop_cycle, CycleRow, Cycle),
        DataType::Recovery => read!(whoop_recovery, RecoveryRow, Recovery),
        DataType::Sleep => read!(whoop_sleep, SleepRow, Sleep),
        DataType::Workout => read!(whoop_workout, WorkoutRow, Workout),
    })
}

/// Those of a type and of these ids that are stored.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn by_id(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    ids: &[&str],
) -> Result<Vec<RecordRow>, StorageError> {
    macro_rules! read {
        ($table:ident, $row:ident, $kind:ident) => {{
            let rows: Vec<$row> = $table::table
                .filter($table::user_id.eq(user_id.as_str()))
                .filter($table::id.eq_any(ids))
                .select($row::as_select())
                .load(conn)
                .await?;
            rows.into_iter().map(RecordRow::$kind).collect()
        }};
    }
    Ok(match data_type {
        DataType::Cycle => read!(whoop_cycle, CycleRow, Cycle),
        DataType::Recovery => read!(whoop_recovery, RecoveryRow, Recovery),
        DataType::Sleep => read!(whoop_sleep, SleepRow, Sleep),
        DataType::Workout => read!(whoop_workout, WorkoutRow, Workout),
    })
}
