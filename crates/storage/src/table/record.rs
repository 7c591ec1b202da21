use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use whoop_core::{
    CycleId, SleepId,
    record::{ExtraFields, Record},
};

use crate::StorageError;

/// A record and the table that holds it.
pub trait RecordTable: Record {
    /// The row as PostgreSQL takes it; field names are column names.
    type TableRow: Serialize + Send;

    const TABLE: &'static str;

    /// The columns that WHOOP's record decides, beside those of every table.
    const COLUMNS: &'static [&'static str];

    /// The row of this record. `local_date` is final for a sleep and a workout;
    /// for a cycle and a recovery it holds until the day is settled.
    fn row(&self, local_date: NaiveDate, synced_at: DateTime<Utc>) -> Self::TableRow;

    /// The day of the record, from itself alone.
    fn own_date(&self) -> NaiveDate;

    /// When it happened, for telling which of two records is the later.
    fn happened_at(&self) -> DateTime<Utc>;

    /// The member's offset from UTC at that time, where the record has one.
    fn timezone_offset(&self) -> Option<&str>;

    /// Whose days this record may decide.
    fn ties(&self) -> RecordTies<'_>;
}

/// The cycle and the sleep that a record stands for or names.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTies<'a> {
    pub cycle_id: Option<CycleId>,
    pub sleep_id: Option<&'a SleepId>,
}

/// The `extra` column of a row that is read back.
pub(super) fn extra_of(extra: serde_json::Value) -> ExtraFields {
    match extra {
        serde_json::Value::Object(map) => map,
        _ => ExtraFields::new(),
    }
}

/// An object that was in WHOOP's JSON only if something of it is left.
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
