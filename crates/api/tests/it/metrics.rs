//! Metrics for the operator: their values are right, and they contain no user id.

use serde_json::json;

use crate::harness::Stage;

async fn metrics(stage: &Stage) -> String {
    let answer = stage.client.get("/metrics").send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text
}

/// Returns the value of the time series `series`, which is the name of a metric with its labels.
/// Returns `None` if it is absent.
fn value_of(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        let rest = line.strip_prefix(series);
        rest.is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_member_who_has_to_connect_again_is_counted_as_reauth_required() {
    let (stage, alice) = Stage::with_member().await;
    stage.connect_person("bob", 1).await;
    let before = metrics(&stage).await;
    assert_eq!(
        value_of(&before, r#"whoop_users{status="connected"}"#),
        Some(2.0)
    );
    let series = r#"whoop_users{status="reauth_required"}"#;
    assert_eq!(value_of(&before, series), Some(0.0));

    stage
        .world()
        .oauth()
        .revoke_grants(stage.world().people()[0]);
    let day = alice.day("?refresh=force").await;

    assert_eq!(day["meta"]["connection"], "reauth_required");
    let status = alice.get("connection", "").await.expect(200);
    assert_eq!(status["connection"], "reauth_required");
    assert!(status["detail"].is_string(), "{status}");
    let after = metrics(&stage).await;
    assert_eq!(value_of(&after, series), Some(1.0), "{after}");
    assert_eq!(
        value_of(&after, r#"whoop_users{status="connected"}"#),
        Some(1.0)
    );

    stage.connect("alice").await;
    assert_eq!(value_of(&metrics(&stage).await, series), Some(0.0));
}

#[tokio::test]
async fn requests_are_counted_by_route_without_user_ids() {
    let (stage, alice) = Stage::with_member().await;
    alice.day("").await;
    stage.member("mallory").get("daily-data", "").await;
    let path = alice.path("daily-data");
    stage.client.get(&path).send().await;
    stage.client.get("/nowhere/at/all").send().await;
    stage
        .client
        .ask("MADEUP".parse().unwrap(), &path)
        .send()
        .await;
    alice
        .post("connect", &json!({"consent": "words of the consent"}))
        .await;

    let text = metrics(&stage).await;

    let route = "/api/v1/whoop/daily-data/{user_id}";
    let of = |method: &str, route: &str, status: u16| {
        let series = format!(
            r#"whoop_http_requests_total{{method="{method}",route="{route}",status="{status}"}}"#
        );
        value_of(&text, &series)
    };
    assert_eq!(of("GET", route, 401), Some(1.0), "{text}");
    assert_eq!(of("GET", "none", 404), Some(1.0), "{text}");
    assert_eq!(of("other", route, 405), Some(1.0), "{text}");
    assert!(of("GET", route, 200) >= Some(2.0), "{text}");
    let timed = format!(r#"whoop_http_request_duration_seconds_count{{route="{route}"}}"#);
    assert!(value_of(&text, &timed) >= Some(4.0), "{text}");
    for word in [
        "alice",
        "mallory",
        "nowhere",
        "MADEUP",
        "words of the consent",
    ] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
}
