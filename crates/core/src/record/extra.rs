use serde_json::{Map, Value};

/// Fields that WHOOP sent and that this version of the service does not know: the values by field
/// name.
pub type ExtraFields = Map<String, Value>;

/// Merges the unknown fields of a record and of its nested objects into one map, which is stored in
/// one column.
///
/// The unknown fields of the nested object at the path `["score", "stage_summary"]` become
/// `{"score": {"stage_summary": …}}`, so that a reader of the column finds them at the same path as
/// in WHOOP's JSON. Nested objects without unknown fields are omitted.
pub fn fold_extra_fields(top: &ExtraFields, nested: &[(&[&str], &ExtraFields)]) -> ExtraFields {
    let mut folded = top.clone();
    for (path, extra) in nested {
        if extra.is_empty() {
            continue;
        }
        let mut target = &mut folded;
        for key in *path {
            let entry = target
                .entry(*key)
                .or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            match entry {
                Value::Object(map) => target = map,
                _ => return folded,
            }
        }
        target.extend((*extra).clone());
    }
    folded
}

/// Removes the unknown fields of one nested object from the merged map and returns them.
///
/// The caller must remove the fields of the deepest objects first. Otherwise, the fields of a
/// nested object would be returned as a field of the object that contains it.
pub fn unfold_extra_fields(folded: &mut ExtraFields, path: &[&str]) -> ExtraFields {
    let Some((first, rest)) = path.split_first() else {
        return std::mem::take(folded);
    };
    let Some(Value::Object(inner)) = folded.get_mut(*first) else {
        return ExtraFields::new();
    };
    let taken = unfold_extra_fields(inner, rest);
    if inner.is_empty() {
        folded.remove(*first);
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> ExtraFields {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_was_folded_unfolds_to_the_same_maps() {
        let top = map(json!({"mood": "calm"}));
        let score = map(json!({"new": 1.25}));
        let stages = map(json!({"deep": {"a": [1, 2]}}));

        let mut folded = fold_extra_fields(
            &top,
            &[(&["score"], &score), (&["score", "stage_summary"], &stages)],
        );

        assert_eq!(
            Value::Object(folded.clone()),
            json!({"mood": "calm", "score": {"new": 1.25, "stage_summary": {"deep": {"a": [1, 2]}}}})
        );
        assert_eq!(
            unfold_extra_fields(&mut folded, &["score", "stage_summary"]),
            stages
        );
        assert_eq!(unfold_extra_fields(&mut folded, &["score"]), score);
        assert_eq!(folded, top);
    }

    #[test]
    fn without_unknown_fields_the_map_is_empty() {
        assert!(
            fold_extra_fields(&ExtraFields::new(), &[(&["score"], &ExtraFields::new())]).is_empty()
        );
    }
}
