//! What was changed by hand, so that it is not undone by what happens later.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::{data_type::DataType, merge_patch::merge, record::Record};

type Key = (DataType, String);

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    patches: HashMap<Key, Vec<Value>>,
    deleted: HashSet<Key>,
    /// Which cycle ends when the other, by its id, would have.
    heirs: HashMap<String, String>,
}

impl Ledger {
    /// A score that settles later keeps what was written into the record.
    pub(crate) fn patched(&mut self, data_type: DataType, id: &str, change: &Value) {
        let mut change = change.clone();
        if let Some(members) = change.as_object_mut() {
            members.remove("updated_at");
        }
        let key = (data_type, id.to_owned());
        self.patches.entry(key).or_default().push(change);
    }

    pub(crate) fn deleted(&mut self, data_type: DataType, id: &str) {
        self.deleted.insert((data_type, id.to_owned()));
    }

    pub(crate) fn restored(&mut self, data_type: DataType, id: &str) {
        self.deleted.remove(&(data_type, id.to_owned()));
        self.heirs.remove(id);
    }

    pub(crate) fn inherits(&mut self, heir: &str, cycle: &str) {
        self.heirs.insert(cycle.to_owned(), heir.to_owned());
    }

    pub(crate) fn heir(&self, cycle: &str) -> Option<&str> {
        self.heirs.get(cycle).map(String::as_str)
    }

    /// A record of the story as it is after the edits; `None` if it was deleted.
    pub(crate) fn apply(&self, data_type: DataType, record: Record) -> Option<Record> {
        if self.deleted.is_empty() && self.patches.is_empty() {
            return Some(record);
        }
        let key = (data_type, record.id.clone());
        if self.deleted.contains(&key) {
            return None;
        }
        let Some(changes) = self.patches.get(&key) else {
            return Some(record);
        };
        let mut value = record.value();
        for change in changes {
            merge(&mut value, change);
        }
        let place = (record.start, record.end);
        let patched = Record::from_value(data_type, &value, place);
        Some(patched.map_or(record.clone(), |patched| Record {
            grown_at: record.grown_at,
            ..patched
        }))
    }
}
