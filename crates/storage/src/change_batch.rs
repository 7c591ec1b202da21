//! The changes that one transaction makes to the records of one member.
//!
//! The changes are collected in a [`ChangeBatch`] during the transaction, and get their sequence
//! numbers at its end. All code that writes records adds its changes to such a batch.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Array, BigInt, Date, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use whoop_core::{DataType, UserId};

use crate::{PgConnection, StorageError, prepared::prepared, table::change::notify_payload};

/// Operation on a record, with the name that the change feed uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordOperation {
    /// The record was inserted or changed.
    Upsert,
    /// The record was deleted.
    Delete,
}

impl RecordOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

#[derive(Debug)]
struct PendingChange {
    data_type: DataType,
    id: String,
    op: RecordOperation,
    local_date: NaiveDate,
    /// The record's local date before the transaction; `None` if the transaction inserted the
    /// record.
    former_date: Option<NaiveDate>,
    updated_at: Option<DateTime<Utc>>,
}

/// The changes that one transaction makes to one member's records.
///
/// A record that changes several times within the transaction is listed once, with its final state.
#[derive(Debug, Default)]
pub(crate) struct ChangeBatch {
    pending: Vec<PendingChange>,
    indexes: HashMap<(DataType, String), usize>,
}

impl ChangeBatch {
    /// Adds a record that was inserted or updated. `former` is the record's local date before the
    /// write, or `None` for a new record.
    pub(crate) fn add_written(
        &mut self,
        data_type: DataType,
        id: String,
        former: Option<NaiveDate>,
        local_date: NaiveDate,
        updated_at: Option<DateTime<Utc>>,
    ) {
        self.add(PendingChange {
            data_type,
            id,
            op: RecordOperation::Upsert,
            local_date,
            former_date: former,
            updated_at,
        });
    }

    /// Adds a stored record for which only the date assignment changed.
    ///
    /// The local date, the position within the date (displayed or in `others`) or the UTC offset of
    /// the record is different now.
    pub(crate) fn add_date_change(
        &mut self,
        data_type: DataType,
        id: &str,
        former: NaiveDate,
        local_date: NaiveDate,
    ) {
        self.add_written(data_type, id.to_owned(), Some(former), local_date, None);
    }

    pub(crate) fn add_deleted(&mut self, data_type: DataType, id: String, local_date: NaiveDate) {
        self.add(PendingChange {
            data_type,
            id,
            op: RecordOperation::Delete,
            local_date,
            former_date: Some(local_date),
            updated_at: None,
        });
    }

    fn add(&mut self, change: PendingChange) {
        let key = (change.data_type, change.id.clone());
        match self
            .indexes
            .get(&key)
            .and_then(|index| self.pending.get_mut(*index))
        {
            Some(pending) => {
                pending.op = change.op;
                pending.local_date = change.local_date;
                pending.updated_at = change.updated_at.or(pending.updated_at);
            }
            None => {
                self.indexes.insert(key, self.pending.len());
                self.pending.push(change);
            }
        }
    }

    /// Assigns the member's next sequence numbers to the changes and stores them. Listeners are
    /// notified when the transaction commits.
    ///
    /// The caller holds the member's row lock.
    pub(crate) async fn write(
        self,
        conn: &mut PgConnection,
        user_id: &UserId,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let count = i64::try_from(self.pending.len()).unwrap_or(i64::MAX);
        let mut types = Vec::with_capacity(self.pending.len());
        let mut ids = Vec::with_capacity(self.pending.len());
        let mut ops = Vec::with_capacity(self.pending.len());
        let mut dates = Vec::with_capacity(self.pending.len());
        let mut former_dates = Vec::with_capacity(self.pending.len());
        let mut updates = Vec::with_capacity(self.pending.len());
        for change in self.pending {
            types.push(change.data_type.as_str());
            ids.push(change.id);
            ops.push(change.op.as_str());
            former_dates.push(
                change
                    .former_date
                    .filter(|former| *former != change.local_date),
            );
            dates.push(change.local_date);
            updates.push(change.updated_at);
        }
        prepared(
            "WITH counted AS ( \
                 UPDATE whoop_users SET change_seq = change_seq + $2, \
                     settled_seq = CASE WHEN settled_seq = change_seq THEN change_seq + $2 \
                                        ELSE settled_seq END \
                 WHERE user_id = $1 \
                 RETURNING change_seq - $2 AS before \
             ), noted AS ( \
                 INSERT INTO whoop_change (user_id, seq, data_type, record_id, op, local_date, \
                                           previous_date, updated_at, changed_at) \
                 SELECT $1, counted.before + fresh.place, fresh.data_type, fresh.record_id, \
                        fresh.op, fresh.local_date, fresh.previous_date, fresh.updated_at, $9 \
                 FROM counted, unnest($3, $4, $5, $6, $7, $8) WITH ORDINALITY AS fresh \
                      (data_type, record_id, op, local_date, previous_date, updated_at, place) \
             ) \
             SELECT pg_notify('whoop_change', $10)",
        )
        .bind::<Text, _>(user_id.as_str())
        .bind::<BigInt, _>(count)
        .bind::<Array<Text>, _>(types)
        .bind::<Array<Text>, _>(ids)
        .bind::<Array<Text>, _>(ops)
        .bind::<Array<Date>, _>(dates)
        .bind::<Array<Nullable<Date>>, _>(former_dates)
        .bind::<Array<Nullable<Timestamptz>>, _>(updates)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(notify_payload(user_id.as_str()))
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, day).unwrap()
    }

    #[test]
    fn a_record_that_is_written_and_then_moved_is_one_change() {
        let mut changes = ChangeBatch::default();
        changes.add_written(DataType::Cycle, "1".to_owned(), None, date(1), None);
        changes.add_written(
            DataType::Sleep,
            "2".to_owned(),
            Some(date(1)),
            date(1),
            None,
        );
        changes.add_date_change(DataType::Cycle, "1", date(1), date(2));

        let pending: Vec<_> = changes
            .pending
            .iter()
            .map(|one| (one.id.as_str(), one.former_date, one.local_date))
            .collect();
        assert_eq!(
            pending,
            [("1", None, date(2)), ("2", Some(date(1)), date(1))]
        );
    }
}
