//! Event streams: changes are sent as they happen.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::time::Instant;
use whoop_sim::SimDataType;

use crate::harness::{Member, Stage, Token, events::Events, until};

/// Changes the score of today's recovery at WHOOP, and makes the service read it.
async fn rescore(stage: &Stage, member: &Member, score: i32) {
    let person = stage.world().people()[0];
    let truth = stage.world().records().truth(person);
    let recovery = &truth["recoveries"][0];
    let change = json!({"score": {"recovery_score": score}});
    stage.advance(TimeDelta::minutes(1));
    stage
        .world()
        .records()
        .patch(person, SimDataType::Recovery, &recovery["cycle_id"], change)
        .unwrap();
    member.day("?refresh=force").await;
}

async fn open_events(member: &Member) -> Events {
    let mut events = member.follow(None).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.name, "connection");
    assert_eq!(first.data, json!({"connection": "connected"}));
    assert!(first.id.is_some());
    events
}

#[tokio::test]
async fn a_changed_day_is_sent_within_a_second_by_another_process() {
    let (stage, alice) = Stage::with_member().await;
    let replica = stage.replica(&[]);
    let mut events = open_events(&alice.at(&replica)).await;

    rescore(&stage, &alice, 9).await;
    let committed = Instant::now();
    let event = events.next_of("day").await;

    assert!(committed.elapsed() < Duration::from_secs(1));
    assert!(event.data["date"].is_string(), "{event:?}");
    assert_eq!(event.id, Some(event.data["seq"].to_string()));
}

#[tokio::test]
async fn a_changed_day_is_sent_within_a_second_behind_a_transaction_pooler() {
    let (stage, alice) = Stage::with_member().await;
    let replica = stage.replica(&["--database-pooler=transaction".to_owned()]);
    let mut events = open_events(&alice.at(&replica)).await;

    rescore(&stage, &alice, 9).await;
    let committed = Instant::now();
    events.next_of("day").await;

    assert!(committed.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_stream_survives_the_loss_of_all_database_connections() {
    let (stage, alice) = Stage::with_member().await;
    let mut events = open_events(&alice).await;
    stage
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'whoop'",
        )
        .await;

    // The pool detects its closed connections one by one, so the first requests may fail.
    let person = stage.world().people()[0];
    let truth = stage.world().records().truth(person);
    let cycle = &truth["recoveries"][0]["cycle_id"];
    let change = json!({"score": {"recovery_score": 9}});
    stage.advance(TimeDelta::minutes(1));
    let world = stage.world();
    world
        .records()
        .patch(person, SimDataType::Recovery, cycle, change)
        .unwrap();
    until("the day has been read", || async {
        let day = alice.get("daily-data", "?refresh=force").await;
        day.status == 200 && day.json()["meta"]["sync"] == "done"
    })
    .await;

    events.next_of("day").await;
}

#[tokio::test]
async fn a_resumed_stream_sends_the_missed_changes() {
    let (stage, alice) = Stage::with_member().await;
    let mut events = open_events(&alice).await;
    rescore(&stage, &alice, 9).await;
    let last = events.next_of("day").await;
    drop(events);
    rescore(&stage, &alice, 10).await;
    rescore(&stage, &alice, 11).await;

    let mut resumed = alice.follow(last.id.as_deref()).await;
    let missed = resumed.next_of("day").await;

    assert!(missed.data["seq"].as_i64() > last.data["seq"].as_i64());
    let latest = alice.get("changes", "?limit=1").await.expect(200)["latest"].clone();
    let mut seen = missed;
    while seen.data["seq"] != latest {
        seen = resumed.next_of("day").await;
    }
}

#[tokio::test]
async fn a_stream_resumed_from_deleted_changes_sends_a_reset() {
    let (stage, alice) = Stage::with_member().await;
    stage
        .execute("DELETE FROM whoop_change WHERE seq <= 10")
        .await;

    let first = alice.follow(Some("3")).await.next().await.unwrap();

    assert_eq!(first.name, "reset");
    assert_eq!(first.id, Some(first.data["latest"].to_string()));
}

#[tokio::test]
async fn a_lost_or_erased_connection_is_sent_as_an_event() {
    let (stage, alice) = Stage::with_member().await;
    let mut events = open_events(&alice).await;

    stage
        .world()
        .oauth()
        .revoke_grants(stage.world().people()[0]);
    alice.day("?refresh=force").await;
    let lost = events.next_of("connection").await;
    assert_eq!(lost.data, json!({"connection": "reauth_required"}));

    alice.delete("?erase=true").await.expect(200);
    let event = events.next_of("connection").await;
    assert_eq!(event.data, json!({"connection": "never_connected"}));
}

#[tokio::test]
async fn a_stream_contains_no_change_of_another_member() {
    let (stage, alice) = Stage::with_member().await;
    let bob = stage.connect_person("bob", 1).await;
    let mut events = open_events(&bob).await;

    rescore(&stage, &alice, 9).await;
    let of_alice = alice.get("changes", "?since=0").await.expect(200);
    let of_alice = of_alice["changes"].as_array().unwrap().last().unwrap()["local_date"].clone();
    // The next change is bob's, on another date.
    let person = stage.world().people()[1];
    let cycle = stage.world().records().truth(person)["recoveries"][2]["cycle_id"].clone();
    let since = bob.get("changes", "?limit=1").await.expect(200)["latest"].clone();
    stage.advance(TimeDelta::minutes(1));
    let change = json!({"score": {"recovery_score": 9}});
    stage
        .world()
        .records()
        .patch(person, SimDataType::Recovery, cycle, change)
        .unwrap();
    bob.day("?refresh=force").await;
    let event = events.next().await.unwrap();

    let of_bob = bob.get("changes", &format!("?since={since}")).await;
    let of_bob = of_bob.expect(200)["changes"][0].clone();
    assert_ne!(of_bob["local_date"], of_alice);
    assert_eq!(event.name, "day");
    assert_eq!(event.data["date"], of_bob["local_date"]);
    assert_eq!(event.data["seq"], of_bob["seq"]);
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let (stage, _) = Stage::with_member().await;
    let token = Token::of("alice").with_time("exp", 2);
    let member = Member {
        token: token.text(),
        ..stage.member("alice")
    };
    let mut events = open_events(&member).await;

    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_ninth_stream_of_a_member_ends_the_oldest() {
    let (_stage, alice) = Stage::with_member().await;
    let mut oldest = open_events(&alice).await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(open_events(&alice).await);
    }

    assert_eq!(oldest.next().await, None);
}

#[tokio::test]
async fn an_invalid_number_to_resume_from_is_refused() {
    let (_stage, alice) = Stage::with_member().await;

    for rest in ["?since=-1", "?since=now"] {
        let answer = alice.get("events", rest).await;
        answer.assert_problem(400, "invalid-number");
    }
    let answer = alice.open_stream(Some("yesterday")).await;
    assert_eq!(answer.status(), 400);
}
