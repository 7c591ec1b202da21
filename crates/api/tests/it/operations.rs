//! The operations address, which serves the metrics, the operator's page and the operator's routes.

use std::net::TcpListener;

use whoop_api::ApiStartError;

use crate::harness::{Binary, Client, Member, SERVICE_KEY, Stage, refused_start};

const OPERATIONS: [&str; 5] = [
    "/metrics",
    "/admin",
    "/page/admin.js",
    "/page/admin.html",
    "/api/v1/whoop/admin/status",
];

const MEMBERS: [&str; 5] = [
    "/",
    "/sw.js",
    "/docs/",
    "/openapi.json",
    "/api/v1/whoop/connection/alice",
];

async fn status(client: &Client, path: &str) -> u16 {
    let ask = client.get(path).with_token(SERVICE_KEY);
    let answer = ask.send_undescribed().await;
    if answer.status == 404 {
        answer.assert_problem(404, "no-such-route");
    }
    answer.status
}

#[tokio::test]
async fn without_an_operations_address_one_address_serves_everything() {
    let stage = Stage::new().await;

    for path in OPERATIONS.into_iter().chain(MEMBERS) {
        assert_eq!(status(&stage.client, path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn each_route_is_on_its_own_address_and_the_state_is_the_same() {
    let stage = Stage::with_flags(&["--api-ops-listen=127.0.0.1:0".to_owned()]).await;
    let operations = stage.operations.clone().unwrap();

    for path in OPERATIONS {
        assert_eq!(status(&stage.client, path).await, 404, "{path}");
        assert_eq!(status(&operations, path).await, 200, "{path}");
    }
    for path in MEMBERS {
        assert_eq!(status(&stage.client, path).await, 200, "{path}");
        assert_eq!(status(&operations, path).await, 404, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&stage.client, path).await, 200, "{path}");
        assert_eq!(status(&operations, path).await, 200, "{path}");
    }
    // The operations address also serves the files that its page loads.
    for path in ["/page/style.css", "/page/dom.js", "/page/icon.svg"] {
        assert_eq!(status(&operations, path).await, 200, "{path}");
    }
    // The operator's POST routes do not exist on the public address.
    for path in ["admin/doctor", "admin/webhooks/replay"] {
        let path = format!("/api/v1/whoop/{path}");
        let ask = stage.client.post(&path).with_token(SERVICE_KEY);
        ask.send().await.assert_problem(404, "no-such-route");
    }
    // The metrics on the operations address also count the members' requests to the public address.
    Member::new(&stage.client, "alice").day("").await;
    let metrics = operations.get("/metrics").send().await.text;
    assert!(metrics.contains("daily-data/{user_id}"), "{metrics}");
}

#[tokio::test]
async fn the_operations_address_requires_a_service_key() {
    let stage = Stage::with_flags(&["--api-ops-listen=127.0.0.1:0".to_owned()]).await;
    let operations = stage.operations.clone().unwrap();
    let alice = Member::new(&operations, "alice");

    let ask = || operations.get("/api/v1/whoop/admin/status");
    ask().send().await.assert_problem(401, "no-credentials");
    let member = ask().with_token(&alice.token).send().await;
    member.assert_problem(403, "not-an-operator");
}

#[tokio::test]
async fn an_operations_address_equal_to_the_public_one_is_refused() {
    for (public, operations) in [
        ("127.0.0.1:18080", "127.0.0.1:18080"),
        ("0.0.0.0:18080", "127.0.0.1:18080"),
        ("127.0.0.1:18080", "0.0.0.0:18080"),
    ] {
        let flags = [
            format!("--api-listen={public}"),
            format!("--api-ops-listen={operations}"),
        ];
        let error = refused_start(&flags).await;
        assert!(matches!(error, ApiStartError::Settings(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("API_OPS_LISTEN"), "{text}");
        assert!(text.contains("127.0.0.1:8081"), "no example in {text}");
    }
}

#[tokio::test]
async fn an_operations_address_that_is_in_use_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();

    let error = refused_start(&[format!("--api-ops-listen={address}")]).await;

    let text = error.to_string();
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(text.contains("API_OPS_LISTEN"), "{text}");
}

#[tokio::test]
async fn without_authentication_both_addresses_must_be_on_loopback() {
    let error = refused_start(&[
        "--insecure-no-auth".to_owned(),
        "--api-ops-listen=0.0.0.0:0".to_owned(),
    ])
    .await;

    assert!(matches!(error, ApiStartError::Settings(_)), "{error}");
    assert!(error.to_string().contains("API_OPS_LISTEN"), "{error}");
}

#[tokio::test]
async fn an_invalid_address_or_switch_is_refused() {
    for (name, value) in [
        ("API_OPS_LISTEN", "8081"),
        ("API_OPS_LISTEN", "operations"),
        ("API_DOCS", "no"),
        ("API_DOCS", "OFF?"),
    ] {
        let ended = Binary::new().env(name, value).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{name}={value}");
        let reason = format!("{name} is not usable");
        assert!(ended.stderr.contains(&reason), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_description_and_its_page_can_be_switched_off() {
    let stage = Stage::with_flags(&["--api-docs=off".to_owned()]).await;

    for path in ["/docs", "/docs/", "/docs/index.html", "/openapi.json"] {
        assert_eq!(status(&stage.client, path).await, 404, "{path}");
    }
    assert_eq!(status(&stage.client, "/").await, 200);
}
