//! Tests of the faults that a test can add to the simulated WHOOP.

use std::time::Duration;

use crate::support::{Member, frozen, token};
use serde_json::{Value, json};
use whoop_sim::{Fault, FaultKind, SimDataType, SimServer};

#[tokio::test]
async fn a_status_fault_affects_the_given_number_of_requests() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault {
        times: Some(2),
        ..Fault::status("sleep", 503)
    });

    assert_eq!(member.get("cycle").await.status, 200);
    assert_eq!(member.get("activity/sleep").await.status, 503);
    assert_eq!(member.get("activity/sleep").await.status, 503);
    assert_eq!(member.get("activity/sleep").await.status, 200);
}

#[tokio::test]
async fn a_failed_refresh_does_not_spend_the_refresh_token() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault {
        times: Some(1),
        body: Some(r#"{"error":"invalid_request"}"#.to_owned()),
        ..Fault::status("token", 400)
    });
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &member.refresh),
        ("scope", "offline"),
    ];

    let failed = token(&sim, &fields).await;
    assert_eq!(
        (failed.status, &failed.json()["error"]),
        (400, &json!("invalid_request"))
    );
    assert_eq!(token(&sim, &fields).await.status, 200);
}

#[tokio::test]
async fn a_reset_gives_no_answer_but_spends_the_refresh_token() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault::new("token", FaultKind::Reset));
    let form = [
        ("client_id", "whoop-sim-client"),
        ("client_secret", "whoop-sim-secret"),
        ("grant_type", "refresh_token"),
        ("refresh_token", &member.refresh),
        ("scope", "offline"),
    ];

    let url = format!("{}/token", sim.oauth_url());
    let response = member.http.post(url).form(&form).send().await;
    assert!(response.is_err(), "{response:?}");
    assert_eq!(sim.world().calls().last().unwrap().status, 0);
    assert_eq!(sim.world().oauth().refresh_count(member.id), 1);
    assert_eq!(member.get("cycle").await.status, 401);
}

#[tokio::test]
async fn a_truncated_answer_ends_in_the_middle() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world()
        .add_fault(Fault::new("cycle", FaultKind::Truncate));

    let url = format!("{}/v2/cycle", member.api);
    let response = member.http.get(url).bearer_auth(&member.access).send();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err());
}

#[tokio::test]
async fn a_stalled_answer_causes_a_client_timeout() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault::new("cycle", FaultKind::Stall));

    let request = member
        .http
        .get(format!("{}/v2/cycle", member.api))
        .bearer_auth(&member.access)
        .timeout(Duration::from_millis(200));
    let error = request.send().await.unwrap().text().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn not_json_answers_200_with_html() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault::new("*", FaultKind::NotJson));

    let page = member.get("recovery").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn exactly_one_record_of_a_page_is_broken() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world()
        .add_fault(Fault::new("recovery", FaultKind::BrokenRecord));

    let page = member.get("recovery").await.json();
    let records = page["records"].as_array().unwrap();
    let broken = |it: &&Value| !it["updated_at"].is_string();
    assert_eq!(records.iter().filter(broken).count(), 1);
}

#[tokio::test]
async fn every_record_can_have_an_unknown_field_and_an_unknown_score_state() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let unknown_field = json!({"deep": [1.5]});
    sim.world().add_fault(Fault::every_record(
        "cycle",
        "unknown_field",
        unknown_field.clone(),
    ));
    sim.world().add_fault(Fault::every_record(
        "sleep",
        "score_state",
        json!("HALF_SCORED"),
    ));

    let cycles = member.get("cycle").await.json();
    let sleeps = member.get("activity/sleep").await.json();
    for index in 0..10 {
        assert_eq!(cycles["records"][index]["unknown_field"], unknown_field);
        assert_eq!(sleeps["records"][index]["score_state"], "HALF_SCORED");
    }
    sim.world().clear_faults();
    assert_eq!(
        member.get("cycle").await.json()["records"][0]["unknown_field"],
        Value::Null
    );
}

#[tokio::test]
async fn an_edit_can_break_a_record_permanently() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);
    let change = json!({"start": 5, "score": {"$null": true}});
    sim.world()
        .records()
        .patch(
            member.id,
            SimDataType::Cycle,
            &truth["cycles"][3]["id"],
            change,
        )
        .unwrap();

    let page = member.get("cycle").await.json();
    assert_eq!(
        page["records"][3]["start"], 5,
        "the record keeps its position"
    );
    assert_eq!(page["records"][3]["score"], Value::Null);
}

#[tokio::test]
async fn a_record_can_be_not_found_once_while_its_list_shows_it() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let cycles = member.get("cycle").await.json();
    let id = cycles["records"][0]["id"].to_string();
    sim.world().add_fault(Fault {
        record_id: Some(id.clone()),
        times: Some(1),
        ..Fault::status("cycle", 404)
    });

    assert_eq!(member.get("cycle").await.status, 200);
    let by_id = format!("cycle/{id}");
    assert_eq!(member.get(&by_id).await.status, 404);
    assert_eq!(member.get(&by_id).await.status, 200);
}

#[tokio::test]
async fn a_page_can_be_empty_or_lack_its_next_token() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let once = |kind| Fault {
        times: Some(1),
        ..Fault::new("cycle", kind)
    };
    sim.world().add_fault(once(FaultKind::EmptyPage));
    sim.world().add_fault(once(FaultKind::NoNextToken));

    let empty = member.get("cycle").await.json();
    assert_eq!(empty, json!({"records": [], "next_token": null}));
    let without_token = member.get("cycle").await.json();
    assert_eq!(without_token["records"].as_array().unwrap().len(), 10);
    assert_eq!(without_token.get("next_token"), None);
    assert!(member.get("cycle").await.json()["next_token"].is_string());
}

#[tokio::test]
async fn every_access_token_is_refused_and_the_token_endpoint_works() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let members = [
        Member::connect(&sim, 0).await,
        Member::connect(&sim, 1).await,
    ];
    sim.world()
        .add_fault(Fault::new("api", FaultKind::ExpiredToken));

    for member in &members {
        assert_eq!(member.get("cycle").await.status, 401);
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &member.refresh),
            ("scope", "offline"),
        ];
        assert_eq!(token(&sim, &fields).await.status, 200);
    }
}

#[tokio::test]
async fn the_token_endpoint_answers_invalid_request_to_one_member() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let (affected, unaffected) = (
        Member::connect(&sim, 0).await,
        Member::connect(&sim, 1).await,
    );
    sim.world().add_fault(Fault {
        whoop_user_id: Some(affected.id),
        ..Fault::new("token", FaultKind::InvalidRequest)
    });

    let refresh = async |member: &Member| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", member.refresh.as_str()),
            ("scope", "offline"),
        ];
        token(&sim, &fields).await
    };
    let refused = refresh(&affected).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (400, &json!("invalid_request"))
    );
    assert_eq!(refresh(&unaffected).await.status, 200);
    sim.world().clear_faults();
    assert_eq!(
        refresh(&affected).await.status,
        200,
        "the refresh token was not spent"
    );
}

#[tokio::test]
async fn a_late_answer_takes_effect_before_the_client_timeout() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().add_fault(Fault {
        millis: Some(60_000),
        ..Fault::new("token", FaultKind::LateAnswer)
    });
    let form = [
        ("client_id", "whoop-sim-client"),
        ("client_secret", "whoop-sim-secret"),
        ("grant_type", "refresh_token"),
        ("refresh_token", &member.refresh),
        ("scope", "offline"),
    ];

    let url = format!("{}/token", sim.oauth_url());
    let request = member.http.post(url).form(&form);
    let result = request.timeout(Duration::from_millis(300)).send().await;
    assert!(result.unwrap_err().is_timeout());
    assert_eq!(sim.world().oauth().refresh_count(member.id), 1);
}
