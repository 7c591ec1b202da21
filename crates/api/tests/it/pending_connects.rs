//! Members who have begun to connect WHOOP and have not finished.

use serde_json::json;

use crate::harness::{Stage, parameter};

#[tokio::test]
async fn the_newest_five_of_fifty_pending_connects_are_kept() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");
    let first = alice.begin(&json!({})).await;
    stage.member("bob").begin(&json!({})).await;
    let mut last = None;

    for _ in 0..50 {
        stage.clock.advance(chrono::TimeDelta::seconds(1));
        last = Some(alice.begin(&json!({"consent": "x".repeat(2_000)})).await);
    }

    assert_eq!(
        stage.rows().await.count("whoop_oauth_states"),
        6,
        "five and bob's"
    );
    let state = parameter(&first.authorization_url, "state");
    let path = format!("/api/v1/whoop/callback?state={state}&code=c");
    let oldest = stage.client.get(&path).send().await;
    oldest.assert_invalid("unknown-state", "state");
    let whoop_user_id = stage.world().people()[0];
    let callback = last.unwrap().given_by(&stage.client, whoop_user_id).await;
    callback.follow(&stage.client).await.expect(200);
}

#[tokio::test]
async fn at_most_five_of_concurrent_connects_are_kept() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");
    let body = json!({});

    futures::future::join_all((0..30).map(|_| alice.begin(&body))).await;

    assert_eq!(stage.rows().await.count("whoop_oauth_states"), 5);
}

#[tokio::test]
async fn refused_connects_do_not_accumulate() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");

    for _ in 0..40 {
        stage.clock.advance(chrono::TimeDelta::seconds(1));
        let state = alice.begin(&json!({})).await.state();
        let path = format!("/api/v1/whoop/callback?state={state}&error=access_denied");
        stage.client.get(&path).send().await.assert_status(400);
    }

    let rows = stage.rows().await.count("whoop_oauth_states");
    assert!(rows <= 20, "{rows} rows");
}

#[tokio::test]
async fn erasing_a_member_whose_connect_is_pending_ends_the_connect() {
    for erase in ["?erase=true", ""] {
        let stage = Stage::new().await;
        let alice = stage.member("alice");
        let consent = alice.begin(&json!({"consent": "terms"})).await;
        let callback = consent
            .given_by(&stage.client, stage.world().people()[0])
            .await;

        let disconnected = alice.delete(erase).await.expect(200);

        assert_eq!(disconnected["connection"], "never_connected");
        assert_eq!(disconnected["revocation"], "not_needed");
        assert_eq!(disconnected["erased"], erase == "?erase=true");
        let mut kept = vec!["whoop_audit"];
        if erase == "?erase=true" {
            assert_eq!(disconnected["receipt"]["deleted_rows"], 1);
            kept.clear();
        }
        assert_eq!(stage.rows().await.tables_with("alice"), kept);
        let late = callback.follow(&stage.client).await;
        late.assert_invalid("unknown-state", "state");
        assert_eq!(stage.rows().await.tables_with("alice"), kept);
        let again = alice.delete(erase).await;
        again.assert_problem(404, "never-connected");
    }
}
