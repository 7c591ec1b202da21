//! Counts the records that this process stored, by data type and outcome, for the metrics of the
//! process.

use std::sync::atomic::{AtomicU64, Ordering};

use whoop_core::DataType;
use whoop_storage::page::StoreCounts;

/// Outcomes of storing a record. The counters of each data type have the same order.
const OUTCOMES: [&str; 5] = ["inserted", "updated", "unchanged", "deleted", "rejected"];

/// Number of records of one data type that this process stored with the same outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordCount {
    pub data_type: DataType,
    /// Outcome of storing the records: `inserted`, `updated`, `unchanged`, `deleted` or `rejected`.
    pub outcome: &'static str,
    pub records: u64,
}

/// Counters of stored records since the start of the process. A record is counted after its
/// transaction was committed.
#[derive(Debug, Default)]
pub(crate) struct RecordCounters([[AtomicU64; OUTCOMES.len()]; DataType::ALL.len()]);

impl RecordCounters {
    pub(crate) fn add(&self, data_type: DataType, stored: &StoreCounts) {
        let counts = [
            stored.inserted,
            stored.updated,
            stored.unchanged,
            stored.deleted,
            stored.rejected,
        ];
        let mut types = DataType::ALL.iter().zip(&self.0);
        let Some((_, counters)) = types.find(|(one, _)| **one == data_type) else {
            return;
        };
        for (counter, count) in counters.iter().zip(counts) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> impl Iterator<Item = RecordCount> {
        let types = DataType::ALL.into_iter().zip(&self.0);
        types.flat_map(|(data_type, counters)| {
            let counters = OUTCOMES.into_iter().zip(counters);
            counters.map(move |(outcome, counter)| RecordCount {
                data_type,
                outcome,
                records: counter.load(Ordering::Relaxed),
            })
        })
    }
}

impl crate::RecordReader {
    /// Returns the number of records that this process stored, by data type and outcome.
    pub fn record_counts(&self) -> Vec<RecordCount> {
        self.record_counters.counts().collect()
    }
}
