//! Law 13 (bad input gets a clear error and changes nothing) for the body.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, Member, Stage};

async fn send(member: &Member, route: &str, body: impl Into<reqwest::Body>) -> Answer {
    let path = member.path(route);
    let ask = member.client.post(&path).with_token(&member.token);
    ask.with_body(body).send().await
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    let deep = "[".repeat(10_000);
    let nested = format!("{{\"consent\":{deep}");
    let long_name = format!("{{\"{}\":1}}", "n".repeat(10_000));
    for body in [
        b"{".as_slice(),
        b"}",
        b"not json",
        b"from=2026-01-01",
        b"<xml/>",
        b"null",
        b"true",
        b"7",
        b"\"text\"",
        b"[]",
        b"[null,null]",
        b"[null,null,null]",
        b"[{}]",
        b"{}{}",
        b"{},",
        b"{'wait':true}",
        b"{\"wait\":true,}",
        b"{\"wait\":NaN}",
        b"\0",
        b"{}\0",
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{}",
        b"{\"\xff\":1}",
        b"{\"unknown\":1}",
        b"{\"__proto__\":{}}",
        long_name.as_bytes(),
        deep.as_bytes(),
        nested.as_bytes(),
    ] {
        for route in ["sync", "connect"] {
            let answer = send(&alice, route, body.to_vec()).await;
            answer.assert_invalid("invalid-body", "body");
        }
    }
    before.assert_unchanged(&stage.rows().await, "a body that is no JSON");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn fields_of_the_wrong_type_and_repeated_fields_are_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for body in [
        r#"{"data_types":"sleep"}"#,
        r#"{"data_types":{"sleep":true}}"#,
        r#"{"data_types":[7]}"#,
        r#"{"data_types":[null]}"#,
        r#"{"data_types":[["sleep"]]}"#,
        r#"{"from":20261020}"#,
        r#"{"from":["2026-10-20"]}"#,
        r#"{"wait":"true"}"#,
        r#"{"wait":1}"#,
        r#"{"wait":true,"wait":false}"#,
        r#"{"wait":true,"Wait":true}"#,
        r#"{"user_id":"bob"}"#,
    ] {
        let answer = send(&alice, "sync", body).await;
        answer.assert_invalid("invalid-body", "body");
    }
    for body in [
        r#"{"return_to":7}"#,
        r#"{"return_to":["hos://whoop"]}"#,
        r#"{"consent":{"version":1}}"#,
        r#"{"consent":true}"#,
        r#"{"consent":"\ud800"}"#,
        r#"{"user_id":"bob"}"#,
    ] {
        let answer = send(&alice, "connect", body).await;
        answer.assert_invalid("invalid-body", "body");
    }
    before.assert_unchanged(&stage.rows().await, "a body of wrong types");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn an_unknown_data_type_is_refused_with_the_known_ones() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for types in [
        json!(["heart"]),
        json!(["Sleep"]),
        json!(["sleep", ""]),
        json!(["sleep\0"]),
        json!(["x".repeat(9_000)]),
        json!([]),
    ] {
        let body = json!({ "data_types": types });
        let answer = alice.post("sync", &body).await;
        answer.assert_invalid("unknown-data-type", "data_types");
    }
    let answer = alice.post("sync", &json!({"data_types": ["heart"]})).await;
    assert!(
        answer.text.contains("recovery, sleep, workout or cycle"),
        "{}",
        answer.text
    );
    before.assert_unchanged(&stage.rows().await, "an unknown data type");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_sync_from_an_invalid_or_future_date_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for (from, kind) in [
        ("", "invalid-date"),
        ("yesterday", "invalid-date"),
        ("2026-02-30", "invalid-date"),
        ("2026-10-20T25:00:00Z", "invalid-date"),
        ("2026-10-20T12:00:00", "invalid-date"),
        ("1969-12-31", "invalid-date"),
        ("0001-01-01T00:00:00Z", "invalid-date"),
        ("1969-12-31T23:59:59Z", "invalid-date"),
        ("2026-10-20\0", "invalid-date"),
        ("2026-10-22", "future-date"),
        ("2026-10-20T15:07:01Z", "future-date"),
        ("2026-10-20T15:07:00-00:01", "future-date"),
        ("9999-12-31T23:59:59Z", "future-date"),
    ] {
        let answer = alice.post("sync", &json!({ "from": from })).await;
        answer.assert_invalid(kind, "from");
    }
    before.assert_unchanged(&stage.rows().await, "a sync from nowhere");
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_sync_from_the_first_supported_date_reads_everything() {
    let (stage, alice) = Stage::with_member().await;

    for from in ["1970-01-01", "1970-01-01T00:00:00Z"] {
        alice.sync_back_to(from).await;
    }
    let from = "2026-10-20T17:07:00+02:00";
    let synced = alice.post("sync", &json!({ "from": from })).await;
    assert_eq!(synced.expect(200)["outcome"], "done");
    // The service believes that WHOOP has no older data only after it has seen this on two days.
    let status = alice.get("sync-status", "").await.expect(200);
    assert_eq!(status["backfill"]["complete"], false, "{status:#}");
    stage.advance(TimeDelta::hours(20));
    alice.sync_back_to("1970-01-01").await;
    let status = alice.get("sync-status", "").await.expect(200);
    assert_eq!(status["backfill"]["complete"], true, "{status:#}");
}

#[tokio::test]
async fn a_body_of_twenty_kilobytes_is_too_large() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    let large = json!({"consent": "x".repeat(20_000)}).to_string();
    for route in ["sync", "connect"] {
        let answer = send(&alice, route, large.clone()).await;
        answer.assert_problem(413, "body-too-large");
        assert_eq!(answer.json()["field"], "body");

        // Without `Content-Length`, the size of the body is known only while it is read.
        let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1_000));
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            alice.path(route),
            alice.token,
            chunk.repeat(20),
        );
        let answer = stage.client.send_raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("problem:body-too-large"), "{answer}");
    }
    before.assert_unchanged(&stage.rows().await, "a large body");
}

#[tokio::test]
async fn a_consent_has_at_most_2000_characters() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for consent in ["x".repeat(2_001), "terms\0".to_owned()] {
        let answer = alice.post("connect", &json!({ "consent": consent })).await;
        answer.assert_invalid("invalid-consent", "consent");
    }
    before.assert_unchanged(&stage.rows().await, "a long consent");

    let longest = "é".repeat(2_000);
    alice.begin(&json!({ "consent": longest })).await;
}

#[tokio::test]
async fn an_empty_body_and_an_empty_object_have_the_same_effect() {
    let (_stage, alice) = Stage::with_member().await;

    for body in [
        "",
        " \r\n\t",
        "{}",
        " {} \n",
        r#"{"consent":null,"return_to":null}"#,
    ] {
        let started = send(&alice, "connect", body).await.expect(200);
        assert!(started["authorization_url"].is_string(), "{body:?}");
    }
    let synced = send(&alice, "sync", "").await.expect(200);
    assert_eq!(synced["types"].as_array().map(Vec::len), Some(4));
    let all_null = r#"{"data_types":null,"from":null,"wait":null}"#;
    let synced: Value = send(&alice, "sync", all_null).await.expect(200);
    assert_eq!(synced["outcome"], "done");
}
