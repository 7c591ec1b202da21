//! Examples of responses, which the API's documentation shows.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;
use utoipa::openapi::{RefOr, path::Operation};

/// Body of the response 200, by operation id. A test compares each one with its schema.
static EXAMPLES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("examples.json")).expect("a JSON object in the source")
});

/// Adds an example to the response 200, if there is one for this operation.
pub(super) fn add_example(operation: &mut Operation) {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let Some(example) = EXAMPLES.get(id) else {
        return;
    };
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(response)) = responses.get_mut("200") else {
        return;
    };
    if let Some(RefOr::T(content)) = response.content.get_mut("application/json") {
        content.example = Some(example.clone());
    }
}
