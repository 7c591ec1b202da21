//! Compares the stored records of a member with WHOOP's records.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use whoop_core::{
    DataType, UserId,
    difference::{ColumnValues, RecordDifference, RowChange},
    record::{Record, RejectedRecord},
};
use whoop_storage::{
    StorageError, Transaction,
    compare::{self, RowChanges},
    page::{self, StoreCounts},
    remove::RemovedRecord,
    table::RecordTable,
};

use crate::window::ReadProgress;

/// Result of comparing the stored records of a member with WHOOP's records.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReconcileFindings {
    /// Number of WHOOP's records that were compared with the stored records.
    pub compared: u64,
    /// The differences between the stored records and WHOOP's records. Each record is listed once,
    /// even if the reads of several data types found it.
    pub differences: Vec<RecordDifference>,
}

impl ReconcileFindings {
    /// Merges the comparisons of several data types. `dry_run` marks the differences as not
    /// repaired.
    pub(crate) fn merge(comparisons: impl Iterator<Item = TypeComparison>, dry_run: bool) -> Self {
        let mut compared = 0;
        let mut changes = RowChanges::new();
        for one in comparisons {
            compared += one.compared.len() as u64;
            for (key, change) in one.changes {
                changes
                    .entry(key)
                    .and_modify(|known: &mut RowChange| known.merge(change.clone()))
                    .or_insert(change);
            }
        }
        let differences = changes
            .iter()
            .filter_map(|((data_type, id), change)| change.difference(*data_type, id, !dry_run));
        Self {
            compared,
            differences: differences.collect(),
        }
    }
}

/// Comparison of the stored records of one data type of a member with WHOOP's records.
#[derive(Debug, Default)]
pub(crate) struct TypeComparison {
    /// Whether the comparison is a dry run, so that all its changes of stored records are rolled
    /// back.
    pub(crate) dry_run: bool,
    /// Ids of the compared records. They are a set, because two pages can contain the same record.
    pub(crate) compared: BTreeSet<String>,
    /// Changed rows, each with its data type and id, in the order in which they changed. Storing a
    /// record of one data type can also change rows of another data type.
    pub(crate) changes: Vec<((DataType, String), RowChange)>,
}

impl TypeComparison {
    /// Adds the deletion of records that WHOOP no longer has.
    pub(crate) fn add_removed(&mut self, removed: &[RemovedRecord]) {
        for one in removed {
            let row = ColumnValues::from_iter([(
                "local_date".to_owned(),
                one.local_date.to_string().into(),
            )]);
            let change = RowChange {
                before: Some(row),
                after: None,
            };
            self.changes.push(((one.data_type, one.id.clone()), change));
        }
    }
}

impl ReadProgress {
    /// Stores records in the caller's transaction. If this read is a comparison, also adds the
    /// records and the changed rows to the comparison.
    pub(crate) async fn store_records<R: RecordTable>(
        &mut self,
        transaction: &mut Transaction,
        user_id: &UserId,
        records: &[R],
        rejected: &[RejectedRecord],
        now: DateTime<Utc>,
    ) -> Result<StoreCounts, StorageError> {
        let stored = match &mut self.comparison {
            None => page::store(transaction, user_id, records, rejected, now).await?,
            Some(comparison) => {
                let (stored, changes) =
                    compare::store_with_changes(transaction, user_id, records, rejected, now)
                        .await?;
                comparison.compared.extend(records.iter().map(Record::id));
                comparison.changes.extend(changes);
                stored
            }
        };
        if self.is_dry_run() {
            self.stored.rejected += stored.rejected;
        } else {
            self.stored += stored;
        }
        Ok(stored)
    }
}
