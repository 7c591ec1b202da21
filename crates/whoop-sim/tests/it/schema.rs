//! Tests every reply of every route against a schema, for all life patterns.

use crate::support::{COLLECTIONS, Member, frozen, token};
use serde_json::{Value, json};
use whoop_sim::{SimConfig, SimServer};

struct Schemas(Value);

impl Schemas {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("../schema/whoop-v2.json")).unwrap())
    }

    fn check(&self, name: &str, value: &Value) {
        let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": self.0["$defs"]});
        let validator = jsonschema::validator_for(&schema).unwrap();
        if let Some(error) = validator.iter_errors(value).next() {
            panic!("{name} at {}: {error}\n{value}", error.instance_path());
        }
    }
}

#[tokio::test]
async fn every_reply_of_every_life_pattern_matches_the_schema() {
    let schemas = Schemas::load();
    let sim = SimServer::start(SimConfig {
        people: 12,
        ..frozen()
    })
    .await
    .unwrap();

    for index in 0..12 {
        let member = Member::connect(&sim, index).await;
        schemas.check("profile", &member.get("user/profile/basic").await.json());
        let body = member.get("user/measurement/body").await;
        if body.status == 200 {
            schemas.check("body", &body.json());
        }
        for ((path, _), name) in COLLECTIONS
            .iter()
            .zip(["cycle", "recovery", "sleep", "workout"])
        {
            let records = member.read_all(path, "25").await;
            assert!(!records.is_empty(), "{path} of person {index}");
            let schema = json!({"type": "array", "items": {"$ref": format!("#/$defs/{name}")},
                "$defs": schemas.0["$defs"]});
            let validator = jsonschema::validator_for(&schema).unwrap();
            let records = Value::Array(records);
            if let Some(error) = validator.iter_errors(&records).next() {
                panic!("{path} at {}: {error}", error.instance_path());
            }
            if name != "recovery" {
                let id = records[1]["id"].to_string();
                let record = member
                    .get(&format!("{path}/{}", id.trim_matches('"')))
                    .await;
                assert_eq!(record.json(), records[1]);
            }
        }
    }
}

#[tokio::test]
async fn a_cycle_has_routes_to_its_main_sleep_and_its_recovery() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);

    for cycle in truth["cycles"].as_array().unwrap().iter().take(10) {
        let id = &cycle["id"];
        let sleep = member.get(&format!("cycle/{id}/sleep")).await.json();
        let recovery = member.get(&format!("cycle/{id}/recovery")).await.json();

        assert_eq!(sleep["nap"], false);
        assert_eq!(sleep["start"], cycle["start"]);
        assert_eq!(recovery["sleep_id"], sleep["id"]);
        assert_eq!(&recovery["cycle_id"], id);
    }
}

#[tokio::test]
async fn token_replies_match_the_schema() {
    let schemas = Schemas::load();
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &member.refresh),
        ("scope", "offline"),
    ];
    schemas.check("token", &token(&sim, &fields).await.json());
}

#[tokio::test]
async fn keys_have_the_order_of_whoops_replies_even_after_an_edit() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);
    let id = truth["workouts"][0]["id"].as_str().unwrap();
    let path = format!("activity/workout/{id}");
    let keys = |text: &str| {
        let order = [
            "\"id\"",
            "\"v1_id\"",
            "\"user_id\"",
            "\"created_at\"",
            "\"sport_name\"",
        ];
        order.map(|key| text.find(key).unwrap())
    };

    let generated = keys(&member.get(&path).await.text);
    assert!(generated.is_sorted());

    let change = json!({"sport_name": "chess"});
    let data_type = whoop_sim::SimDataType::Workout;
    sim.world()
        .records()
        .patch(member.id, data_type, id, change)
        .unwrap();
    let edited = member.get(&path).await;
    assert_eq!(edited.json()["sport_name"], "chess");
    assert!(keys(&edited.text).is_sorted());
}
