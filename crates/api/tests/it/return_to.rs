//! Addresses to which the browser may be redirected after connecting WHOOP.

use serde_json::json;

use crate::harness::{Stage, parameter};

#[tokio::test]
async fn a_connect_returns_to_the_app() {
    let stage = Stage::new().await;
    let member = stage.member("alice");
    let body = json!({"return_to": "hos://whoop/done?tab=health#top"});
    let consent = member.begin(&body).await;
    let callback = consent
        .given_by(&stage.client, stage.world().people()[0])
        .await;

    let answer = callback.follow(&stage.client).await;

    assert_eq!(
        answer.location().as_str(),
        "hos://whoop/done?tab=health&status=connected"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let connection = member.get("connection", "").await.expect(200);
    assert_eq!(connection["connection"], "connected");
}

#[tokio::test]
async fn a_fragment_is_removed_from_the_return_address() {
    let stage = Stage::new().await;
    let member = stage.member("alice");

    for (return_to, expected) in [
        ("hos://whoop#x", "hos://whoop?error=access_denied"),
        (
            "https://app.example/whoop/done?a=b#token=of-somebody-else",
            "https://app.example/whoop/done?a=b&error=access_denied",
        ),
        ("/#token=of-somebody-else", "/?error=access_denied"),
    ] {
        let consent = member.begin(&json!({ "return_to": return_to })).await;
        assert_eq!(stage.rows().await.tables_with("of-somebody-else"), [""; 0]);
        let state = consent.state();
        let path = format!("/api/v1/whoop/callback?state={state}&error=access_denied");
        let answer = stage.client.get(&path).send().await;
        assert_eq!(answer.header("location"), Some(expected));
    }
}

#[tokio::test]
async fn a_connect_that_began_on_the_page_returns_to_it() {
    for (flag, expected) in [
        ("", "/?status=connected"),
        (
            "--api-public-url=https://health.example",
            "https://health.example/?status=connected",
        ),
    ] {
        let flags: Vec<String> = [flag]
            .iter()
            .filter(|flag| !flag.is_empty())
            .map(|flag| (*flag).to_owned())
            .collect();
        let stage = Stage::with_flags(&flags).await;
        let consent = stage
            .member("alice")
            .begin(&json!({"return_to": "/"}))
            .await;
        let person = stage.world().people()[0];
        let callback = consent.given_by(&stage.client, person).await;

        let answer = callback.follow(&stage.client).await;

        assert_eq!(answer.header("location"), Some(expected));
    }
}

#[tokio::test]
async fn the_authorization_url_contains_the_client_and_the_scopes() {
    let stage = Stage::new().await;
    let one = stage.member("alice").begin(&json!({})).await;
    let two = stage.member("alice").begin(&json!({})).await;

    let url = &one.authorization_url;
    assert!(url.as_str().starts_with(&stage.sim.oauth_url()), "{url}");
    assert_eq!(parameter(url, "response_type"), "code");
    assert_eq!(parameter(url, "client_id"), "whoop-sim-client");
    assert_eq!(
        parameter(url, "redirect_uri"),
        format!("http://{}/api/v1/whoop/callback", stage.client.address)
    );
    assert!(parameter(url, "scope").contains("offline"));
    assert!(one.state().len() >= 32, "{url}");
    assert_ne!(one.state(), two.state());
    assert!(!url.as_str().contains("alice"), "{url}");
    // The database does not contain the state, so a person with read access to it cannot complete
    // another member's connection.
    assert_eq!(stage.rows().await.tables_with(&one.state()), [""; 0]);
}

#[tokio::test]
async fn addresses_below_an_allowed_one_are_accepted() {
    let stage = Stage::new().await;
    let member = stage.member("alice");

    for good in [
        "hos://whoop",
        "hos://whoop/",
        "hos://whoop/a/b?c=d#e",
        "HOS://whoop",
        "https://app.example/whoop",
        "https://app.example/whoop/",
        "https://APP.example:443/whoop/done",
    ] {
        member.begin(&json!({ "return_to": good })).await;
    }
}

#[tokio::test]
async fn other_and_similar_looking_addresses_are_refused() {
    let stage = Stage::new().await;
    let member = stage.member("alice");
    let before = stage.rows().await;

    let long = format!("hos://whoop/{}", "x".repeat(2_000));
    for bad in [
        "",
        "whoop",
        "whoop/",
        "//app.example/whoop/",
        "/\\app.example/whoop/",
        "https:",
        "https://",
        "https://evil.example/whoop/",
        "https://app.example.evil.example/whoop/",
        "https://app.example@evil.example/whoop/",
        "https://app.example:x@evil.example/whoop/",
        "https://user:pass@app.example/whoop/",
        "https://evil.example/https://app.example/whoop/",
        "https://evil.example?https://app.example/whoop/",
        "https://evil.example#https://app.example/whoop/",
        "https://evil.example\\@app.example/whoop/",
        "https://app.example\\.evil.example/whoop/",
        "https://app.example\t.evil.example/whoop/",
        "https://аpp.example/whoop/",
        "https://app.example./whoop/",
        "https://app.example:444/whoop/",
        "http://app.example/whoop/",
        "https://app.example/",
        "https://app.example/whoopee",
        "https://app.example/whoop/../admin",
        "https://app.example/whoop/%2e%2e/admin",
        "https://app.example/x/whoop/",
        "hos://whoop.evil",
        "hos://evil/whoop",
        "hos:whoop",
        "hoss://whoop",
        "javascript://whoop/%0aalert(1)",
        "data:text/html,x",
        "\0hos://whoops",
        &long,
    ] {
        let answer = member.post("connect", &json!({ "return_to": bad })).await;
        answer.assert_invalid("return-to-not-allowed", "return_to");
    }
    before.assert_unchanged(&stage.rows().await, "a return_to that is not allowed");
}

#[tokio::test]
async fn an_address_cannot_add_a_header_to_the_response() {
    let stage = Stage::new().await;
    let member = stage.member("alice");
    let body = json!({"return_to": "hos://whoop/a\r\nSet-Cookie: x=y"});
    let answer = member.post("connect", &body).await;
    if answer.status != 200 {
        answer.assert_invalid("return-to-not-allowed", "return_to");
        return;
    }
    let url: url::Url = answer.json()["authorization_url"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let state = parameter(&url, "state");

    let path = format!("/api/v1/whoop/callback?state={state}&error=access_denied");
    let answer = stage.client.get(&path).send().await;

    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.location().scheme(), "hos");
}
