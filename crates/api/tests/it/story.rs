//! The whole time of a member with the service, from connecting WHOOP to the erasure of all data.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_sim::CallSide;

use crate::harness::{Stage, now};

/// Today in the test environment.
const TODAY: &str = "2026-10-20";
/// A date that the first sync has read.
const TWO_WEEKS_OLD: &str = "2026-10-06";
/// A date before the first record that WHOOP has of the member.
const BEFORE_THE_STRAP: &str = "2026-03-01";

fn calls_of(stage: &Stage, side: CallSide) -> usize {
    let calls = stage.world().calls();
    calls.iter().filter(|call| call.side == side).count()
}

fn part_is_there(day: &Value, part: &str) -> bool {
    day[part].is_object()
}

#[tokio::test]
async fn a_member_connects_reads_days_and_disconnects() {
    let stage = Stage::new().await;
    let member = stage.member("alice");

    // The member is unknown, so WHOOP is not called.
    let day = member.day("").await;
    assert_eq!(day["meta"]["connection"], "never_connected");
    assert_eq!(day["meta"]["sync"], "off");
    assert_eq!(day["recovery"], Value::Null);
    assert_eq!(day["workouts"], json!([]));
    assert_eq!(day["missing"]["sleep"], "not_synced");
    assert_eq!(stage.world().call_count(), 0);

    let member = stage.connect("alice").await;
    let connection = member.get("connection", "").await.expect(200);
    assert_eq!(connection["connection"], "connected");
    assert_eq!(connection["consent"], "terms of 2026");

    // The first request for the day and all later ones are answered from the database.
    stage.world().reset_calls();
    for _ in 0..3 {
        let day = member.day("").await;
        assert_eq!(day["date"], TODAY);
        assert_eq!(day["meta"]["source"], "database");
        assert_eq!(day["meta"]["sync"], "not_needed");
        assert_eq!(day["meta"]["stale"], false);
        for part in ["recovery", "sleep", "cycle"] {
            assert!(part_is_there(&day, part), "no {part} in {day:#}");
        }
    }
    assert_eq!(stage.world().call_count(), 0);

    // After a quarter of an hour, today is read again with one call per data type.
    stage.advance(TimeDelta::minutes(16));
    let day = member.day("").await;
    assert_eq!(day["meta"]["source"], "whoop");
    assert_eq!(day["meta"]["sync"], "done");
    assert_eq!(day["meta"]["last_synced_at"], "2026-10-20T15:23:00.000Z");
    assert_eq!(calls_of(&stage, CallSide::Api), 4);

    // A day that the first sync has read is stored and fresh.
    stage.world().reset_calls();
    let day = member.day(&format!("?date={TWO_WEEKS_OLD}")).await;
    assert_eq!(day["meta"]["sync"], "not_needed");
    assert_eq!(day["meta"]["stale"], false);
    assert!(part_is_there(&day, "sleep"), "{day:#}");
    assert_eq!(stage.world().call_count(), 0);

    // Days before those that the first sync has read wait for the backfill …
    let day = member.day(&format!("?date={BEFORE_THE_STRAP}")).await;
    for part in ["recovery", "sleep", "cycle", "workouts"] {
        assert_eq!(day["missing"][part], "not_synced", "{part}");
    }
    assert_eq!(stage.world().call_count(), 0);

    // … or for a caller who requests them with a sync. If WHOOP returns nothing on two days, the
    // service believes that there is no data.
    for hours in [0, 20] {
        stage.advance(TimeDelta::hours(hours));
        member.sync_back_to("2026-02-01").await;
    }
    stage.world().reset_calls();
    let day = member.day(&format!("?date={BEFORE_THE_STRAP}")).await;
    for part in ["recovery", "sleep", "cycle", "workouts"] {
        assert_eq!(day["missing"][part], "not_recorded", "{part}");
    }
    assert_eq!(day["meta"]["stale"], false);
    assert_eq!(stage.world().call_count(), 0);

    let status = member.get("sync-status", "").await.expect(200);
    for data_type in ["recovery", "sleep", "workout", "cycle"] {
        let one = &status["data_types"][data_type];
        assert_eq!(one["sync_status"], "success", "{data_type}");
        assert_eq!(one["last_error"], Value::Null, "{data_type}");
        assert!(one["records_synced"].as_i64() > Some(20), "{one}");
    }
    assert_eq!(status["rejected_records"], 0);

    // The member disconnects. The permission is revoked at WHOOP, and the data is kept until it is
    // erased.
    let disconnected = member.delete("").await.expect(200);
    assert_eq!(
        disconnected,
        json!({
            "user_id": "alice",
            "connection": "disconnected",
            "revoked": true,
            "revocation": "done",
            "erased": false,
            "receipt": null,
        })
    );
    assert!(
        stage
            .world()
            .oauth()
            .grants()
            .iter()
            .all(|grant| grant.is_revoked)
    );
    stage.world().reset_calls();
    let day = member.day("?date=2026-10-20&refresh=force").await;
    assert_eq!(day["meta"]["connection"], "disconnected");
    assert_eq!(day["meta"]["sync"], "off");
    assert!(part_is_there(&day, "sleep"), "{day:#}");
    member
        .post("sync", &json!({}))
        .await
        .assert_problem(409, "not-connected");
    assert_eq!(stage.world().call_count(), 0);

    let erased = member.delete("?erase=true").await.expect(200);
    assert_eq!(erased["connection"], "never_connected");
    assert_eq!(erased["erased"], true);
    assert_eq!(erased["revocation"], "not_needed");
    let receipt = &erased["receipt"];
    assert!(receipt["deleted_rows"].as_i64() > Some(80), "{receipt}");
    assert!(receipt["id"].is_string() && receipt["erased_at"].is_string());
    assert_eq!(stage.rows().await.tables_with("alice"), [""; 0]);
    let day = member.day("").await;
    assert_eq!(day["meta"]["connection"], "never_connected");
    assert_eq!(day["sleep"], Value::Null);
    member
        .delete("")
        .await
        .assert_problem(404, "never-connected");
}

#[tokio::test]
async fn a_member_may_disconnect_and_erase_in_one_request() {
    let (stage, member) = Stage::with_member().await;

    let disconnected = member.delete("?erase=true").await.expect(200);

    assert_eq!(disconnected["revoked"], true);
    assert_eq!(disconnected["erased"], true);
    assert_eq!(stage.rows().await.tables_with("alice"), [""; 0]);
}

#[tokio::test]
async fn a_member_may_disconnect_while_whoop_fails() {
    let (stage, member) = Stage::with_member().await;
    stage
        .world()
        .add_fault(whoop_sim::Fault::status("access", 500));

    let disconnected = member.delete("").await.expect(200);

    assert_eq!(disconnected["connection"], "disconnected");
    assert_eq!(disconnected["revoked"], false);
    assert_eq!(stage.rows().await.count("whoop_tokens"), 0);
}

#[tokio::test]
async fn a_disconnected_member_may_connect_again() {
    let (stage, member) = Stage::with_member().await;
    member.delete("").await.expect(200);

    let member = stage.connect("alice").await;

    assert_eq!(member.day("").await["meta"]["connection"], "connected");
    let connection = member.get("connection", "").await.expect(200);
    assert_eq!(connection["disconnected_at"], Value::Null);
}

#[tokio::test]
async fn two_members_may_share_one_whoop_account() {
    let stage = Stage::new().await;
    let alice = stage.connect_person("alice", 0).await;
    let bob = stage.connect_person("bob", 0).await;

    let (hers, his) = (alice.day("").await, bob.day("").await);

    assert_eq!(hers["sleep"], his["sleep"]);
    assert_eq!(
        (&hers["user_id"], &his["user_id"]),
        (&json!("alice"), &json!("bob"))
    );
}

#[tokio::test]
async fn a_background_sync_returns_the_path_of_its_status() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));

    let answer = member.post("sync", &json!({"wait": false})).await;

    let started = answer.expect(202);
    assert_eq!(started["status"], "running");
    assert_eq!(started["status_url"], "/api/v1/whoop/sync-status/alice");
    assert_eq!(answer.header("location"), started["status_url"].as_str());
    crate::harness::until("the last hour has been read", || async {
        let status = member.get("sync-status", "").await.expect(200);
        let types = status["data_types"].as_object().unwrap();
        let end_of_hour =
            (now() + TimeDelta::hours(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        types
            .values()
            .all(|one| one["last_sync_at"] == end_of_hour.as_str())
    })
    .await;
}

#[tokio::test]
async fn only_the_requested_data_types_are_read() {
    let (stage, member) = Stage::with_member().await;
    stage.world().reset_calls();

    let synced = member
        .post("sync", &json!({"data_types": ["sleep", "cycle", "sleep"]}))
        .await
        .expect(200);

    let read: Vec<&str> = synced["types"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["data_type"].as_str())
        .collect();
    assert_eq!(read, ["sleep", "cycle"]);
    let calls = stage.world().calls();
    assert!(!calls.is_empty());
    assert!(
        calls
            .iter()
            .all(|call| call.path.ends_with("/sleep") || call.path.ends_with("/cycle")),
        "{calls:?}"
    );
}

#[tokio::test]
async fn a_connection_that_whoop_ended_requires_reauthorization() {
    let (stage, member) = Stage::with_member().await;
    let whoop_user_id = stage.world().people()[0];
    assert!(stage.world().oauth().revoke_grants(whoop_user_id));

    let day = member.day("?refresh=force").await;

    assert_eq!(day["meta"]["connection"], "reauth_required");
    assert_eq!(day["meta"]["sync"], "failed");
    assert!(
        part_is_there(&day, "sleep"),
        "the stored sleep is missing from the answer"
    );
    member
        .post("sync", &json!({}))
        .await
        .assert_problem(409, "reauth-required");
    let day = member.day(&format!("?date={BEFORE_THE_STRAP}")).await;
    assert_eq!(day["missing"]["sleep"], "reauth_required");
    let connection = member.get("connection", "").await.expect(200);
    assert_eq!(connection["connection"], "reauth_required");
    assert!(connection["detail"].is_string());
}
