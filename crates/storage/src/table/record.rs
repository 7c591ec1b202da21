use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use whoop_core::{
    CycleId, SleepId,
    record::{ExtraFields, Record},
};

use crate::StorageError;

/// A type of record that is stored in a table of its own.
pub trait RecordTable: Record {
    /// The row of the table. PostgreSQL reads it from JSON, so the names of its fields are the
    /// names of the columns.
    type TableRow: Serialize + Send;

    const TABLE: &'static str;

    /// Names of the columns with WHOOP's values, without the columns that all four tables have.
    const COLUMNS: &'static [&'static str];

    /// Converts the record into a row.
    ///
    /// `local_date` is final for a sleep and a workout. For a cycle and a recovery it is
    /// preliminary until local dates are assigned.
    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> Self::TableRow;

    /// Returns the local date that follows from the record alone, without regard to other records.
    fn own_date(&self) -> NaiveDate;

    /// Returns the time of the record: its start, or the creation time of a recovery. The latest
    /// record of a member is determined by this time.
    fn happened_at(&self) -> DateTime<Utc>;

    /// Returns the member's UTC offset at the time of the record, if the record contains it.
    fn timezone_offset(&self) -> Option<&str>;

    /// Returns the ids of the cycle and the sleep that may need a new local date when this record
    /// changes.
    fn ties(&self) -> RecordTies<'_>;
}

/// Ids of the cycle and the sleep that a record refers to. A cycle and a sleep also refer to
/// themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTies<'a> {
    pub cycle_id: Option<CycleId>,
    pub sleep_id: Option<&'a SleepId>,
}

/// Converts the value of the column `extra`, which contains WHOOP's fields without a column of
/// their own.
pub(super) fn extra_of(extra: serde_json::Value) -> ExtraFields {
    match extra {
        serde_json::Value::Object(map) => map,
        _ => ExtraFields::new(),
    }
}

/// Returns `None` if no field of the part has a value, which means that WHOOP's JSON did not
/// contain this object.
pub(crate) fn non_default<T: Default + PartialEq>(part: T) -> Option<T> {
    (part != T::default()).then_some(part)
}

pub(crate) fn corrupt(
    table: &'static str,
    id: &str,
    reason: impl std::fmt::Display,
) -> StorageError {
    StorageError::Corrupt {
        table,
        id: id.to_owned(),
        reason: reason.to_string(),
    }
}
