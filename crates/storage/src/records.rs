//! Records of any data type: as rows of their tables, and in WHOOP's format.

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

/// A record as a row of its table.
#[derive(Debug)]
pub enum RecordRow {
    Cycle(CycleRow),
    Recovery(RecoveryRow),
    Sleep(SleepRow),
    Workout(WorkoutRow),
}

/// A record in WHOOP's format.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub enum WhoopRecord {
    Cycle(Cycle),
    Recovery(Recovery),
    Sleep(Box<Sleep>),
    Workout(Box<Workout>),
}

/// A record in its current state, with its local date.
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

    /// Returns the record's position in the order of [`page`].
    pub fn page_cursor(&self) -> PageCursor {
        let (created_at, id) = self.export_key();
        PageCursor {
            local_date: self.local_date(),
            created_at,
            id,
        }
    }

    /// Returns the record's position among all records of its data type, for the export. It
    /// consists of WHOOP's creation time and the id, which never change.
    pub(crate) fn export_key(&self) -> (DateTime<Utc>, String) {
        match self {
            Self::Cycle(row) => (row.created_at, row.id.clone()),
            Self::Recovery(row) => (row.created_at, row.id.clone()),
            Self::Sleep(row) => (row.created_at, row.id.clone()),
            Self::Workout(row) => (row.created_at, row.id.clone()),
        }
    }

    /// Returns the row as a flat JSON object. Its keys are column names; see [`columns`].
    ///
    /// # Errors
    ///
    /// The row contains a value that JSON cannot represent.
    pub fn to_flat_json(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Cycle(row) => serde_json::to_value(row),
            Self::Recovery(row) => serde_json::to_value(row),
            Self::Sleep(row) => serde_json::to_value(row),
            Self::Workout(row) => serde_json::to_value(row),
        }
    }

    /// Converts the row into WHOOP's format, with its local date.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the row was edited by hand and is invalid.
    pub fn into_dated_record(self, whoop_user_id: i64) -> Result<DatedRecord, StorageError> {
        Ok(DatedRecord {
            local_date: self.local_date(),
            record: self.into_record(whoop_user_id)?,
        })
    }

    /// Converts the row into WHOOP's format.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the row was edited by hand and is invalid.
    pub fn into_record(self, whoop_user_id: i64) -> Result<WhoopRecord, StorageError> {
        Ok(match self {
            Self::Cycle(row) => WhoopRecord::Cycle(row.into_record(whoop_user_id)?),
            Self::Recovery(row) => WhoopRecord::Recovery(row.into_record(whoop_user_id)?),
            Self::Sleep(row) => WhoopRecord::Sleep(Box::new(row.into_record(whoop_user_id)?)),
            Self::Workout(row) => WhoopRecord::Workout(Box::new(row.into_record(whoop_user_id))),
        })
    }
}

/// Returns the names of the columns of all four tables, beginning with the columns that every table
/// has.
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
    let specific = [
        Cycle::COLUMNS,
        Recovery::COLUMNS,
        Sleep::COLUMNS,
        Workout::COLUMNS,
    ];
    let mut seen = BTreeSet::new();
    common
        .into_iter()
        .chain(specific.into_iter().flatten().copied())
        .filter(|column| seen.insert(*column))
        .chain(["extra"])
        .collect()
}

/// Position of the last record of a page, after which the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    pub local_date: NaiveDate,
    pub created_at: DateTime<Utc>,
    pub id: String,
}

/// Range of local dates. Both ends are included; `None` means that the range is open at this end.
#[derive(Debug, Clone, Default)]
pub struct DateRange {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// Selects one page of the records of a member.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    pub dates: DateRange,
    /// Position after which the page begins; `None` selects the first page.
    pub after: Option<PageCursor>,
    /// Maximum number of records.
    pub limit: i64,
}

/// Returns one page of the records of a data type.
///
/// The records are in descending order of local date, creation time and id. The position of a
/// record changes only when its local date changes. A reader that reads page by page during
/// concurrent writes therefore gets every other record exactly once.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn page(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    page: &PageQuery,
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
                .limit(page.limit)
                .into_boxed();
            if let Some(from) = page.dates.from {
                query = query.filter($table::local_date.ge(from));
            }
            if let Some(to) = page.dates.to {
                query = query.filter($table::local_date.le(to));
            }
            if let Some(cursor) = &page.after {
                let (date, at) = (cursor.local_date, cursor.created_at);
                let is_after_cursor = $table::created_at
                    .lt(at)
                    .or($table::created_at.eq(at).and($table::id.lt(&cursor.id)));
                query = query
                    // This redundant condition lets PostgreSQL use the index, which covers only the
                    // date.
                    .filter($table::local_date.le(date))
                    .filter($table::local_date.lt(date).or(is_after_cursor));
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

/// Returns those records of a data type with these ids that are stored.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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
