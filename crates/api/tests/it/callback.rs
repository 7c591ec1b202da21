//! The callback, to which WHOOP redirects the browser after the member has consented or refused.

use chrono::TimeDelta;
use serde_json::json;
use whoop_sim::Fault;

use crate::harness::{Answer, Stage};

/// Requests the callback with this query.
async fn call_back(stage: &Stage, query: &[(&str, &str)]) -> Answer {
    let mut url: url::Url = "http://api/api/v1/whoop/callback".parse().unwrap();
    url.query_pairs_mut().extend_pairs(query);
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    stage.client.get(&path).send().await
}

/// Begins to connect alice, and consents at WHOOP as the first person. Returns the state and the
/// authorization code for the callback.
async fn state_and_code(stage: &Stage, return_to: Option<&str>) -> (String, String) {
    let member = stage.member("alice");
    let consent = member.begin(&json!({ "return_to": return_to })).await;
    let whoop_user_id = stage.world().people()[0];
    let callback = consent.given_by(&stage.client, whoop_user_id).await;
    (consent.state(), callback.code())
}

async fn is_connected(stage: &Stage) -> bool {
    let connection = stage.member("alice").get("connection", "").await;
    connection.expect(200)["connection"] == "connected"
}

#[tokio::test]
async fn a_callback_without_a_state_or_a_code_is_refused_with_the_missing_parameter() {
    let stage = Stage::new().await;
    let (state, _) = state_and_code(&stage, None).await;
    let before = stage.rows().await;

    let none = call_back(&stage, &[]).await;
    none.assert_invalid("missing-state", "state");
    for query in [
        [("code", "c"), ("state", "")],
        [("code", "c"), ("scope", "x")],
    ] {
        let answer = call_back(&stage, &query).await;
        answer.assert_invalid("missing-state", "state");
    }
    for query in [
        [("state", state.as_str()), ("scope", "x")],
        [("state", &state), ("code", "")],
    ] {
        let answer = call_back(&stage, &query).await;
        answer.assert_invalid("missing-code", "code");
    }

    before.assert_unchanged(&stage.rows().await, "half a callback");
    assert!(!is_connected(&stage).await);
}

#[tokio::test]
async fn a_state_that_was_never_issued_is_refused() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, None).await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    let (longer, shorter) = (format!("{state}A"), &state[1..]);
    let capitals = state.to_uppercase();
    for unknown in [
        "made-up",
        "\0",
        "💤",
        "' OR 1=1 --",
        &longer,
        shorter,
        &capitals,
        &"x".repeat(8_000),
    ] {
        let query = [("state", unknown), ("code", code.as_str())];
        let answer = call_back(&stage, &query).await;
        answer.assert_invalid("unknown-state", "state");
        let answer = call_back(&stage, &[("state", unknown), ("error", "access_denied")]).await;
        answer.assert_invalid("unknown-state", "state");
    }

    before.assert_unchanged(&stage.rows().await, "an unknown state");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_state_works_once() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, None).await;
    let query = [("state", state.as_str()), ("code", code.as_str())];
    call_back(&stage, &query).await.expect(200);
    stage.member("alice").is_read().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    let again = call_back(&stage, &query).await;

    again.assert_invalid("used-state", "state");
    before.assert_unchanged(&stage.rows().await, "a state used again");
    // The code must not be sent to WHOOP twice: WHOOP would then revoke the connection.
    assert_eq!(stage.world().call_count(), 0);
    assert!(is_connected(&stage).await);
}

#[tokio::test]
async fn one_of_two_concurrent_callbacks_connects() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, None).await;
    let query = [("state", state.as_str()), ("code", code.as_str())];

    let (one, two) = tokio::join!(call_back(&stage, &query), call_back(&stage, &query));

    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let member = stage.member("alice");
    member.is_read().await;
    assert_eq!(member.day("?refresh=force").await["meta"]["sync"], "done");
}

#[tokio::test]
async fn a_late_callback_redirects_to_the_app() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, Some("https://app.example/whoop/done")).await;
    let before = stage.rows().await;
    stage.clock.advance(TimeDelta::minutes(11));

    let query = [("state", state.as_str()), ("code", code.as_str())];
    let late = call_back(&stage, &query).await;

    assert_eq!(
        late.location().as_str(),
        "https://app.example/whoop/done?error=expired_state"
    );
    assert_eq!(stage.rows().await, before);
}

#[tokio::test]
async fn a_state_ends_after_ten_minutes() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, None).await;
    let query = [("state", state.as_str()), ("code", code.as_str())];
    let before = stage.rows().await;
    stage.clock.advance(TimeDelta::minutes(10));

    let late = call_back(&stage, &query).await;

    late.assert_invalid("expired-state", "state");
    before.assert_unchanged(&stage.rows().await, "an expired state");

    let (state, code) = state_and_code(&stage, None).await;
    stage.clock.advance(TimeDelta::seconds(599));
    let query = [("state", state.as_str()), ("code", code.as_str())];
    call_back(&stage, &query).await.expect(200);
}

#[tokio::test]
async fn a_code_works_once() {
    let stage = Stage::new().await;
    let (first, code) = state_and_code(&stage, None).await;
    let (second, _) = state_and_code(&stage, None).await;
    let query = [("state", first.as_str()), ("code", code.as_str())];
    call_back(&stage, &query).await.expect(200);

    let query = [("state", second.as_str()), ("code", code.as_str())];
    let again = call_back(&stage, &query).await;

    again.assert_invalid("invalid-code", "code");
}

#[tokio::test]
async fn an_invented_code_connects_no_member() {
    let stage = Stage::new().await;

    for code in [
        "made-up",
        "\0",
        "💤",
        "a&grant_type=client_credentials",
        &"x".repeat(8_000),
    ] {
        let (state, _) = state_and_code(&stage, None).await;
        let answer = call_back(&stage, &[("state", &state), ("code", code)]).await;
        answer.assert_invalid("invalid-code", "code");
    }

    let rows = stage.rows().await;
    assert_eq!(rows.count("whoop_users"), 0);
    assert_eq!(rows.count("whoop_tokens"), 0);
}

#[tokio::test]
async fn a_refusal_of_the_member_redirects_with_whoops_error_word() {
    let stage = Stage::new().await;
    let (state, _) = state_and_code(&stage, Some("hos://whoop/done?tab=health")).await;

    let query = [("state", state.as_str()), ("error", "access_denied")];
    let answer = call_back(&stage, &query).await;

    assert_eq!(
        answer.location().as_str(),
        "hos://whoop/done?tab=health&error=access_denied"
    );
    // The member uses the browser's back button, which sends the same request again.
    let again = call_back(&stage, &query).await;
    assert_eq!(
        again.location().as_str(),
        "hos://whoop/done?tab=health&error=used_state"
    );
    assert!(!is_connected(&stage).await);
}

#[tokio::test]
async fn a_refusal_without_a_return_address_is_answered_as_an_error() {
    let stage = Stage::new().await;
    let (state, code) = state_and_code(&stage, None).await;

    // The parameter `error` contains WHOOP's refusal, and takes precedence over the other
    // parameters.
    let query = [
        ("state", state.as_str()),
        ("code", code.as_str()),
        ("error", "access_denied"),
        ("error_description", "The resource owner denied the request"),
    ];
    let answer = call_back(&stage, &query).await;

    answer.assert_invalid("connect-refused", "error");
    assert!(!is_connected(&stage).await);
}

#[tokio::test]
async fn only_a_well_formed_error_word_is_passed_to_the_app() {
    let stage = Stage::new().await;

    for (error, word) in [
        ("invalid_scope", "invalid_scope"),
        ("", "whoop_refused"),
        ("<script>alert(1)</script>", "whoop_refused"),
        ("a&status=connected", "whoop_refused"),
        ("\r\nSet-Cookie: a=b", "whoop_refused"),
        (&"x".repeat(5_000), "whoop_refused"),
    ] {
        let (state, _) = state_and_code(&stage, Some("https://app.example/whoop/")).await;
        let answer = call_back(&stage, &[("state", &state), ("error", error)]).await;
        assert_eq!(
            answer.location().as_str(),
            format!("https://app.example/whoop/?error={word}")
        );
    }
}

#[tokio::test]
async fn a_failure_of_whoop_is_distinguished_from_a_refusal() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault::status("token", 502));

    let (state, code) = state_and_code(&stage, None).await;
    let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;
    answer.assert_problem(503, "whoop-unavailable");
    assert!(answer.header("retry-after").is_some());

    let (state, code) = state_and_code(&stage, Some("hos://whoop")).await;
    let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;
    assert_eq!(
        answer.location().as_str(),
        "hos://whoop?error=whoop_unavailable"
    );
    assert_eq!(stage.rows().await.count("whoop_users"), 0);
}

#[tokio::test]
async fn a_rejected_client_secret_is_answered_without_retry_after() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault {
        body: Some(r#"{"error":"invalid_client"}"#.to_owned()),
        ..Fault::status("token", 401)
    });

    let (state, code) = state_and_code(&stage, Some("hos://whoop")).await;
    let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;

    assert_eq!(
        answer.location().as_str(),
        "hos://whoop?error=service_refused"
    );

    let (state, code) = state_and_code(&stage, None).await;
    let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;
    answer.assert_problem(503, "service-refused");
    assert!(answer.header("retry-after").is_none());
}

/// Law 16 (connecting never fails because of the quota): the connection is stored before any call
/// that counts against the quota.
#[tokio::test]
async fn a_connect_succeeds_while_the_quota_is_used_up_or_the_profile_cannot_be_read() {
    let stage = Stage::new().await;
    for status in [429, 502] {
        stage.world().clear_faults();
        stage.world().add_fault(Fault::status("profile", status));

        let (state, code) = state_and_code(&stage, None).await;
        let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;

        let answer = answer.expect(200);
        assert_eq!(answer["status"], "connected", "{status}");
    }
}

#[tokio::test]
async fn a_consent_without_the_profile_is_reported_as_access_denied() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault::status("profile", 403));

    let (state, code) = state_and_code(&stage, Some("hos://whoop")).await;
    let answer = call_back(&stage, &[("state", &state), ("code", &code)]).await;

    assert_eq!(
        answer.location().as_str(),
        "hos://whoop?error=access_denied"
    );
}
