//! Tests that the OpenAPI description of the routes under `/_sim/` is complete and correct.

use serde_json::{Value, json};
use whoop_sim::{SimConfig, SimServer};

use crate::support::{Member, frozen, http, send};

async fn described() -> (SimServer, Value) {
    let sim = SimServer::start(SimConfig {
        days: 5,
        ..frozen()
    })
    .await
    .unwrap();
    let url = format!("{}/_sim/openapi.json", sim.base_url());
    let description = send(http().get(url)).await.json();
    (sim, description)
}

fn valid(description: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let mut schema = schema.clone();
    schema["components"] = description["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .validate(value)
        .map_err(|error| format!("{error}: {value}"))
}

#[tokio::test]
async fn every_described_route_exists() {
    let (sim, description) = described().await;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            let url = format!("{}{path}", sim.base_url());
            let answer = send(http().request(method, url)).await;
            assert!(!answer.text.contains("no such route"), "{path}");
            assert_ne!(answer.status, 405, "{path}");
        }
    }
}

/// Reads the routes from the source code that registers them, and fails if a route has no
/// description.
#[tokio::test]
async fn every_route_is_described() {
    let (_sim, description) = described().await;
    let control = include_str!("../../src/http/control.rs");
    let mut found = 0;
    for line in control.lines().filter(|line| line.contains(".route(\"/")) {
        let path = line.split('"').nth(1).unwrap();
        let method = line.split("web::").nth(1).unwrap();
        let method = method.split('(').next().unwrap();
        let route = &description["paths"][format!("/_sim{path}")][method];
        assert!(route.is_object(), "{method} {path}");
        found += 1;
    }
    assert!(found > 15, "{found}");
}

#[tokio::test]
async fn every_example_matches_its_schema_and_is_accepted() {
    let (sim, description) = described().await;
    Member::connect(&sim, 0).await;
    let mut tried = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let content = &methods["post"]["requestBody"]["content"]["application/json"];
        let Some(examples) = content["examples"].as_object() else {
            continue;
        };
        for example in examples.values() {
            let value = &example["value"];
            valid(&description, &content["schema"], value).unwrap();
            let url = format!("{}{path}", sim.base_url());
            let answer = send(http().post(url).json(value)).await;
            assert!(
                answer.status < 400 || answer.status == 404,
                "{path}: {}",
                answer.text
            );
            tried += 1;
        }
    }
    assert!(tried > 12, "{tried}");
}

#[tokio::test]
async fn the_responses_match_their_schemas() {
    let (sim, description) = described().await;
    for route in [
        "people", "state", "calls", "faults", "clock", "protocol", "webhooks",
    ] {
        let answer = send(http().get(format!("{}/_sim/{route}", sim.base_url()))).await;
        let path = &description["paths"][format!("/_sim/{route}")];
        let schema = &path["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        valid(&description, schema, &answer.json()).unwrap();
    }
    let refused = send(
        http()
            .post(format!("{}/_sim/clock", sim.base_url()))
            .json(&json!({})),
    )
    .await;
    assert!(refused.json()["error"].is_string());
}
