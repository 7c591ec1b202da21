//! Example responses for the documentation of the API.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;
use utoipa::openapi::{RefOr, path::Operation};

/// Example body of the response 200, by operation id. A test validates each example against the
/// schema of its operation.
static EXAMPLES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("examples.json")).expect("a JSON object in the source")
});

/// Adds the example for an operation to its response 200. Does nothing if there is no example for
/// this operation.
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
