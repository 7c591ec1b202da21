//! The OpenAPI description, against which the responses of the API are checked.

use std::sync::LazyLock;

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use super::Answer;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(whoop_api::openapi_document()).unwrap());

/// An operation of the description: a method, and a path that contains `{user_id}` instead of a
/// user id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Documented {
    pub(crate) path: String,
    pub(crate) method: Method,
}

/// Returns all operations of the description, with the DELETE operations last.
pub(crate) fn documented() -> Vec<Documented> {
    let mut all: Vec<Documented> = DOCUMENT["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| Documented {
                path: path.clone(),
                method: method.to_uppercase().parse().unwrap(),
            })
        })
        .collect();
    assert!(all.len() > 8, "the description does not list all routes");
    all.sort_by_key(|one| (one.method == Method::DELETE, one.path.clone()));
    all
}

impl Documented {
    pub(crate) fn of_member(&self, user_id: &str) -> String {
        let path = self
            .path
            .replace("{data_type}", "sleep")
            .replace("{user_id}", user_id);
        let needed: Vec<String> = self.operation()["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["in"] == "query" && one["required"] == true)
            .filter_map(|one| {
                let example = one["example"].as_str()?;
                Some(format!("{}={example}", one["name"].as_str()?))
            })
            .collect();
        match needed.is_empty() {
            true => path,
            false => format!("{path}?{}", needed.join("&")),
        }
    }

    pub(crate) fn takes_a_body(&self) -> bool {
        self.operation()["requestBody"].is_object()
    }

    fn is_at(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let (own, other) = (self.path.split('/'), path.split('/'));
        own.clone().count() == other.clone().count()
            && own
                .zip(other)
                .all(|(own, other)| own == other || (own.starts_with('{') && !other.is_empty()))
    }

    fn operation(&self) -> &'static Value {
        let method = self.method.as_str().to_lowercase();
        &DOCUMENT["paths"][self.path.as_str()][method]
    }
}

/// Asserts that the description contains the status of this response, and that the body matches its
/// schema.
#[track_caller]
pub(crate) fn assert_described(method: &Method, path: &str, answer: &Answer) {
    let status = answer.status;
    assert!(
        status < 500 || status == 503,
        "{method} {path}: {status} {}",
        answer.text
    );
    let kind = match status {
        // A response to HEAD has no body, and therefore no `type` of the error.
        ..400 => String::new(),
        _ if method == Method::HEAD => String::new(),
        _ => answer.problem(),
    };
    // These two errors are described for no operation, because no operation matches the request.
    if status == 405 || kind == "no-such-route" {
        return;
    }
    let method = if method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    let Some(operation) = documented()
        .into_iter()
        .find(|one| one.method == method && one.is_at(path))
    else {
        panic!("{method} {path} is not described and answers {status}");
    };
    let described = &operation.operation()["responses"][status.to_string()];
    assert!(
        described.is_object(),
        "{status} is not described for {method} {}: {}",
        operation.path,
        answer.text
    );
    let content = described["content"].as_object();
    let Some(content) = content else {
        return;
    };
    let content_type = answer.header("content-type").unwrap_or_default();
    let Some(media) = content.get(content_type) else {
        panic!("{method} {path}: {content_type:?} is not among {content:?}");
    };
    let is_json = content_type.ends_with("/json") || content_type.ends_with("+json");
    if answer.text.is_empty() || !is_json {
        return;
    }
    let body = answer.json();
    let faults = schema_faults(&media["schema"], &body);
    assert_eq!(faults, Vec::<String>::new(), "{method} {path}: {body:#}");
}

/// Returns the differences between a value and a schema of the description.
pub(crate) fn schema_faults(schema: &Value, value: &Value) -> Vec<String> {
    validator(schema)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect()
}

/// Returns the schema with this name from the description.
pub(crate) fn schema_of(name: &str) -> &'static Value {
    &DOCUMENT["components"]["schemas"][name]
}

fn validator(schema: &Value) -> Validator {
    let mut complete = json!({ "components": DOCUMENT["components"] });
    complete["allOf"] = json!([schema]);
    jsonschema::options()
        .should_validate_formats(true)
        .build(&complete)
        .unwrap()
}
