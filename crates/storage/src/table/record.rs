use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use whoop_core::{
    CycleId, SleepId,
    record::{ExtraFields, Record},
};

use crate::StorageError;

/// A record type and the table that stores it.
pub trait RecordTable: Record {
    /// The row in the form that PostgreSQL reads from JSON; field names are column names.
    type TableRow: Serialize + Send;

    const TABLE: &'static str;

    /// Columns with WHOOP's values, in addition to those that every table has.
    const COLUMNS: &'static [&'static str];

    /// Converts the record into a row. `local_date` is final for a sleep and a workout, and
    /// preliminary for a cycle and a recovery until local dates are assigned.
    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> Self::TableRow;

    /// Returns the local date that follows from the record alone.
    fn own_date(&self) -> NaiveDate;

    /// Returns the time of the record, by which the latest record is determined.
    fn happened_at(&self) -> DateTime<Utc>;

    /// Returns the member's UTC offset at that time, if the record has one.
    fn timezone_offset(&self) -> Option<&str>;

    /// Returns the cycle and the sleep that are linked to this record and may need a new local
    /// date.
    fn ties(&self) -> RecordTies<'_>;
}

/// The cycle and the sleep that a record is or refers to.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTies<'a> {
    pub cycle_id: Option<CycleId>,
    pub sleep_id: Option<&'a SleepId>,
}

/// Reads the `extra` column of a stored row.
pub(super) fn extra_of(extra: serde_json::Value) -> ExtraFields {
    match extra {
        serde_json::Value::Object(map) => map,
        _ => ExtraFields::new(),
    }
}

/// Returns `None` for a part without any value: WHOOP's JSON did not contain that object.
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
