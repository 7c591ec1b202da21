//! The routes for the operator, which members must not be able to use.

use serde_json::{Value, json};

use crate::harness::{
    Answer, SERVICE_KEY, Stage, until,
    webhooks::{Webhook, event},
};

async fn operator(stage: &Stage, path: &str) -> Value {
    let ask = stage.client.get(&format!("/api/v1/whoop/admin/{path}"));
    ask.with_token(SERVICE_KEY).send().await.expect(200)
}

async fn replay(stage: &Stage, which: &Value) -> Answer {
    let ask = stage.client.post("/api/v1/whoop/admin/webhooks/replay");
    ask.with_token(SERVICE_KEY).with_json(which).send().await
}

#[tokio::test]
async fn the_operators_routes_refuse_members_and_unknown_callers() {
    let (stage, alice) = Stage::with_member().await;

    for (method, path) in [
        (reqwest::Method::GET, "status"),
        (reqwest::Method::POST, "doctor"),
        (reqwest::Method::GET, "webhooks"),
        (reqwest::Method::POST, "webhooks/replay"),
    ] {
        let path = format!("/api/v1/whoop/admin/{path}");
        let ask = || stage.client.ask(method.clone(), &path);
        let member = ask().with_token(&alice.token).send().await;
        member.assert_problem(403, "not-an-operator");
        ask().send().await.assert_problem(401, "no-credentials");
    }
}

#[tokio::test]
async fn the_overview_has_the_numbers_of_the_database() {
    let (stage, alice) = Stage::with_member().await;
    alice.day("").await;
    stage.connect_person("bob", 1).await;
    stage
        .world()
        .oauth()
        .revoke_grants(stage.world().people()[1]);
    stage.member("bob").day("?refresh=force").await;

    let status = operator(&stage, "status").await;

    assert_eq!(
        status["members"],
        json!({"connected": 1, "reauth_required": 1})
    );
    let quota = &status["quota"];
    let spent: u64 = quota["spent"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    let remaining = quota["left_in_day"].as_u64().unwrap();
    assert_eq!(spent + remaining, quota["calls_per_day"].as_u64().unwrap());
    assert!(spent >= 8, "{quota}");
    assert!(
        status["freshness"]["oldest_seconds"]["sleep"].is_number(),
        "{status}"
    );
    assert_eq!(status["runs"], json!([]));
}

#[tokio::test]
async fn the_doctor_returns_its_checks_with_remedies() {
    let (stage, _alice) = Stage::with_member().await;

    let ask = stage.client.post("/api/v1/whoop/admin/doctor");
    let found = ask.with_token(SERVICE_KEY).send().await.expect(200);

    let checks = found["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|one| one["check"] == name).unwrap();
    assert_eq!(of("WHOOP")["state"], "ok");
    assert_eq!(of("runs")["state"], "warning");
    assert!(of("runs")["what_to_do"].as_str().unwrap().contains("cron"));
}

#[tokio::test]
async fn selected_webhook_events_are_processed_again() {
    let (stage, _alice) = Stage::with_member().await;
    let unknown = event(
        987_654,
        "sleep.updated",
        "aaaaaaaa-1111-4111-8111-111111111111",
        "nobody-s",
    );
    let webhook = Webhook::of(&unknown, stage.clock_now());
    webhook.send(&stage.client).await.assert_status(204);
    let is_unknown =
        async || operator(&stage, "webhooks").await["counts"] == json!({"unknown_member": 1});
    until("the event has the state unknown_member", is_unknown).await;
    let listed = operator(&stage, "webhooks?state=unknown_member").await;
    let id = listed["events"][0]["id"].as_i64().unwrap();
    assert_eq!(
        operator(&stage, "webhooks?state=dead").await["events"],
        json!([])
    );

    let again = replay(&stage, &json!({"ids": [id]})).await.expect(200);

    assert_eq!(again, json!({"replayed": 1}));
    until("the event has the state unknown_member again", is_unknown).await;
    let none = replay(&stage, &json!({"states": ["dead"]}))
        .await
        .expect(200);
    assert_eq!(none, json!({"replayed": 0}));
}

#[tokio::test]
async fn a_replay_without_a_selection_is_refused() {
    let stage = Stage::new().await;

    for body in [
        json!({}),
        json!({"ids": []}),
        json!({"ids": [], "states": []}),
    ] {
        replay(&stage, &body)
            .await
            .assert_invalid("names-nothing", "ids");
    }
    let states = json!({"ids": [1], "states": []});
    replay(&stage, &states)
        .await
        .assert_invalid("names-nothing", "states");
    let odd = replay(&stage, &json!({"states": ["gone"]})).await;
    odd.assert_invalid("invalid-state", "states");
    let ask = stage.client.get("/api/v1/whoop/admin/webhooks?state=gone");
    let odd = ask.with_token(SERVICE_KEY).send().await;
    odd.assert_invalid("invalid-state", "state");
}
