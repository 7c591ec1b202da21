//! `sync-worker webhooks`: the operator's commands for the inbox.

use serde_json::{Value, json};
use whoop_sim::{Fault, SimDataType};

use crate::house::{House, plenty};

/// Creates a member with a rescored night that WHOOP has announced and the service has not fetched.
async fn with_an_event() -> (House, Value) {
    let house = House::new(plenty()).await;
    let person = house.connect("ann", 0).await;
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    let world = house.world();
    let recovery = world.records().truth(person)["recoveries"][0].clone();
    let rescored = json!({"score": {"recovery_score": 5}});
    world
        .records()
        .patch(
            person,
            SimDataType::Recovery,
            &recovery["cycle_id"],
            rescored,
        )
        .unwrap();
    house
        .receive(person, "recovery.updated", &recovery["sleep_id"])
        .await;
    (house, recovery)
}

impl House {
    /// Stores an event as the API does.
    async fn receive(&self, person: i64, kind: &str, id: &Value) {
        let id = id.as_str().unwrap();
        self.execute(&format!(
            "INSERT INTO whoop_webhook_event \
                 (trace_id, event_type, record_id, whoop_user_id, signed_at, received_at, due_at) \
             VALUES (gen_random_uuid()::TEXT, '{kind}', '{id}', {person}, now(), now(), now())"
        ))
        .await;
    }

    async fn events(&self, args: &[&str]) -> Vec<Value> {
        let list = [&["webhooks", "list", "--json"], args].concat();
        let listed = self.worker(&list).await.expect_code(0).json();
        listed["events"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn pending_events_are_listed_and_processed() {
    let (house, recovery) = with_an_event().await;
    let pending = house.events(&["--state=pending"]).await;
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["record_id"], recovery["sleep_id"]);

    let drained = house
        .worker(&["webhooks", "drain", "--json"])
        .await
        .expect_code(0)
        .json();

    assert_eq!(
        drained,
        json!({"done": 1, "put_off": 0, "dead": 0, "unknown_member": 0, "calls": 1, "exit_code": 0})
    );
    let id = &recovery["cycle_id"];
    let score = format!("SELECT recovery_score::TEXT FROM whoop_recovery WHERE id = '{id}'");
    assert_eq!(house.texts(&score).await, ["5"]);
    let again = house.worker(&["webhooks", "drain"]).await;
    again.expect_code(0);
    assert!(
        again.stdout.starts_with("0 event(s) processed"),
        "{again:#?}"
    );
    let shown = house.worker(&["webhooks", "list"]).await;
    assert!(
        shown.expect_code(0).stdout.contains("recovery.updated"),
        "{shown:#?}"
    );
}

#[tokio::test]
async fn a_dead_event_has_its_reason_and_can_be_replayed_by_id_by_member_and_by_time() {
    let (house, _) = with_an_event().await;
    house.world().add_fault(Fault::status("recovery", 500));
    house
        .execute("UPDATE whoop_webhook_event SET attempts = 15")
        .await;

    let drained = house.worker(&["webhooks", "drain", "--json"]).await;

    assert_eq!(drained.expect_code(3).json()["dead"], 1);
    let dead = house.events(&["--state=dead"]).await;
    assert!(
        dead[0]["last_error"].as_str().unwrap().contains("500"),
        "{dead:?}"
    );
    let doctor = house.worker(&["doctor"]).await;
    assert!(
        doctor.stdout.contains("webhooks replay --state dead"),
        "{doctor:#?}"
    );
    house.world().clear_faults();
    let id = dead[0]["id"].to_string();
    for (which, replayed) in [
        (vec!["--id=999999"], 0),
        (vec!["--user=somebody-else"], 0),
        (vec!["--until=2020-01-01"], 0),
        (vec!["--id", &id, "--user=ann", "--state=dead"], 1),
        (vec!["--since=2020-01-01"], 1),
    ] {
        let args = [&["webhooks", "replay", "--json"], which.as_slice()].concat();
        let answer = house.worker(&args).await.expect_code(0).json();
        assert_eq!(answer["replayed"], replayed, "{which:?}");
    }
    house.worker(&["webhooks", "drain"]).await.expect_code(0);
    assert_eq!(house.events(&["--state=done"]).await.len(), 1);
}

#[tokio::test]
async fn an_outage_of_whoop_defers_events_and_ends_with_4() {
    let (house, _) = with_an_event().await;
    house.world().add_fault(Fault::status("recovery", 500));

    let drained = house.worker(&["webhooks", "drain", "--json"]).await;

    assert_eq!(drained.expect_code(4).json()["put_off"], 1);
    assert_eq!(house.events(&[]).await[0]["attempts"], 1);
}

#[tokio::test]
async fn a_replay_without_a_filter_is_wrong_usage() {
    let house = House::new(plenty()).await;

    let ended = house.worker(&["webhooks", "replay"]).await;

    ended.expect_code(2).expect_in_stderr("--state dead");
    for args in [
        vec!["webhooks", "replay", "--since=2999-01-01"],
        vec!["webhooks", "list", "--state=lost"],
        vec!["webhooks", "list", "--limit=0"],
        vec![
            "webhooks",
            "list",
            "--since=2026-02-02",
            "--until=2026-01-01",
        ],
    ] {
        house.worker(&args).await.expect_code(2);
    }
}
