//! The OpenAPI description of the API: it is complete and has the right version.
//!
//! In addition, the test client checks in every test that each response matches the description.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::harness::{SERVICE_KEY, Stage, documented, schema_faults, schema_of};

/// Source text of the router. The tests read the routes from this text, so that new routes are
/// found.
const ROUTER: &str = include_str!("../../src/routes/mod.rs");

fn paths_of_the_router() -> BTreeSet<String> {
    let calls = |before: &'static str, prefix: &'static str| {
        ROUTER
            .split(before)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(move |path| format!("{prefix}{path}"))
    };
    calls("path(\"", "/api/v1/whoop/")
        .chain(calls("(\"/", "/"))
        .collect()
}

#[test]
fn the_description_and_the_router_have_the_same_paths() {
    let described: BTreeSet<String> = documented().into_iter().map(|one| one.path).collect();

    assert_eq!(described, paths_of_the_router());
}

#[tokio::test]
async fn the_description_and_the_router_have_the_same_methods() {
    let stage = Stage::new().await;

    for path in paths_of_the_router() {
        let described: BTreeSet<String> = documented()
            .into_iter()
            .filter(|one| one.path == path)
            .map(|one| one.method.to_string())
            .collect();
        let probe: Method = "PROBE".parse().unwrap();
        let target = path.replace("{user_id}", "alice");
        let answer = stage.client.ask(probe, &target).send().await;
        answer.assert_problem(405, "method-not-allowed");
        let allowed: BTreeSet<String> = answer
            .header("allow")
            .unwrap()
            .split(", ")
            // The description has no HEAD: it is described together with GET.
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!(described, allowed, "{path}");
    }
}

#[tokio::test]
async fn the_served_description_is_the_generated_one_in_openapi_3_1() {
    let stage = Stage::new().await;

    let document = stage.client.get("/openapi.json").send().await.expect(200);

    let version = document["openapi"].as_str().unwrap();
    assert!(version.starts_with("3.1"), "{version}");
    assert_eq!(
        document,
        serde_json::to_value(whoop_api::openapi_document()).unwrap()
    );
}

#[tokio::test]
async fn every_reference_has_a_target() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();
    let mut references = Vec::new();
    collect_references(&document, &mut references);

    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.push(reference.clone());
            }
            for field in fields.values() {
                collect_references(field, references);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, references);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_and_every_enum_value_is_described() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();

    assert!(schemas.len() > 40, "{}", schemas.len());
    for (name, schema) in schemas {
        let text = description_of(schema, &document);
        assert!(text.is_some(), "{name} is not described");
        for value in schema["enum"].as_array().into_iter().flatten() {
            let quoted = format!("`{}`", value.as_str().unwrap());
            let is_described = text.as_ref().is_some_and(|text| text.contains(&quoted));
            assert!(is_described, "{name} does not describe {quoted}");
        }
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let text = description_of(property, &document);
            assert!(text.is_some(), "{name}.{field} is not described");
        }
    }
}

/// Returns the description of a schema, or of the schema to which it refers.
fn description_of(schema: &Value, document: &Value) -> Option<String> {
    if let Some(text) = schema["description"].as_str() {
        return Some(text.to_owned());
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#')?)?;
        return description_of(target, document);
    }
    let mut choices = schema["oneOf"].as_array()?.iter();
    choices.find_map(|choice| description_of(choice, document))
}

#[test]
fn a_field_of_a_response_that_may_be_null_is_always_present() {
    for (name, field) in [
        ("Day", "recovery"),
        ("RecoveryPart", "score"),
        ("SleepPart", "stages"),
        ("WorkoutPart", "zones_milli"),
        ("DayMeta", "last_synced_at"),
        ("Change", "record"),
        ("SyncReport", "retry_after_seconds"),
    ] {
        let required = schema_of(name)["required"].as_array().unwrap();
        assert!(required.iter().any(|one| one == field), "{name}.{field}");
    }
    for (name, field) in [
        ("Day", "others"),
        ("SleepPart", "parts"),
        ("MissingParts", "sleep"),
        ("Problem", "field"),
        ("ConnectRequest", "return_to"),
    ] {
        let required = schema_of(name)["required"].as_array();
        let mut required = required.into_iter().flatten();
        assert!(!required.any(|one| one == field), "{name}.{field}");
    }
}

#[test]
fn every_json_answer_has_an_example_that_matches_its_schema() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();

    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let operation = &document["paths"][one.path.as_str()][method.as_str()];
        let media = &operation["responses"]["200"]["content"]["application/json"];
        // The OpenAPI document itself is its own example.
        if media.is_null() || one.path == "/openapi.json" {
            continue;
        }
        let example = media.get("example");
        let example = example.unwrap_or_else(|| panic!("{one:?} has no example"));
        let faults = schema_faults(&media["schema"], example);
        assert_eq!(faults, Vec::<String>::new(), "{one:?}");
    }
}

#[test]
fn operations_that_are_not_for_apps_are_marked_and_their_tags_are_last() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();

    let tags = document["tags"].as_array().unwrap().iter();
    let names: Vec<&str> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Connection", "Data", "Sync", "WHOOP", "Operations"]);
    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let operation = &document["paths"][one.path.as_str()][method.as_str()];
        let tag = operation["tags"][0].as_str().unwrap();
        let is_internal = operation["x-internal"] == true;
        assert_eq!(
            is_internal,
            ["WHOOP", "Operations"].contains(&tag),
            "{one:?}"
        );
    }
}

#[test]
fn every_route_of_a_member_or_the_operator_requires_credentials_and_describes_its_errors() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();

    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let operation = &document["paths"][one.path.as_str()][method.as_str()];
        assert!(operation["summary"].is_string(), "{one:?} has no summary");
        let of_a_member = one.path.contains("{user_id}");
        let is_guarded = of_a_member || one.path.contains("/admin/");
        let requires_credentials = operation["security"]
            .as_array()
            .is_some_and(|schemes| !schemes.is_empty());
        assert_eq!(requires_credentials, is_guarded, "{one:?}");
        for status in ["400", "401", "403", "503"] {
            let is_described = operation["responses"][status].is_object();
            // Two of the operator's routes cannot answer 400, because they have no input that could
            // be invalid.
            let is_needed = of_a_member || is_guarded && status != "400";
            assert!(is_described || !is_needed, "{one:?} lacks {status}");
        }
    }
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!(scheme["scheme"], "bearer");
}

#[test]
fn every_route_with_credentials_names_the_scope_that_a_service_key_needs() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();
    let mut scopes = BTreeSet::new();

    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let security = &document["paths"][one.path.as_str()][method.as_str()]["security"];
        let schemes = security.as_array().unwrap();
        if schemes.is_empty() {
            continue;
        }
        let for_members = usize::from(!one.path.contains("/admin/"));
        let bearers = schemes
            .iter()
            .filter(|scheme| scheme["bearer"].is_array())
            .count();
        assert_eq!(bearers, for_members, "{one:?}");
        let keys: Vec<&Value> = schemes
            .iter()
            .filter_map(|scheme| scheme.get("serviceKey"))
            .collect();
        let [scope] = keys.as_slice() else {
            panic!("{one:?} does not list service keys exactly once: {security}");
        };
        let scope = scope.as_array().unwrap();
        assert_eq!(scope.len(), 1, "{one:?}");
        scopes.insert(scope[0].as_str().unwrap().to_owned());
    }

    assert_eq!(
        scopes.into_iter().collect::<Vec<_>>(),
        ["erase", "operate", "read", "sync"]
    );
    let scheme = &document["components"]["securitySchemes"]["serviceKey"];
    assert_eq!(scheme["scheme"], "bearer");
}

#[test]
fn a_day_and_a_problem_are_described_field_by_field() {
    for (name, fields) in [
        (
            "Day",
            &[
                "user_id", "date", "recovery", "sleep", "naps", "cycle", "workouts", "missing",
                "meta",
            ]
            .as_slice(),
        ),
        (
            "Problem",
            &["type", "title", "status", "detail", "field"].as_slice(),
        ),
        (
            "DayMeta",
            &[
                "source",
                "connection",
                "last_synced_at",
                "stale",
                "sync",
                "detail",
            ]
            .as_slice(),
        ),
    ] {
        for field in *fields {
            assert!(
                schema_of(name)["properties"][*field].is_object(),
                "{name}.{field} is not described"
            );
        }
    }
}

#[tokio::test]
async fn health_checks_answer_ok_with_any_credentials() {
    let stage = Stage::new().await;

    for path in ["/healthz", "/readyz"] {
        for token in ["", SERVICE_KEY, "garbage"] {
            let answer = stage.client.get(path).with_token(token).send().await;
            assert_eq!(answer.expect(200), serde_json::json!({"status": "ok"}));
        }
    }
}
