//! Law 13 (bad input gets a clear error and changes nothing) for the path: any text in place of a
//! user id.

use reqwest::Method;

use crate::harness::{Documented, SERVICE_KEY, Stage, documented};

fn of_a_member() -> impl Iterator<Item = Documented> {
    documented()
        .into_iter()
        .filter(|route| route.path.contains("{user_id}"))
}

/// Returns user ids that the API must refuse, each with a description. The user ids are
/// percent-encoded for a URL.
fn refused() -> Vec<(&'static str, String)> {
    vec![
        ("10,000 characters", "a".repeat(10_000)),
        ("129 characters", "a".repeat(129)),
        ("129 characters of four bytes", "%F0%9F%92%A4".repeat(129)),
        ("NUL", "%00".to_owned()),
        ("NUL inside", "ali%00ce".to_owned()),
        ("a line end", "alice%0D%0Ax-evil:1".to_owned()),
        ("DEL", "alice%7F".to_owned()),
        ("a control character of Unicode", "alice%C2%85".to_owned()),
        ("a lone percent sign", "alice%".to_owned()),
        ("half an escape", "alice%4".to_owned()),
        ("no hexadecimal", "alice%zz".to_owned()),
        ("no UTF-8", "alice%FF".to_owned()),
        ("an overlong slash", "alice%C0%AF".to_owned()),
        ("half a surrogate pair", "alice%ED%A0%80".to_owned()),
        ("the folder itself", "%2E".to_owned()),
        ("the folder above", "%2e%2E".to_owned()),
    ]
}

#[tokio::test]
async fn an_invalid_user_id_is_refused_by_every_route_and_changes_nothing() {
    let (stage, _alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for (what, user_id) in refused() {
        for route in of_a_member() {
            // The request is written by hand, because a client library would normalize some of
            // these paths.
            let request = format!(
                "{} {} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {SERVICE_KEY}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n",
                route.method,
                route.of_member(&user_id),
            );
            let answer = stage.client.send_raw(request.as_bytes()).await;

            let case = format!("{what} at {} {}: {answer}", route.method, route.path);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{case}");
            assert!(answer.contains("application/problem+json"), "{case}");
            assert!(answer.contains("problem:invalid-user-id"), "{case}");
            assert!(answer.contains(r#""field":"user_id""#), "{case}");
            assert!(!answer.contains("\nx-evil"), "{case}");
        }
    }
    before.assert_unchanged(&stage.rows().await, "a bad user id");
}

#[tokio::test]
async fn unusual_user_ids_are_valid_and_belong_to_no_member() {
    let (stage, _alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for name in [
        "%F0%9F%92%A4",
        "%E2%80%AEalice",
        "alice'%20OR%20'1'='1",
        "alice';DROP%20TABLE%20whoop_users;--",
        "$1",
        "%25",
        "%2525",
        "_____",
        "null",
        "alice%2Fbob",
        "..%2F..%2Fetc%2Fpasswd",
        "<script>",
        "%7B%7B7*7%7D%7D",
        "e%CC%81",
        "+",
    ] {
        for route in ["daily-data", "sync-status", "connection"] {
            let path = format!("/api/v1/whoop/{route}/{name}");
            let answer = stage.client.get(&path).with_token(SERVICE_KEY).send();
            let body = answer.await.expect(200);
            let connection = body
                .get("connection")
                .unwrap_or(&body["meta"]["connection"]);
            assert_eq!(connection, "never_connected", "{path}");
        }
    }
    before.assert_unchanged(&stage.rows().await, "a strange name");
}

#[tokio::test]
async fn a_user_id_is_returned_unchanged() {
    let stage = Stage::new().await;

    for (sent, name) in [
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a%25", "a%"),
        ("%F0%9F%92%A4", "💤"),
        ("a;b=c,d", "a;b=c,d"),
        ("auth0%7C123", "auth0|123"),
    ] {
        let path = format!("/api/v1/whoop/daily-data/{sent}");
        let token = crate::harness::Token::of(name).text();
        let day = stage.client.get(&path).with_token(&token).send().await;

        assert_eq!(day.expect(200)["user_id"], name, "{sent}");
    }
}

#[tokio::test]
async fn a_member_with_a_percent_encoded_user_id_can_use_every_route() {
    let stage = Stage::new().await;
    let name = "auth0|12/3 %2F💤";
    let escaped = "auth0%7C12%2F3%20%252F%F0%9F%92%A4";
    let mut member = stage.service_for(escaped);
    let consent = member.begin(&serde_json::json!({})).await;
    let whoop_user_id = stage.world().people()[0];
    let callback = consent.given_by(&stage.client, whoop_user_id).await;
    let connected = callback.follow(&stage.client).await.expect(200);
    assert_eq!(connected["user_id"], name);
    member.is_read().await;

    member.token = crate::harness::Token::of(name).text();
    let started = member
        .post("sync", &serde_json::json!({"wait": false}))
        .await
        .expect(202);

    let status_url = started["status_url"].as_str().unwrap();
    let ask = stage.client.get(status_url).with_token(&member.token);
    assert_eq!(ask.send().await.expect(200)["user_id"], name);
    member.is_read().await;
}

#[tokio::test]
async fn unknown_paths_are_answered_with_404() {
    let stage = Stage::new().await;

    for path in [
        "/api",
        "/api/v1/whoop",
        "/api/v1/whoop/daily-data",
        "/api/v1/whoop/daily-data/",
        "/api/v1/whoop/daily-data/alice/more",
        "/api/v2/whoop/daily-data/alice",
        "/API/V1/WHOOP/DAILY-DATA/alice",
        "/api/v1/whoop/callback/",
        "/healthz/",
        "/openapi.yaml",
        "/.env",
        "/%00",
        "/%",
        "/%FF%FE",
        "/api/v1/whoop/smart/alice",
    ] {
        let answer = stage.client.get(path).with_token(SERVICE_KEY).send().await;
        answer.assert_problem(404, "no-such-route");
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_allowed_ones() {
    let (stage, _alice) = Stage::with_member().await;
    let before = stage.rows().await;

    for path in documented().into_iter().map(|route| route.path) {
        let there: Vec<Method> = documented()
            .into_iter()
            .filter(|route| route.path == path)
            .map(|route| route.method)
            .collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let method: Method = method.parse().unwrap();
            if there.contains(&method) {
                continue;
            }
            let target = path.replace("{user_id}", "alice");
            let ask = stage.client.ask(method.clone(), &target);
            let answer = ask.with_token(SERVICE_KEY).send().await;

            answer.assert_problem(405, "method-not-allowed");
            let allow = answer.header("allow").unwrap();
            for known in &there {
                let is_listed = allow.split(", ").any(|one| one == known.as_str());
                assert!(
                    is_listed,
                    "{method} {path} answers with Allow {allow:?}, without {known}"
                );
            }
        }
    }
    before.assert_unchanged(&stage.rows().await, "a wrong method");
}

#[tokio::test]
async fn a_head_request_is_a_get_without_a_body() {
    let (stage, alice) = Stage::with_member().await;

    for path in documented()
        .into_iter()
        .filter(|route| route.method == Method::GET)
        .map(|route| route.of_member("alice"))
        // Three routes do not support HEAD: a link preview would use up the callback's state, an
        // export would be read without being sent, and a stream consists only of its body.
        .filter(|path| {
            let is_only_a_get = ["/callback", "/export/", "/events/"];
            !is_only_a_get.iter().any(|part| path.contains(part))
        })
    {
        let get = stage.client.get(&path).with_token(SERVICE_KEY).send().await;
        let head = stage
            .client
            .ask(Method::HEAD, &path)
            .with_token(SERVICE_KEY);
        let head = head.send().await;

        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        for name in ["content-type", "content-length"] {
            // The metrics differ, because the first of the two requests has changed them.
            if (path.as_str(), name) != ("/metrics", "content-length") {
                assert_eq!(head.header(name), get.header(name), "{name} of {path}");
            }
        }
    }
    for path in [
        "/api/v1/whoop/callback?state=x&code=y",
        &alice.path("export"),
        &alice.path("events"),
    ] {
        let answer = stage.client.ask(Method::HEAD, path).send();
        assert_eq!(answer.await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn options_list_the_methods_and_allow_no_other_origin() {
    let stage = Stage::new().await;

    let answer = stage
        .client
        .ask(Method::OPTIONS, "/api/v1/whoop/connection/alice")
        .with_header("origin", "https://evil.example")
        .with_header("access-control-request-method", "DELETE")
        .send()
        .await;

    answer.assert_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
