//! Tests of the protocol options, and of faults that replace WHOOP's answer.

use serde_json::{Value, json};
use whoop_sim::{Fault, FaultKind, LifePattern, SimServer};

use crate::support::{Member, frozen, http, send};

async fn set_option(sim: &SimServer, change: Value) -> u16 {
    let url = format!("{}/_sim/protocol", sim.base_url());
    send(http().post(url).json(&change)).await.status
}

async fn connected() -> (SimServer, Member) {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    (sim, member)
}

/// Request for an interval without records, long before the first history begins.
const EMPTY_INTERVAL: &str = "activity/workout?start=2001-01-01T00:00:00Z&end=2001-02-01T00:00:00Z";

#[tokio::test]
async fn a_limit_over_25_is_refused_or_clamped() {
    let (sim, member) = connected().await;
    assert_eq!(member.get("cycle?limit=26").await.status, 400);

    assert_eq!(
        set_option(&sim, json!({"limit_over_max": "clamp"})).await,
        200
    );
    let page = member.get("cycle?limit=99").await.json();
    assert_eq!(page["records"].as_array().unwrap().len(), 25);
    assert_eq!(member.get("cycle?limit=0").await.status, 400);
}

#[tokio::test]
async fn the_last_page_has_three_forms_of_next_token() {
    let (sim, member) = connected().await;
    assert!(
        member
            .get(EMPTY_INTERVAL)
            .await
            .text
            .contains(r#""next_token":null"#)
    );
    set_option(&sim, json!({"last_page": "empty"})).await;
    assert!(
        member
            .get(EMPTY_INTERVAL)
            .await
            .text
            .contains(r#""next_token":"""#)
    );
    set_option(&sim, json!({"last_page": "absent"})).await;
    assert_eq!(member.get(EMPTY_INTERVAL).await.text, r#"{"records":[]}"#);
    // A client that reads page by page finds all records, even if the last page has no
    // `next_token`.
    let all = member.read_all("activity/sleep", "7").await.len();
    let truth = sim.world().records().truth(member.id);
    assert_eq!(all, truth["sleeps"].as_array().unwrap().len());
}

#[tokio::test]
async fn an_option_or_a_fault_answers_404_for_an_empty_collection() {
    let (sim, member) = connected().await;
    sim.world().add_fault(Fault {
        times: Some(1),
        ..Fault::new("workout", FaultKind::EmptyNotFound)
    });
    assert_eq!(member.get(EMPTY_INTERVAL).await.status, 404);
    assert_eq!(member.get(EMPTY_INTERVAL).await.status, 200);

    set_option(&sim, json!({"empty_collection": "not_found"})).await;
    assert_eq!(member.get(EMPTY_INTERVAL).await.status, 404);
    assert_eq!(member.get("activity/workout").await.status, 200);
}

#[tokio::test]
async fn an_invalid_option_is_refused_and_changes_nothing() {
    let (sim, member) = connected().await;
    for bad in [
        json!({"limit_over_max": "maybe"}),
        json!({"missing_scope_status": 200}),
        json!({"nonsense": true}),
        json!("clamp"),
    ] {
        assert_eq!(set_option(&sim, bad.clone()).await, 400, "{bad}");
    }
    assert_eq!(member.get("cycle?limit=26").await.status, 400);
}

#[tokio::test]
async fn a_rate_limited_fault_looks_like_a_used_up_quota() {
    let (sim, member) = connected().await;
    sim.world().add_fault(Fault {
        times: Some(3),
        ..Fault::new("*", FaultKind::RateLimited)
    });
    for _ in 0..3 {
        let refused = member.get("cycle").await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    }
    assert_eq!(member.get("cycle").await.status, 200);
}

#[tokio::test]
async fn faults_can_expire_tokens_and_send_a_wrong_content_type() {
    let (sim, member) = connected().await;
    let once = |kind| Fault {
        times: Some(1),
        ..Fault::new("cycle", kind)
    };
    sim.world().add_fault(once(FaultKind::ExpiredToken));
    let refused = member.get("cycle").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.text, "Authorization was not valid");

    sim.world().add_fault(once(FaultKind::WrongContentType));
    let odd = member.get("cycle").await;
    assert!(odd.header("content-type").starts_with("text/html"));
    assert!(odd.json()["records"].is_array());

    let expire = format!("{}/_sim/expire", sim.base_url());
    let unknown = json!({"whoop_user_id": 1});
    assert_eq!(send(http().post(&expire).json(&unknown)).await.status, 404);
    let known = json!({"whoop_user_id": member.id});
    assert_eq!(send(http().post(&expire).json(&known)).await.status, 204);
    assert_eq!(member.get("cycle").await.status, 401);
}

#[tokio::test]
async fn the_stream_route_answers_403_for_a_lapsed_membership() {
    let (sim, member) = connected().await;
    let stream = "activity/sleep/5a3c6e0e-38f2-4d0c-a3f6-0c2a4e9d2f11/stream";
    assert_eq!(member.get(stream).await.status, 404);

    let lapsed = sim
        .world()
        .add_people(LifePattern::MembershipLapsed, 1, 60)
        .unwrap();
    let index = sim.world().people().len() - 1;
    let lapsed_member = Member::connect(&sim, index).await;
    assert_eq!(lapsed_member.id, lapsed[0]);
    let refused = lapsed_member.get(stream).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json(), json!({"error": "deactivated_user"}));
    assert!(
        !lapsed_member.read_all("cycle", "25").await.is_empty(),
        "the history can be read"
    );
}

#[tokio::test]
async fn v1_routes_answer_404() {
    let (sim, member) = connected().await;
    for path in [
        "cycle",
        "recovery",
        "user/profile/basic",
        "activity-mapping/7",
    ] {
        let url = format!("{}/v1/{path}", sim.api_url());
        let answer = send(http().get(url).bearer_auth(&member.access)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn bad_control_requests_are_refused_with_a_reason() {
    let (sim, member) = connected().await;
    let id = member.id;
    let long = "x".repeat(300_000);
    for (path, body, status) in [
        ("people", json!({"life": "nobody"}).to_string(), 400),
        (
            "people",
            json!({"life": "napper", "count": 99_999}).to_string(),
            400,
        ),
        (
            "people",
            json!({"life": "napper", "days": 99_999}).to_string(),
            400,
        ),
        (
            "people",
            json!({"life": "napper", "count": -1}).to_string(),
            400,
        ),
        (
            "clock",
            json!({"now": "2026-02-31T00:00:00Z"}).to_string(),
            400,
        ),
        (
            "clock",
            json!({"advance_seconds": i64::MAX}).to_string(),
            400,
        ),
        ("clock", "{".to_owned(), 400),
        (
            "faults",
            json!([{"route": "cycle", "kind": "gremlin"}]).to_string(),
            400,
        ),
        (
            "faults",
            json!([{"route": "moon", "kind": "reset"}]).to_string(),
            400,
        ),
        (
            "edit",
            json!({"whoop_user_id": 1, "data_type": "sleep", "op": "delete", "id": "x"})
                .to_string(),
            404,
        ),
        (
            "edit",
            json!({"whoop_user_id": id, "data_type": "sleep", "op": "delete", "id": "x"})
                .to_string(),
            404,
        ),
        (
            "edit",
            json!({"whoop_user_id": id, "data_type": "cycle", "op": "nap_to_sleep", "id": "x"})
                .to_string(),
            400,
        ),
        (
            "edit",
            json!({"whoop_user_id": id, "data_type": "dream", "op": "delete", "id": "x"})
                .to_string(),
            400,
        ),
        ("webhooks", json!({"url": "ftp://x"}).to_string(), 400),
        ("revoke", "\u{0}".to_owned(), 400),
        ("edit", long, 413),
    ] {
        let url = format!("{}/_sim/{path}", sim.base_url());
        let answer = send(http().post(url).body(body.clone())).await;
        let shown: String = body.chars().take(90).collect();
        assert_eq!(answer.status, status, "{path} {shown}");
        assert!(!answer.text.is_empty(), "{path} {shown}");
    }
    assert_eq!(member.get("cycle").await.status, 200);
}

#[tokio::test]
async fn extreme_requests_never_cause_a_500() {
    let (_sim, member) = connected().await;
    // The token `far` contains {"$":"o@1","o":18446744073709551615}, the largest offset.
    let far = "eyIkIjoib0AxIiwibyI6MTg0NDY3NDQwNzM3MDk1NTE2MTV9";
    for path in [
        &format!("cycle?nextToken={far}"),
        "cycle?start=2026-02-31T00:00:00Z",
        "cycle?start=9999-12-31T23:59:59Z&end=0001-01-01T00:00:00Z",
        "cycle/99999999999999999999999",
        "cycle/-1",
        "cycle/%00",
        "activity/sleep/not-a-uuid",
        "activity/sleep//",
        "cycle?limit=18446744073709551616",
    ] {
        let status = member.get(path).await.status;
        assert!([200, 400, 404].contains(&status), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_missing_scope_can_be_answered_with_401_403_or_404() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect_for(&sim, 0, &["offline", "read:profile"]).await;
    assert_eq!(member.get("cycle").await.status, 401);
    for status in [403, 404] {
        set_option(&sim, json!({"missing_scope_status": status})).await;
        assert_eq!(member.get("cycle").await.status, status);
    }
}

#[tokio::test]
async fn a_clock_skew_shifts_created_at_and_updated_at_but_no_measurement() {
    let (sim, member) = connected().await;
    let path = "activity/sleep?limit=3";
    let before = member.get(path).await.json();
    let hour = 3_600_000;
    sim.world().add_fault(Fault {
        times: Some(1),
        skew_millis: Some(hour),
        ..Fault::new("sleep", FaultKind::ClockSkew)
    });
    let after = member.get(path).await;
    assert!(after.header("date").ends_with(" GMT"));
    let after = after.json();
    for (old, new) in (0..3).map(|at| (&before["records"][at], &after["records"][at])) {
        let millis = |record: &Value, key: &str| {
            crate::support::instant(record[key].as_str().unwrap()).timestamp_millis()
        };
        assert_eq!(old["start"], new["start"]);
        for key in ["created_at", "updated_at"] {
            assert_eq!(millis(new, key) - millis(old, key), hour);
        }
    }
    let url = format!("{}/_sim/faults", sim.base_url());
    let far = json!([{"route": "sleep", "kind": "clock_skew", "skew_millis": i64::MIN}]);
    assert_eq!(send(http().post(url).json(&far)).await.status, 400);
}

#[tokio::test]
async fn a_clock_in_the_far_future_generates_a_limited_number_of_records() {
    let (sim, member) = connected().await;
    let url = format!("{}/_sim/clock", sim.base_url());
    let far = json!({"now": "8999-01-01T00:00:00Z"});
    assert_eq!(send(http().post(url).json(&far)).await.status, 200);
    let cycles = sim.world().records().truth(member.id)["cycles"].clone();
    assert!(cycles.as_array().unwrap().len() < 9_000);
}

#[tokio::test]
async fn a_start_outside_the_supported_years_is_refused() {
    let now = chrono::DateTime::<chrono::Utc>::MAX_UTC;
    let config = whoop_sim::SimConfig {
        now: Some(now),
        ..frozen()
    };
    let error = SimServer::start(config).await.unwrap_err();
    assert!(error.to_string().contains("between the years"), "{error}");
}
