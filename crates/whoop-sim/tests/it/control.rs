//! Tests of the routes under `/_sim/` and of the library's `WorldHandle`.

use crate::support::{Answer, Member, frozen, http, send};
use serde_json::{Value, json};
use whoop_sim::{EditError, SimConfig, SimDataType, SimError, SimServer};

async fn post(sim: &SimServer, route: &str, body: &str) -> Answer {
    let url = format!("{}/_sim/{route}", sim.base_url());
    send(http().post(url).body(body.to_owned())).await
}

#[tokio::test]
async fn the_truth_route_equals_the_truth_of_the_handle() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let url = format!("{}/_sim/truth", sim.base_url());
    let all = send(http().get(&url)).await.json();
    for (index, id) in sim.world().people().into_iter().enumerate() {
        let one = send(http().get(format!("{url}?whoop_user_id={id}"))).await;
        assert_eq!(one.json(), sim.world().records().truth(id));
        assert_eq!(all["people"][index], one.json());
    }
    assert_eq!(
        send(http().get(format!("{url}?whoop_user_id=1")))
            .await
            .status,
        404
    );
    assert_eq!(
        send(http().get(format!("{url}?whoop_user_id=a")))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn deleting_a_sleep_deletes_its_recovery() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);
    let recovery = &truth["recoveries"][2];
    let body = json!({
        "whoop_user_id": member.id, "data_type": "sleep", "op": "delete",
        "id": recovery["sleep_id"],
    });

    assert_eq!(post(&sim, "edit", &body.to_string()).await.status, 200);
    let recovery_reply = member
        .get(&format!("cycle/{}/recovery", recovery["cycle_id"]))
        .await;
    assert_eq!(recovery_reply.status, 404);
    assert_eq!(post(&sim, "edit", &body.to_string()).await.status, 404);
}

#[tokio::test]
async fn an_edit_changes_only_its_fields_and_updated_at() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let id = sim.world().people()[0];
    let mut record = sim.world().records().truth(id)["recoveries"][9].clone();
    let cycle_id = record["cycle_id"].clone();
    let body = json!({
        "whoop_user_id": id, "data_type": "recovery", "op": "patch", "id": cycle_id,
        "merge": {"score": {"recovery_score": 12}},
    });
    assert_eq!(post(&sim, "edit", &body.to_string()).await.status, 200);

    record["score"]["recovery_score"] = json!(12);
    record["updated_at"] = json!("2026-11-20T18:00:00.000Z");
    assert_eq!(sim.world().records().truth(id)["recoveries"][9], record);
}

#[tokio::test]
async fn a_recovery_is_sorted_by_the_new_times_of_an_edited_sleep() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let recovery = sim.world().records().truth(member.id)["recoveries"][2].clone();
    let sleep = recovery["sleep_id"].as_str().unwrap();
    let change = json!({"start": "2026-11-20T17:00:00.000Z", "end": "2026-11-20T17:50:00.000Z"});

    sim.world()
        .records()
        .patch(member.id, SimDataType::Sleep, sleep, change)
        .unwrap();
    assert_eq!(member.get("recovery").await.json()["records"][0], recovery);
}

#[tokio::test]
async fn an_inserted_record_gets_default_fields_and_is_listed_in_order() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let record = json!({"start": "2026-11-20T16:00:00.000Z", "end": "2026-11-20T16:30:00.000Z",
        "sport_name": "chess"});
    let id = sim
        .world()
        .records()
        .insert(member.id, SimDataType::Workout, record.clone())
        .unwrap();

    let found = member.get(&format!("activity/workout/{id}")).await.json();
    assert_eq!(found["score_state"], "PENDING_SCORE");
    assert_eq!(found["user_id"], member.id);
    assert_eq!(
        member.get("activity/workout").await.json()["records"][0],
        found
    );

    let mut duplicate = record;
    duplicate["id"] = json!(id);
    let refused = sim
        .world()
        .records()
        .insert(member.id, SimDataType::Workout, duplicate);
    assert_eq!(refused, Err(EditError::IdTaken));
}

#[tokio::test]
async fn a_recovery_is_inserted_without_its_sleep_and_without_its_cycle() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let cycles = member.get("cycle").await.json();
    let cycle_id = json!(cycles["records"][4]["id"]);
    let recovery = member
        .get(&format!("cycle/{cycle_id}/recovery"))
        .await
        .json();
    let sleep = recovery["sleep_id"].as_str().unwrap();
    sim.world()
        .records()
        .delete(member.id, SimDataType::Sleep, sleep)
        .unwrap();

    let record = json!({"cycle_id": cycle_id, "score_state": "UNSCORABLE"});
    let without_cycle = json!({"cycle_id": 12, "created_at": "2026-11-20T17:00:00.000Z"});
    for record in [record, without_cycle] {
        sim.world()
            .records()
            .insert(member.id, SimDataType::Recovery, record)
            .unwrap();
    }

    let listed = member.get("recovery?limit=25").await.json();
    let listed: Vec<_> = listed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["cycle_id"].clone())
        .collect();
    assert_eq!(listed[0], 12);
    assert!(listed[1..].contains(&cycle_id));
    let again = member
        .get(&format!("cycle/{cycle_id}/recovery"))
        .await
        .json();
    assert!(again["sleep_id"].is_string());
}

#[tokio::test]
async fn the_clock_can_be_read_set_and_advanced() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let set = post(&sim, "clock", r#"{"now":"2027-01-01T01:00:00+01:00"}"#).await;
    assert_eq!(set.json()["now"], "2027-01-01T00:00:00.000Z");
    let moved = post(&sim, "clock", r#"{"advance_seconds":90}"#).await;
    assert_eq!(moved.json()["now"], "2027-01-01T00:01:30.000Z");
    let read = send(http().get(format!("{}/_sim/clock", sim.base_url()))).await;
    assert_eq!(read.json(), moved.json());
}

#[tokio::test]
async fn the_next_call_of_a_revoked_member_is_refused() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let body = json!({"whoop_user_id": member.id}).to_string();
    let revoked = post(&sim, "revoke", &body).await;
    assert_eq!(revoked.json()["was_connected"], true);
    assert_eq!(member.get("cycle").await.status, 401);
    assert_eq!(
        post(&sim, "revoke", &body).await.json()["was_connected"],
        false
    );
}

#[tokio::test]
async fn malformed_control_bodies_are_refused_with_a_reason() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let id = sim.world().people()[0];
    let edits = [
        json!({"whoop_user_id": id, "data_type": "dream", "op": "delete", "id": 1}),
        json!({"whoop_user_id": id, "data_type": "cycle", "op": "delete"}),
        json!({"whoop_user_id": id, "data_type": "cycle", "op": "insert", "record": 5}),
        json!({"whoop_user_id": id, "data_type": "cycle", "op": "insert", "record": {"id": []}}),
        json!({"whoop_user_id": id, "data_type": "recovery", "op": "insert", "record": {}}),
        json!({"whoop_user_id": id, "data_type": "cycle", "op": "insert", "recrod": {}}),
    ];
    let mut bad: Vec<(&str, String)> = edits
        .iter()
        .map(|edit| ("edit", edit.to_string()))
        .collect();
    for (page, body) in [
        ("edit", "{"),
        ("faults", "{}"),
        (
            "faults",
            r#"[{"route":"moon","kind":"status","status":500}]"#,
        ),
        ("faults", r#"[{"route":"cycle","kind":"status"}]"#),
        (
            "faults",
            r#"[{"route":"cycle","kind":"status","status":99999}]"#,
        ),
        ("faults", r#"[{"route":"cycle","kind":"latency"}]"#),
        (
            "faults",
            r#"[{"route":"cycle","kind":"reset","probability":2}]"#,
        ),
        ("clock", "{}"),
        ("clock", r#"{"now":"soon"}"#),
        (
            "clock",
            r#"{"now":"2027-01-01T00:00:00Z","advance_seconds":1}"#,
        ),
        ("clock", r#"{"advance_seconds":9223372036854775807}"#),
        ("clock", r#"{"now":"9999-12-31T23:59:59Z"}"#),
        ("revoke", "[]"),
        ("revoke", "\u{fffd}"),
    ] {
        bad.push((page, body.to_owned()));
    }
    for (page, body) in bad {
        let refused = post(&sim, page, &body).await;
        assert_eq!(refused.status, 400, "{page} {body}");
        assert!(refused.json()["error"].is_string(), "{page} {body}");
    }
}

#[tokio::test]
async fn faults_are_set_as_a_whole_list_and_can_be_read_back() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let list = r#"[{"route":"cycle","kind":"status","status":500,"times":1}]"#;
    let set = post(&sim, "faults", list).await.json();
    assert_eq!(set["faults"][0]["route"], "cycle");
    assert_eq!(member.get("cycle").await.status, 500);
    assert_eq!(
        post(&sim, "faults", "[]").await.json(),
        json!({"faults": []})
    );
}

#[tokio::test]
async fn the_front_page_describes_the_simulator() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let front = send(http().get(sim.base_url())).await;
    assert!(front.text.contains("simulator"));
    let unknown_route = send(http().get(format!("{}/_sim/moon", sim.base_url()))).await;
    assert_eq!(
        (
            unknown_route.status,
            unknown_route.json()["error"].is_string()
        ),
        (404, true)
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes_and_another_seed_other_bytes() {
    let truth = async |seed| {
        let config = SimConfig {
            seed,
            people: 9,
            ..frozen()
        };
        let sim = SimServer::start(config).await.unwrap();
        let page = send(http().get(format!("{}/_sim/truth", sim.base_url()))).await;
        page.text
    };
    let first = truth(11).await;
    assert_eq!(first, truth(11).await);
    assert_ne!(first, truth(12).await);
}

#[test]
fn the_simulator_runs_with_any_runtime_and_frees_its_port_when_dropped() {
    let current = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    let multi = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    for runtime in [current().unwrap(), multi().unwrap()] {
        let sim = runtime.block_on(SimServer::start(frozen())).unwrap();
        let address = sim.address();
        // The simulator is dropped outside of any runtime.
        drop(runtime);
        drop(sim);
        std::net::TcpListener::bind(address).unwrap();
    }
}

#[tokio::test]
async fn a_failed_start_returns_the_reason() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let taken = SimConfig {
        listen: sim.address(),
        ..frozen()
    };
    assert!(matches!(
        SimServer::start(taken).await,
        Err(SimError::Listen { .. })
    ));
    let invalid = SimConfig {
        speed: f64::NAN,
        ..frozen()
    };
    assert!(matches!(
        SimServer::start(invalid).await,
        Err(SimError::Config(_))
    ));
    assert_eq!(sim.world().records().truth(1), Value::Null);
}

#[tokio::test]
async fn the_security_policy_of_the_front_page_allows_no_other_hosts() {
    let sim = SimServer::start(frozen()).await.unwrap();
    for path in ["/", "/_sim/page.css", "/_sim/page.js"] {
        let file = send(http().get(format!("{}{path}", sim.base_url()))).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert!(!file.text.contains("innerHTML"), "{path}");
    }
}

#[tokio::test]
async fn the_state_counts_calls_tokens_and_people() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    assert_eq!(member.get("cycle").await.status, 200);
    let url = format!("{}/_sim/state", sim.base_url());
    let state = send(http().get(url)).await.json();
    assert_eq!(state["quota"]["minute"]["used"], 1);
    assert_eq!(state["api_calls_by_minute"]["answered"][59], 1);
    assert_eq!(
        state["tokens"],
        json!({"grants": 1, "access": 1, "refresh": 1})
    );
    assert_eq!(
        (&state["people"], &state["connected"]),
        (&json!(3), &json!(1))
    );
}

#[tokio::test]
async fn people_can_be_listed_in_parts() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let url = format!("{}/_sim/people", sim.base_url());
    let part = send(http().get(format!("{url}?offset=1&limit=1"))).await;
    let part = part.json();
    assert_eq!(part["total"], 3);
    assert_eq!(part["people"].as_array().unwrap().len(), 1);
    assert_eq!(part["people"][0]["whoop_user_id"], sim.world().people()[1]);
    let wrong = send(http().get(format!("{url}?limit=a"))).await;
    assert_eq!(wrong.status, 400);
}
