//! Edits of a test, which are applied again to later versions of the edited records.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::{data_type::SimDataType, merge_patch::apply_merge_patch, record::SimRecord};

type EditedRecordKey = (SimDataType, String);

#[derive(Debug, Default)]
pub(crate) struct EditOverlay {
    patches: HashMap<EditedRecordKey, Vec<Value>>,
    deleted: HashSet<EditedRecordKey>,
    /// Maps the id of a running cycle that an edit ended early to the id of the new running cycle.
    ///
    /// When the first cycle would have ended, the new running cycle ends instead.
    replacements: HashMap<String, String>,
}

impl EditOverlay {
    /// Stores a patch, without its `updated_at`, for later versions of the record.
    ///
    /// For example, the patch is applied again when WHOOP has scored the record.
    pub(crate) fn add_patch(&mut self, data_type: SimDataType, id: &str, change: &Value) {
        let mut change = change.clone();
        if let Some(members) = change.as_object_mut() {
            members.remove("updated_at");
        }
        let key = (data_type, id.to_owned());
        self.patches.entry(key).or_default().push(change);
    }

    pub(crate) fn mark_deleted(&mut self, data_type: SimDataType, id: &str) {
        self.deleted.insert((data_type, id.to_owned()));
    }

    pub(crate) fn unmark_deleted(&mut self, data_type: SimDataType, id: &str) {
        self.deleted.remove(&(data_type, id.to_owned()));
        self.replacements.remove(id);
    }

    pub(crate) fn set_replacement(&mut self, replacement: &str, cycle: &str) {
        self.replacements
            .insert(cycle.to_owned(), replacement.to_owned());
    }

    pub(crate) fn replacement_of(&self, cycle: &str) -> Option<&str> {
        self.replacements.get(cycle).map(String::as_str)
    }

    /// Applies the edits to a generated record; returns `None` if an edit deleted the record.
    pub(crate) fn apply(&self, data_type: SimDataType, record: SimRecord) -> Option<SimRecord> {
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
        let mut value = record.to_value();
        for change in changes {
            apply_merge_patch(&mut value, change);
        }
        let times = (record.start, record.end);
        let patched = SimRecord::from_value(data_type, &value, times);
        Some(patched.map_or(record.clone(), |patched| SimRecord {
            grown_at: record.grown_at,
            ..patched
        }))
    }
}
