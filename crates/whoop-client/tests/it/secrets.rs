//! Tests that errors, logs and debug output contain no secrets.

use std::{error::Error, sync::Arc};

use whoop_client::{PageQuery, RetryPolicy, TokenPair, WhoopClient, WhoopConfig, WhoopError};
use whoop_core::{SystemClock, record::Sleep};

use crate::{
    log::listen,
    replies::{first_page, token},
    scripted::{ACCESS_TOKEN, CLIENT_SECRET, Reply, Scripted, json, reply},
};

const REFRESH_TOKEN: &str = "refresh-token-4711";
const CODE: &str = "one-time-code-4711";
const PAGE_TOKEN: &str = "page-token-4711";

fn error_text(error: &WhoopError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text += &format!(" {next} {next:?}");
        cause = next.source();
    }
    text
}

fn assert_keeps_secrets(text: &str) {
    for secret in [ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, CODE, PAGE_TOKEN] {
        assert!(!text.contains(secret), "{secret} shows in: {text}");
    }
}

/// Sends every kind of request, and returns all their errors and debug output as text.
async fn call_everything(whoop: &WhoopClient) -> String {
    let second_page = PageQuery {
        next_token: Some(PAGE_TOKEN.to_owned()),
        ..first_page()
    };
    let page = whoop.fetch_page::<Sleep>(&token(), &second_page).await;
    let profile = whoop.fetch_profile(&token()).await;
    let refreshed = whoop.refresh_tokens(&REFRESH_TOKEN.into(), "offline").await;
    let exchanged = whoop.exchange_code(CODE).await;

    let pair = |pair: Result<TokenPair, WhoopError>| {
        pair.map_or_else(|error| error_text(&error), |pair| format!("{pair:?}"))
    };
    [
        format!("{whoop:?}"),
        page.err()
            .map(|error| error_text(&error))
            .unwrap_or_default(),
        profile
            .err()
            .map(|error| error_text(&error))
            .unwrap_or_default(),
        pair(refreshed),
        pair(exchanged),
    ]
    .join("\n")
}

fn without_retries() -> RetryPolicy {
    RetryPolicy {
        retries: 0,
        ..RetryPolicy::interactive()
    }
}

#[tokio::test]
async fn neither_logs_nor_errors_nor_debug_output_contain_a_secret() {
    let log = listen();
    let pair = format!(
        r#"{{"access_token":"{ACCESS_TOKEN}","refresh_token":"{REFRESH_TOKEN}","expires_in":3600}}"#
    );
    let echo = format!(r#"{{"error":"{REFRESH_TOKEN}"}}"#);
    let rounds = [
        [
            json(r#"{"records":[]}"#),
            json(r#"{"user_id":7}"#),
            json(&pair),
            json(&pair),
        ],
        [
            reply(500, &[], ""),
            Reply::Send(Vec::new()),
            reply(400, &[], &echo),
            Reply::Send(b"nonsense\r\n\r\n".to_vec()),
        ],
        [
            json("[]"),
            reply(302, &[("location", "http://127.0.0.1:1/")], ""),
            json(&format!(r#"["{REFRESH_TOKEN}"]"#)),
            json(&format!(r#"{{"access_token":{{"no":"{CODE}"}}}}"#)),
        ],
    ];

    for replies in rounds {
        let server = Scripted::with_replies(replies).await;
        let output = call_everything(&server.whoop().with_retry_policy(without_retries())).await;
        assert_keeps_secrets(&output);
        assert_eq!(server.requests().len(), 4);
    }

    let log = log.text();
    assert!(log.contains("v2/activity/sleep"), "the calls were logged");
    assert_keeps_secrets(&log);
}

#[tokio::test]
async fn an_error_about_an_unreachable_server_contains_no_url() {
    listen();
    let unreachable = WhoopConfig {
        // No server listens on port 1, so that every connection is refused.
        api_url: "http://127.0.0.1:1/developer".parse().unwrap(),
        oauth_url: "http://127.0.0.1:1/oauth2".parse().unwrap(),
        client_id: "the-app".to_owned(),
        client_secret: CLIENT_SECRET.into(),
        redirect_url: "https://app.example/callback".parse().unwrap(),
    };
    assert_keeps_secrets(&format!("{unreachable:?}"));
    let whoop = WhoopClient::new(unreachable, Arc::new(SystemClock)).unwrap();

    let output = call_everything(&whoop.with_retry_policy(without_retries())).await;

    assert!(output.contains("connection to WHOOP failed"));
    assert!(!output.contains("nextToken"), "{output}");
    assert_keeps_secrets(&output);
}

#[tokio::test]
async fn the_authorization_url_requests_every_scope() {
    let server = Scripted::with_replies([]).await;

    let url = server
        .whoop()
        .authorization_url("state&with=odd characters");

    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let expected = [
        ("response_type", "code"),
        ("client_id", "the-app"),
        ("redirect_uri", "https://app.example/callback"),
        ("scope", whoop_client::SCOPES),
        ("state", "state&with=odd characters"),
    ];
    assert_eq!(
        query,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(url.path(), "/oauth/oauth2/auth");
    assert_keeps_secrets(url.as_str());
}
