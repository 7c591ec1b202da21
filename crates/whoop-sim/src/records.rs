//! The current records of a person.

use serde_json::json;

use crate::{clock, data_type::SimDataType, record::SimRecord};

/// Records of all data types. Each list is sorted with the oldest first, so that new records are
/// appended.
#[derive(Debug, Default)]
pub(crate) struct RecordStore {
    cycles: Vec<SimRecord>,
    recoveries: Vec<SimRecord>,
    sleeps: Vec<SimRecord>,
    workouts: Vec<SimRecord>,
}

impl RecordStore {
    fn records_of(&self, data_type: SimDataType) -> &Vec<SimRecord> {
        match data_type {
            SimDataType::Cycle => &self.cycles,
            SimDataType::Recovery => &self.recoveries,
            SimDataType::Sleep => &self.sleeps,
            SimDataType::Workout => &self.workouts,
        }
    }

    fn records_of_mut(&mut self, data_type: SimDataType) -> &mut Vec<SimRecord> {
        match data_type {
            SimDataType::Cycle => &mut self.cycles,
            SimDataType::Recovery => &mut self.recoveries,
            SimDataType::Sleep => &mut self.sleeps,
            SimDataType::Workout => &mut self.workouts,
        }
    }

    /// Returns the records of a data type, newest first, which is the order of WHOOP's collections.
    pub(crate) fn newest_first(&self, data_type: SimDataType) -> impl Iterator<Item = &SimRecord> {
        self.records_of(data_type).iter().rev()
    }

    pub(crate) fn find(&self, data_type: SimDataType, id: &str) -> Option<&SimRecord> {
        self.newest_first(data_type).find(|record| record.id == id)
    }

    /// Adds a record, or replaces the record with the same id.
    pub(crate) fn put(&mut self, data_type: SimDataType, record: SimRecord) {
        let records = self.records_of_mut(data_type);
        // Records with the same start are sorted by id, so that pages are deterministic.
        let position = |records: &[SimRecord], new: &SimRecord| {
            records.binary_search_by(|it| (it.start, &it.id).cmp(&(new.start, &new.id)))
        };
        match position(records, &record) {
            Ok(at) => records[at] = record,
            Err(_) => {
                // The earlier version may have another start, because an edit changed it.
                if let Some(old) = records.iter().rposition(|it| it.id == record.id) {
                    records.remove(old);
                }
                let at = position(records, &record).unwrap_or_else(|at| at);
                records.insert(at, record);
            }
        }
    }

    pub(crate) fn remove(&mut self, data_type: SimDataType, id: &str) -> Option<SimRecord> {
        let records = self.records_of_mut(data_type);
        let at = records.iter().rposition(|record| record.id == id)?;
        Some(records.remove(at))
    }

    /// Ends the cycle `id` at the end of the cycle `ended`, which an edit replaced by the cycle
    /// `id`.
    pub(crate) fn end_cycle(&mut self, id: &str, ended: &SimRecord) {
        let Some(cycle) = self.find(SimDataType::Cycle, id) else {
            return;
        };
        let mut value = cycle.to_value();
        value["end"] = json!(ended.end.map(clock::format_instant));
        value["updated_at"] = ended.to_value()["updated_at"].clone();
        let times = (cycle.start, cycle.end);
        if let Some(record) = SimRecord::from_value(SimDataType::Cycle, &value, times) {
            self.put(SimDataType::Cycle, record);
        }
    }
}
