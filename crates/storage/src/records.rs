//! Records of any type: as their tables hold them, and in WHOOP's own shape.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use whoop_core::{
    DataType, UserId,
    record::{Cycle, Recovery, Sleep, Workout},
};

use crate::{
    StorageError,
    schema::{whoop_cycle, whoop_recovery, whoop_sleep, whoop_workout},
    table::{
        RecordTable, cycle::CycleRow, recovery::RecoveryRow, sleep::SleepRow, workout::WorkoutRow,
    },
};

/// A record as its table holds it.
#[derive(Debug)]
pub enum Row {
    Cycle(CycleRow),
    Recovery(RecoveryRow),
    Sleep(SleepRow),
    Workout(WorkoutRow),
}

/// A record in WHOOP's own shape.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Whole {
    Cycle(Cycle),
    Recovery(Recovery),
    Sleep(Box<Sleep>),
    Workout(Box<Workout>),
}

impl Row {
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

    /// Where it stands among all of its type: by what never changes.
    pub(crate) fn position(&self) -> (DateTime<Utc>, String) {
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
    pub fn flat(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Cycle(row) => serde_json::to_value(row),
            Self::Recovery(row) => serde_json::to_value(row),
            Self::Sleep(row) => serde_json::to_value(row),
            Self::Workout(row) => serde_json::to_value(row),
        }
    }

    /// As WHOOP sent it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] where somebody changed the row by hand.
    pub fn whole(self, whoop_user_id: i64) -> Result<Whole, StorageError> {
        Ok(match self {
            Self::Cycle(row) => Whole::Cycle(row.into_record(whoop_user_id)?),
            Self::Recovery(row) => Whole::Recovery(row.into_record(whoop_user_id)?),
            Self::Sleep(row) => Whole::Sleep(Box::new(row.into_record(whoop_user_id)?)),
            Self::Workout(row) => Whole::Workout(Box::new(row.into_record(whoop_user_id))),
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

/// Those of a type and of these ids that are stored.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn by_id(
    conn: &mut AsyncPgConnection,
    user_id: &UserId,
    data_type: DataType,
    ids: &[&str],
) -> Result<Vec<Row>, StorageError> {
    macro_rules! read {
        ($table:ident, $row:ident, $kind:ident) => {{
            let rows: Vec<$row> = $table::table
                .filter($table::user_id.eq(user_id.as_str()))
                .filter($table::id.eq_any(ids))
                .select($row::as_select())
                .load(conn)
                .await?;
            rows.into_iter().map(Row::$kind).collect()
        }};
    }
    Ok(match data_type {
        DataType::Cycle => read!(whoop_cycle, CycleRow, Cycle),
        DataType::Recovery => read!(whoop_recovery, RecoveryRow, Recovery),
        DataType::Sleep => read!(whoop_sleep, SleepRow, Sleep),
        DataType::Workout => read!(whoop_workout, WorkoutRow, Workout),
    })
}
