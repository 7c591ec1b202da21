//! A person's records as they stand.

use serde_json::json;

use crate::{clock, data_type::DataType, record::Record};

/// Kept oldest first, so that what happens next goes to the end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    cycles: Vec<Record>,
    recoveries: Vec<Record>,
    sleeps: Vec<Record>,
    workouts: Vec<Record>,
}

impl Records {
    fn of(&self, data_type: DataType) -> &Vec<Record> {
        match data_type {
            DataType::Cycle => &self.cycles,
            DataType::Recovery => &self.recoveries,
            DataType::Sleep => &self.sleeps,
            DataType::Workout => &self.workouts,
        }
    }

    fn of_mut(&mut self, data_type: DataType) -> &mut Vec<Record> {
        match data_type {
            DataType::Cycle => &mut self.cycles,
            DataType::Recovery => &mut self.recoveries,
            DataType::Sleep => &mut self.sleeps,
            DataType::Workout => &mut self.workouts,
        }
    }

    /// As the collections are listed.
    pub(crate) fn newest_first(&self, data_type: DataType) -> impl Iterator<Item = &Record> {
        self.of(data_type).iter().rev()
    }

    pub(crate) fn find(&self, data_type: DataType, id: &str) -> Option<&Record> {
        self.newest_first(data_type).find(|record| record.id == id)
    }

    /// Adds a record, or replaces the one with its id.
    pub(crate) fn put(&mut self, data_type: DataType, record: Record) {
        let records = self.of_mut(data_type);
        // The id decides ties, so that pages never depend on chance.
        let place = |records: &[Record], new: &Record| {
            records.binary_search_by(|it| (it.start, &it.id).cmp(&(new.start, &new.id)))
        };
        match place(records, &record) {
            Ok(at) => records[at] = record,
            Err(_) => {
                // An edit may have moved its older self to another time.
                if let Some(old) = records.iter().rposition(|it| it.id == record.id) {
                    records.remove(old);
                }
                let at = place(records, &record).unwrap_or_else(|at| at);
                records.insert(at, record);
            }
        }
    }

    pub(crate) fn remove(&mut self, data_type: DataType, id: &str) -> Option<Record> {
        let records = self.of_mut(data_type);
        let at = records.iter().rposition(|record| record.id == id)?;
        Some(records.remove(at))
    }

    /// A cycle that took over from another ends where that one would have.
    pub(crate) fn end_cycle(&mut self, id: &str, ended: &Record) {
        let Some(cycle) = self.find(DataType::Cycle, id) else {
            return;
        };
        let mut value = cycle.value();
        value["end"] = json!(ended.end.map(clock::print));
        value["updated_at"] = ended.value()["updated_at"].clone();
        let place = (cycle.start, cycle.end);
        if let Some(record) = Record::from_value(DataType::Cycle, &value, place) {
            self.put(DataType::Cycle, record);
        }
    }
}
