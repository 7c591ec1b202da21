//! The OpenAPI description: it is complete and has the right version.
//!
//! The test client checks in every test that each response matches the description.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::harness::{SERVICE_KEY, Stage, documented, schema_of};

/// Source text of the router, so that new routes are found.
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
fn the_description_and_the_router_know_the_same_paths() {
    let described: BTreeSet<String> = documented().into_iter().map(|one| one.path).collect();

    assert_eq!(described, paths_of_the_router());
}

#[tokio::test]
async fn the_description_and_the_router_know_the_same_methods() {
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
            // HEAD is described together with GET.
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!(described, allowed, "{path}");
    }
}

#[tokio::test]
async fn it_is_openapi_3_1_and_served_as_it_was_made() {
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
async fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);

    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members.values().for_each(|one| collect(one, references));
        }
        Value::Array(items) => items.iter().for_each(|one| collect(one, references)),
        _ => {}
    }
}

#[test]
fn every_operation_of_a_member_or_an_operator_asks_for_a_token_and_names_its_refusals() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();

    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let operation = &document["paths"][one.path.as_str()][method.as_str()];
        assert!(operation["summary"].is_string(), "{one:?} has no summary");
        let of_a_member = one.path.contains("{user_id}");
        let is_guarded = of_a_member || one.path.contains("/admin/");
        let asks = operation["security"]
            .as_array()
            .is_some_and(|ways| !ways.is_empty());
        assert_eq!(asks, is_guarded, "{one:?}");
        for status in ["400", "401", "403", "503"] {
            let is_described = operation["responses"][status].is_object();
            // Two of the operator's routes have no input that could be invalid.
            let is_needed = of_a_member || is_guarded && status != "400";
            assert!(is_described || !is_needed, "{one:?} lacks {status}");
        }
    }
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!(scheme["scheme"], "bearer");
}

#[test]
fn every_operation_that_asks_who_calls_names_the_scope_of_a_service_key() {
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();
    let mut scopes = BTreeSet::new();

    for one in documented() {
        let method = one.method.as_str().to_lowercase();
        let security = &document["paths"][one.path.as_str()][method.as_str()]["security"];
        let ways = security.as_array().unwrap();
        if ways.is_empty() {
            continue;
        }
        let of_members = usize::from(!one.path.contains("/admin/"));
        let bearers = ways.iter().filter(|way| way["bearer"].is_array()).count();
        assert_eq!(bearers, of_members, "{one:?}");
        let keys: Vec<&Value> = ways
            .iter()
            .filter_map(|way| way.get("serviceKey"))
            .collect();
        let [scope] = keys.as_slice() else {
            panic!("{one:?} is closed to service keys, or open in two ways: {security}");
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
fn a_day_and_a_problem_are_described_member_by_member() {
    for (name, members) in [
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
            "Meta",
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
        for member in *members {
            assert!(
                schema_of(name)["properties"][*member].is_object(),
                "{name}.{member} is not described"
            );
        }
    }
}

#[tokio::test]
async fn health_is_told_in_a_word() {
    let stage = Stage::new().await;

    for path in ["/healthz", "/readyz"] {
        for token in ["", SERVICE_KEY, "garbage"] {
            let answer = stage.client.get(path).with_token(token).send().await;
            assert_eq!(answer.expect(200), serde_json::json!({"status": "ok"}));
        }
    }
}
