//! Responses of the API when WHOOP's quota is used up.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_sim::{Fault, FaultKind, SimConfig};

use crate::harness::{Member, Stage, now, two_months, until};

/// Returns an environment in which alice is connected, and WHOOP's quota for the current minute is
/// used up.
async fn spent() -> (Stage, Member) {
    let stage = Stage::with(SimConfig {
        calls_per_minute: 60,
        ..two_months()
    })
    .await;
    let alice = stage.connect("alice").await;
    // Another client of the same WHOOP app uses up the rest of the quota.
    let token = stage.world().oauth().grants()[0].access_token.clone();
    let url = format!("{}/v2/user/profile/basic", stage.sim.api_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let answer = http.get(&url).bearer_auth(&token).send().await.unwrap();
        match answer.status().as_u16() {
            200 => {}
            429 => return (stage, alice),
            other => panic!("{other}"),
        }
    }
}

#[track_caller]
fn assert_retry_after(retry_after: Option<&str>) {
    let seconds: u64 = retry_after.unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_sync_without_quota_is_answered_with_the_wait_until_the_next_minute() {
    let (stage, alice) = spent().await;
    let calls = stage.world().call_count();

    // WHOOP refuses the call of the first request. The second request sends no call to WHOOP.
    for _ in 0..2 {
        let answer = alice.post("sync", &json!({})).await;
        answer.assert_problem(429, "quota-spent");
        assert_retry_after(answer.header("retry-after"));
    }

    assert!(stage.world().call_count() <= calls + 4);
}

#[tokio::test]
async fn a_day_without_quota_is_answered_from_stored_data_and_marked_as_deferred() {
    let (_stage, alice) = spent().await;
    let stored = alice.day("?refresh=never").await;

    let answer = alice.get("daily-data", "?refresh=force").await;

    let day = answer.expect(200);
    assert_eq!(day["meta"]["sync"], "deferred");
    assert_eq!(day["meta"]["source"], "database");
    assert_eq!(day["meta"]["connection"], "connected");
    let detail = day["meta"]["detail"].as_str().unwrap();
    assert!(detail.contains("limit"), "{detail}");
    for part in ["recovery", "sleep", "cycle", "workouts"] {
        assert_eq!(day[part], stored[part], "{part}");
    }
}

#[tokio::test]
async fn a_day_that_was_never_read_has_the_quota_as_missing_reason() {
    let (stage, alice) = spent().await;
    for table in ["recovery", "sleep", "cycle", "workout", "sync_log"] {
        stage.execute(&format!("DELETE FROM whoop_{table}")).await;
    }

    let day = alice.day("?date=2026-10-18").await;

    assert_eq!(day["meta"]["sync"], "deferred");
    assert_eq!(day["meta"]["last_synced_at"], Value::Null);
    for part in ["recovery", "sleep", "cycle", "workouts"] {
        assert_eq!(day["missing"][part], "quota", "{part}");
    }
}

#[tokio::test]
async fn a_day_is_answered_with_stored_data_if_whoop_fails() {
    let (stage, alice) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    stage.world().add_fault(whoop_sim::Fault::status("*", 500));

    let day = alice.day("").await;

    assert_eq!(day["meta"]["sync"], "failed");
    assert_eq!(day["meta"]["stale"], true);
    assert!(day["meta"]["detail"].is_string());
    assert_eq!(
        day["meta"]["last_synced_at"],
        now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    );
    assert!(day["sleep"].is_object());
    let status = alice.get("sync-status", "").await.expect(200);
    assert_eq!(status["data_types"]["sleep"]["sync_status"], "failed");
    assert!(status["data_types"]["sleep"]["last_error"].is_string());
}

#[tokio::test]
async fn a_failed_sync_has_a_reason_for_each_data_type() {
    let (stage, alice) = Stage::with_member().await;
    stage
        .world()
        .add_fault(whoop_sim::Fault::status("sleep", 500));

    let synced = alice.post("sync", &json!({})).await.expect(200);

    assert_eq!(synced["outcome"], "failed");
    for one in synced["types"].as_array().unwrap() {
        let failed = one["data_type"] == "sleep";
        assert_eq!(one["error"].is_string(), failed, "{one}");
    }
}

#[tokio::test]
async fn concurrent_background_syncs_of_a_member_are_one_sync() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.world().call_count();
    alice.post("sync", &json!({})).await.expect(200);
    let calls_of_one = stage.world().call_count() - before;
    // This latency keeps the first sync running until all requests have been sent.
    stage.world().add_fault(Fault {
        millis: Some(3_000),
        ..Fault::new("*", FaultKind::Latency)
    });
    let before = stage.world().call_count();

    let body = json!({"wait": false});
    let mut requests = Vec::new();
    for _ in 0..50 {
        let alice = alice.clone();
        let body = body.clone();
        requests.push(tokio::spawn(async move { alice.post("sync", &body).await }));
    }
    for answer in requests {
        let answer = answer.await.unwrap();
        let started = answer.expect(202);
        assert_eq!(started["status_url"], alice.path("sync-status"));
        assert_eq!(answer.header("location"), Some(&*alice.path("sync-status")));
    }
    stage.world().clear_faults();
    until("the background sync has ended", || async {
        !stage.is_claimed("alice").await
    })
    .await;
    alice.post("sync", &json!({})).await.expect(200);

    let calls = stage.world().call_count() - before;
    assert!(
        calls <= 2 * calls_of_one + 2,
        "{calls} of {calls_of_one} each"
    );
}

#[tokio::test]
async fn a_background_sync_may_begin_after_the_previous_one_ended() {
    let (stage, alice) = Stage::with_member().await;
    let body = json!({"wait": false});

    for _ in 0..2 {
        let before = stage.world().call_count();
        alice.post("sync", &body).await.expect(202);
        until("the background sync has called WHOOP and ended", || async {
            stage.world().call_count() >= before + 4 && !stage.is_claimed("alice").await
        })
        .await;
    }
}

/// Law 9 (one sync per member at a time): a member's background sync yields to the member's app,
/// even while it waits for WHOOP's quota.
#[tokio::test]
async fn a_background_sync_that_waits_for_the_quota_does_not_block_other_requests() {
    let (stage, alice) = spent().await;
    let long_ago = json!({"data_types": ["cycle"], "from": "1970-01-01", "wait": true});
    alice.post("sync", &long_ago).await.expect(202);
    until("the background sync waits for the next minute", || async {
        stage.is_claimed("alice").await
    })
    .await;

    for _ in 0..2 {
        let body = json!({"data_types": ["cycle"]});
        let answer = alice.post("sync", &body).await;
        answer.assert_problem(429, "quota-spent");
        assert_retry_after(answer.header("retry-after"));
    }
    alice.post("sync", &long_ago).await.expect(202);
    let status = alice.get("sync-status", "").await.expect(200);
    assert_eq!(status["syncing"], true);
}

#[tokio::test]
async fn a_sync_from_long_ago_runs_in_the_background_and_app_requests_take_precedence() {
    let (stage, alice) = Stage::with_member().await;
    stage.world().add_fault(Fault {
        millis: Some(500),
        ..Fault::new("*", FaultKind::Latency)
    });
    let long_ago = json!({"from": "1970-01-01", "wait": true});
    alice.post("sync", &long_ago).await.expect(202);
    until("the background sync is in progress", || async {
        stage.is_claimed("alice").await
    })
    .await;

    let synced = alice.post("sync", &json!({})).await.expect(200);
    assert_eq!(synced["outcome"], "done", "{synced:#}");

    stage.world().clear_faults();
    until("the background sync has ended", || async {
        alice.get("sync-status", "").await.expect(200)["syncing"] == false
    })
    .await;
    let ended = "SELECT count(*)::text FROM whoop_sync_log WHERE list_end_seen_at IS NOT NULL";
    assert_eq!(
        stage.text(ended).await,
        "4",
        "all four data types were read to the end"
    );
}

/// A forced read is allowed once per minute, so an app that sends requests in a loop causes no more
/// calls.
#[tokio::test]
async fn a_forced_read_within_a_minute_is_shared() {
    let (stage, alice) = Stage::with_member().await;
    let replica = stage.replica_that_shares();
    let alice = alice.at(&replica);
    stage.advance(TimeDelta::hours(1));
    let day = alice.day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done");
    let before = stage.world().call_count();

    for seconds in [0, 30, 29] {
        stage.advance(TimeDelta::seconds(seconds));
        let again = alice.day("?refresh=force").await;
        assert_eq!(again["meta"]["sync"], "shared", "{:#}", again["meta"]);
        assert_eq!(again["meta"]["source"], "database");
        assert_eq!(again["meta"]["stale"], false);
        let synced = alice.post("sync", &json!({})).await.expect(200);
        assert_eq!(synced["outcome"], "shared");
        assert_eq!(synced["types"], json!([]));
        alice
            .post("sync", &json!({"wait": false}))
            .await
            .expect(202);
    }
    until("the background syncs have ended", || async {
        alice.get("sync-status", "").await.expect(200)["syncing"] == false
    })
    .await;
    assert_eq!(stage.world().call_count(), before);

    stage.advance(TimeDelta::seconds(1));
    let synced = alice.post("sync", &json!({})).await.expect(200);
    assert_eq!(synced["outcome"], "done");
    assert_eq!(stage.world().call_count(), before + 4);
}
