//! JSON merge patch (RFC 7396), with which tests edit a record.

use serde_json::{Map, Value};

/// Applies a patch to `target`.
///
/// `null` removes a field, as the RFC specifies. `{"$null": true}` sets a field to null, which
/// tests need because WHOOP sends nulls.
pub(crate) fn apply_merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if changes.len() == 1 && changes.get("$null") == Some(&Value::Bool(true)) {
        *target = Value::Null;
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            members.remove(key);
        } else {
            apply_merge_patch(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_merged_replaced_removed_and_set_to_null() {
        let mut record = json!({"score": {"strain": 1, "kilojoule": 2}, "end": "x", "id": 1});
        apply_merge_patch(
            &mut record,
            &json!({"score": {"strain": 9}, "end": {"$null": true}, "id": null, "new": [1]}),
        );
        assert_eq!(
            record,
            json!({"score": {"strain": 9, "kilojoule": 2}, "end": null, "new": [1]})
        );
    }
}
