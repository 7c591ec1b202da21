//! Tests of the rate-limit gate and of WHOOP's quota headers.

use std::time::{Duration, Instant};

use whoop_client::{RetryPolicy, TokenPair, WhoopClient, WhoopError};

use crate::{
    recorded_limits::RecordedLimits,
    replies::token,
    scripted::{Scripted, json, reply},
};

const PROFILE: &str = r#"{"user_id":7}"#;

fn headers<'a>(remaining: &'a str, reset: &'a str) -> [(&'a str, &'a str); 3] {
    [
        (
            "X-RateLimit-Limit",
            "100, 100;window=60, 10000;window=86400",
        ),
        ("X-RateLimit-Remaining", remaining),
        ("X-RateLimit-Reset", reset),
    ]
}

#[tokio::test]
async fn after_a_429_no_clone_calls_whoop_before_the_reset() {
    let server = Scripted::with_replies([reply(429, &headers("0", "37"), "")]).await;
    let whoop = server.whoop();
    let other = whoop.with_retry_policy(RetryPolicy::interactive());

    let refused = whoop.fetch_profile(&token()).await.unwrap_err();
    let also_refused = other.fetch_profile(&token()).await.unwrap_err();

    for error in [refused, also_refused] {
        let WhoopError::RateLimited { retry_after, day } = error else {
            panic!("expected a used-up limit, got {error:?}");
        };
        assert!(!day);
        assert!(Duration::from_secs(30) < retry_after);
        assert!(retry_after <= Duration::from_secs(37));
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reply_without_remaining_calls_closes_the_gate() {
    let server = Scripted::with_replies([reply(200, &headers("0", "50"), PROFILE)]).await;
    let (whoop, limits) = RecordedLimits::of(&server.whoop());

    assert_eq!(whoop.fetch_profile(&token()).await.unwrap().user_id, 7);
    let refused = whoop.fetch_profile(&token()).await;

    assert!(matches!(refused, Err(WhoopError::RateLimited { .. })));
    assert_eq!(server.requests().len(), 1);
    let rate_limit = limits.latest();
    assert_eq!((rate_limit.limit, rate_limit.remaining), (100, 0));
}

#[tokio::test]
async fn a_call_that_may_wait_is_answered_after_the_limit_resets() {
    let refusal = reply(429, &[("Retry-After", "1")], "");
    let server = Scripted::with_replies([refusal, json(PROFILE)]).await;
    let whoop = server.whoop().with_retry_policy(RetryPolicy::scheduled());
    let start = Instant::now();

    assert_eq!(whoop.fetch_profile(&token()).await.unwrap().user_id, 7);

    assert!(start.elapsed() >= Duration::from_millis(950));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_used_up_day_limit_fails_even_a_call_that_may_wait() {
    let mut headers = headers("0", "41230");
    headers[0].1 = "10000, 100;window=60, 10000;window=86400";
    let server = Scripted::with_replies([reply(429, &headers, "")]).await;
    let whoop = server.whoop().with_retry_policy(RetryPolicy::scheduled());

    let refused = whoop.fetch_profile(&token()).await;

    assert!(matches!(
        refused,
        Err(WhoopError::RateLimited { day: true, .. })
    ));
}

#[tokio::test]
async fn a_token_can_be_refreshed_while_the_quota_is_used_up() {
    let pair = r#"{"access_token":"a2","refresh_token":"r2","expires_in":3600}"#;
    let server = Scripted::with_replies([reply(429, &headers("0", "37"), ""), json(pair)]).await;
    let whoop = server.whoop();
    whoop.fetch_profile(&token()).await.unwrap_err();

    whoop.refresh_tokens(&"r1".into(), "offline").await.unwrap();

    assert_eq!(server.requests().len(), 2);
}

async fn refresh(whoop: &WhoopClient) -> Result<TokenPair, WhoopError> {
    whoop.refresh_tokens(&token(), "offline").await
}

#[tokio::test]
async fn a_429_of_the_token_endpoint_stops_token_requests_but_no_calls() {
    let refusal = reply(429, &[("Retry-After", "37")], "");
    let server = Scripted::with_replies([refusal, json(PROFILE)]).await;
    let whoop = server.whoop().with_retry_policy(RetryPolicy::refresh());

    for _ in 0..2 {
        let refused = refresh(&whoop).await.unwrap_err();
        let WhoopError::RateLimited { retry_after, .. } = refused else {
            panic!("expected a closed gate, got {refused:?}");
        };
        assert!(Duration::from_secs(30) < retry_after);
    }
    let mut remaining_wait = Duration::from_secs(5);
    let result = whoop.wait_for_token_endpoint(&mut remaining_wait).await;
    assert!(result.is_err());

    assert_eq!(whoop.fetch_profile(&token()).await.unwrap().user_id, 7);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_429_of_the_token_endpoint_that_names_the_apps_quota_stops_calls_as_well() {
    let server = Scripted::with_replies([reply(429, &headers("0", "37"), "")]).await;
    let whoop = server.whoop().with_retry_policy(RetryPolicy::refresh());

    assert!(refresh(&whoop).await.is_err());
    let refused = whoop.fetch_profile(&token()).await;

    assert!(matches!(refused, Err(WhoopError::RateLimited { .. })));
    assert_eq!(server.requests().len(), 1);
}
