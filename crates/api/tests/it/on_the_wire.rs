//! Headers of requests and responses: version tags, request ids, encodings, origins.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Stage, Token, now};

#[tokio::test]
async fn an_unchanged_response_is_answered_with_304() {
    let (stage, alice) = Stage::with_member().await;
    let date = now().date_naive();
    for path in [
        format!("{}?date={date}", alice.path("daily-data")),
        format!("{}?from={date}&to={date}", alice.path("range")),
        alice.path("records/sleep"),
    ] {
        let first = stage
            .client
            .get(&path)
            .with_token(&alice.token)
            .send()
            .await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let ask = stage.client.get(&path).with_token(&alice.token);
            let again = ask.with_header("if-none-match", &known).send().await;
            assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
        }
        let ask = stage.client.get(&path).with_token(&alice.token);
        let other = ask.with_header("if-none-match", "W/\"other\"").send().await;
        assert_eq!(other.status, 200);
        // The access of the caller is checked before the tag is compared.
        let bob = Token::of("bob").text();
        let ask = stage.client.get(&path).with_token(&bob);
        ask.with_header("if-none-match", &tag)
            .send()
            .await
            .assert_status(403);
    }

    let path = format!("{}?date={date}", alice.path("daily-data"));
    let before = stage
        .client
        .get(&path)
        .with_token(&alice.token)
        .send()
        .await;
    stage
        .execute("UPDATE whoop_sleep SET sleep_performance_percentage = 1.5")
        .await;
    let ask = stage.client.get(&path).with_token(&alice.token);
    let tag = before.header("etag").unwrap();
    let after = ask.with_header("if-none-match", tag).send().await;
    assert_eq!(after.expect(200)["sleep"]["performance"], json!(1.5));
}

#[tokio::test]
async fn a_request_keeps_the_id_that_its_caller_sent() {
    let stage = Stage::new().await;
    let named = stage
        .client
        .get("/healthz")
        .with_header("x-request-id", "app-17.b");
    assert_eq!(named.send().await.header("x-request-id"), Some("app-17.b"));
    let long = "x".repeat(65);
    for bad in [
        "",
        "two words",
        "<script>",
        "a/b",
        "k=v",
        "a:b",
        "a+b",
        &long,
    ] {
        let ask = stage
            .client
            .get("/healthz")
            .with_header("x-request-id", bad);
        let given = ask.send().await;
        let id = given.header("x-request-id").unwrap();
        assert_eq!(id.len(), 32, "{bad:?} became {id:?}");
    }
    // The responses to refused requests and unknown paths have an id, too.
    let lost = stage.client.get("/nowhere").send().await;
    assert!(lost.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_day_is_compressed_if_the_caller_accepts_it_and_events_never_are() {
    let (stage, alice) = Stage::with_member().await;
    let url = |route: &str| format!("{}{}", stage.client.base(), alice.path(route));
    let http = reqwest::Client::builder().no_gzip().build().unwrap();
    let ask = |route: &str| {
        http.get(url(route))
            .bearer_auth(&alice.token)
            .header("accept-encoding", "gzip")
    };
    let day = ask("daily-data").send().await.unwrap();
    assert_eq!(day.headers()["content-encoding"], "gzip");
    assert_eq!(&day.bytes().await.unwrap()[..2], [0x1f, 0x8b]);

    let mut events = ask("events").send().await.unwrap();
    assert!(!events.headers().contains_key("content-encoding"));
    let first = events.chunk().await.unwrap().unwrap();
    assert!(
        first.starts_with(b"event: connection") || first.starts_with(b"retry"),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_web_app_may_send_requests_from_the_allowed_origins() {
    let stage = Stage::with_flags(&["--cors-allowed-origins=https://app.example".to_owned()]).await;
    let preflight = |origin: &'static str| {
        stage
            .client
            .ask(Method::OPTIONS, "/api/v1/whoop/daily-data/alice")
            .with_header("origin", origin)
            .with_header("access-control-request-method", "GET")
            .with_header("access-control-request-headers", "authorization")
    };
    let allowed = preflight("https://app.example").send_undescribed().await;
    assert_eq!(allowed.status, 200);
    let origin = allowed.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://app.example"));
    assert!(allowed.header("x-request-id").is_some());

    let refused = preflight("https://evil.example").send_undescribed().await;
    assert!(refused.header("access-control-allow-origin").is_none());
    refused.assert_problem(400, "cors-refused");
    assert!(refused.header("x-request-id").is_some());
    let vary = refused.header("vary").unwrap().to_lowercase();
    assert!(vary.contains("origin"), "{vary}");

    let ask = stage.client.get("/healthz");
    let plain = ask
        .with_header("origin", "https://app.example")
        .send()
        .await;
    let exposed = plain.header("access-control-expose-headers").unwrap();
    assert!(exposed.to_lowercase().contains("etag"), "{exposed}");
}

#[tokio::test]
async fn any_origin_is_allowed_if_the_list_contains_an_asterisk() {
    let stage =
        Stage::with_flags(&["--cors-allowed-origins=*,https://app.example".to_owned()]).await;

    let ask = stage.client.get("/healthz");
    let answer = ask.with_header("origin", "https://x.example").send().await;

    let allowed = answer.header("access-control-allow-origin");
    assert!(
        matches!(allowed, Some("*" | "https://x.example")),
        "{allowed:?}"
    );
}

#[tokio::test]
async fn a_member_with_too_many_requests_gets_429_and_other_members_do_not() {
    let stage = Stage::with_flags(&["--api-requests-per-minute=3".to_owned()]).await;
    let (alice, bob) = (stage.member("alice"), stage.member("bob"));
    for _ in 0..3 {
        alice.get("connection", "").await.assert_status(200);
    }
    let refused = alice.get("connection", "").await;
    refused.assert_problem(429, "too-many-requests");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    bob.get("connection", "").await.assert_status(200);
    // Requests with a service key are not limited.
    let service = stage.service_for("alice");
    for _ in 0..10 {
        service.get("connection", "").await.assert_status(200);
    }
}

#[tokio::test]
async fn every_response_has_nosniff() {
    let stage = Stage::with_flags(&["--cors-allowed-origins=https://app.example".to_owned()]).await;
    let alice = stage.member("alice");

    for (path, status) in [
        (alice.path("daily-data"), 200),
        (alice.path("export"), 404),
        ("/healthz".to_owned(), 200),
        ("/metrics".to_owned(), 200),
        ("/openapi.json".to_owned(), 200),
        ("/docs/".to_owned(), 200),
        ("/".to_owned(), 200),
        ("/nowhere".to_owned(), 404),
    ] {
        let ask = stage.client.get(&path).with_token(&alice.token);
        let answer = ask.send_undescribed().await;
        answer.assert_status(status);
        let options = answer.header("x-content-type-options");
        assert_eq!(options, Some("nosniff"), "{path}");
    }
    let preflight = stage
        .client
        .ask(Method::OPTIONS, &alice.path("daily-data"))
        .with_header("origin", "https://app.example")
        .with_header("access-control-request-method", "GET");
    let preflight = preflight.send_undescribed().await;
    assert_eq!(preflight.header("x-content-type-options"), Some("nosniff"));
}
