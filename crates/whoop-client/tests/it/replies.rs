//! Tests of the result of each kind of reply, and of the number of retries.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use whoop_client::{ErrorAction, ListPage, PageQuery, RecordLookup, RetryPolicy, WhoopError};
use whoop_core::{
    CycleId, SleepId,
    record::{Cycle, Sleep},
};

use crate::scripted::{ACCESS_TOKEN, Reply, Scripted, cut_short, json, reply, reply_bytes};

const PROFILE: &str = r#"{"user_id":7,"email":null,"first_name":"Ada","nickname":"A"}"#;

pub(crate) fn token() -> SecretString {
    ACCESS_TOKEN.into()
}

pub(crate) fn first_page() -> PageQuery {
    PageQuery {
        end: "2026-03-20T12:00:00Z".parse().unwrap(),
        next_token: None,
    }
}

#[tokio::test]
async fn a_call_sends_the_token_the_user_agent_and_the_accepted_encoding() {
    let server = Scripted::with_replies([json(PROFILE)]).await;

    let profile = server.whoop().fetch_profile(&token()).await.unwrap();

    assert_eq!(profile.first_name.as_deref(), Some("Ada"));
    assert_eq!(profile.last_name, None);
    let request = server.requests()[0].to_lowercase();
    assert!(request.starts_with("get /developer/v2/user/profile/basic http/1.1"));
    assert!(request.contains(&format!("authorization: bearer {ACCESS_TOKEN}")));
    assert!(request.contains("user-agent: whoop-backend/"));
    assert!(request.contains("accept-encoding: gzip"));
}

#[tokio::test]
async fn a_5xx_and_a_broken_connection_are_retried() {
    let dropped = Reply::Send(Vec::new());
    let server = Scripted::with_replies([reply(502, &[], "<html>"), dropped, json(PROFILE)]).await;
    let policy = RetryPolicy {
        retries: 2,
        ..RetryPolicy::interactive()
    };

    let whoop = server.whoop().with_retry_policy(policy);
    let profile = whoop.fetch_profile(&token()).await;

    assert_eq!(profile.unwrap().user_id, 7);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(whoop.requests_sent(), 3, "each attempt must be counted");
}

#[tokio::test]
async fn an_outage_is_reported_once_the_retries_are_used_up() {
    let server = Scripted::with_replies([reply(503, &[], ""), reply(502, &[], "")]).await;

    let error = server.whoop().fetch_profile(&token()).await.unwrap_err();

    assert!(matches!(error, WhoopError::Server { status: 502 }));
    assert_eq!(error.recommended_action(), ErrorAction::Retry);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_truncated_body_is_requested_again() {
    for broken in [cut_short(PROFILE), json(&PROFILE[..20]), json("")] {
        let server = Scripted::with_replies([broken, json(PROFILE)]).await;

        let profile = server.whoop().fetch_profile(&token()).await.unwrap();

        assert_eq!(profile.user_id, 7);
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_an_error_and_is_not_requested_again() {
    let server = Scripted::with_replies([json("<html>hello</html>")]).await;

    let error = server.whoop().fetch_profile(&token()).await.unwrap_err();

    assert!(matches!(error, WhoopError::Decode { .. }));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn unauthorized_forbidden_and_unexpected_statuses_are_distinguished() {
    let statuses = [401, 403, 418, 302];
    let server = Scripted::with_replies(statuses.map(|status| {
        // If the client followed the redirect, it would send a fifth request.
        reply(status, &[("location", "/developer/elsewhere")], "no")
    }))
    .await;
    let whoop = server.whoop();

    let mut errors = Vec::new();
    for _ in statuses {
        errors.push(whoop.fetch_profile(&token()).await.unwrap_err());
    }

    assert!(matches!(
        errors[..],
        [
            WhoopError::Unauthorized,
            WhoopError::Forbidden,
            WhoopError::Unexpected { status: 418 },
            WhoopError::Unexpected { status: 302 }
        ]
    ));
    assert_eq!(server.requests().len(), statuses.len());
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_timeout() {
    let server = Scripted::with_replies([Reply::Silence]).await;
    let policy = RetryPolicy {
        call_timeout: Duration::from_millis(100),
        ..RetryPolicy::scheduled()
    };

    let error = server
        .whoop()
        .with_retry_policy(policy)
        .fetch_profile(&token())
        .await;

    assert!(matches!(error, Err(WhoopError::TimedOut)));
}

#[tokio::test]
async fn a_token_request_without_an_answer_ends_at_its_timeout() {
    let server = Scripted::with_replies([Reply::Silence]).await;
    let policy = RetryPolicy {
        call_timeout: Duration::from_millis(100),
        ..RetryPolicy::scheduled()
    };

    let whoop = server.whoop().with_retry_policy(policy);
    let error = whoop
        .refresh_tokens(&"r1".into(), "offline")
        .await
        .unwrap_err();

    assert!(matches!(error, WhoopError::TimedOut));
    assert_eq!(error.recommended_action(), ErrorAction::Retry);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_an_error() {
    let huge = vec![b' '; 9 * 1024 * 1024];
    let server = Scripted::with_replies([reply_bytes(200, &[], &huge)]).await;

    let error = server.whoop().fetch_profile(&token()).await.unwrap_err();

    assert!(matches!(error, WhoopError::TooLarge { .. }));
}

#[tokio::test]
async fn a_compressed_body_is_decompressed() {
    // The JSON text `{"user_id":7}`, compressed with gzip.
    let compressed = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 45, 78, 45, 138, 207, 76, 81, 178, 50, 175,
        5, 0, 233, 238, 105, 199, 13, 0, 0, 0,
    ];
    let server = Scripted::with_replies([reply_bytes(
        200,
        &[("content-encoding", "gzip")],
        &compressed,
    )])
    .await;

    assert_eq!(
        server
            .whoop()
            .fetch_profile(&token())
            .await
            .unwrap()
            .user_id,
        7
    );
}

#[tokio::test]
async fn an_invalid_record_is_rejected_and_the_others_are_parsed() {
    let cycle = |id: i64| {
        format!(
            r#"{{"id":{id},"user_id":7,"created_at":"2026-03-01T05:00:00.000Z","updated_at":"2026-03-01T05:00:00.000Z","start":"2026-03-01T00:00:00.000Z","score_state":"PENDING_SCORE"}}"#
        )
    };
    let broken = r#"{"id":92,"user_id":7,"start":"once upon a time"}"#;
    let body = format!(r#"{{"records":[{},{broken},17,{}]}}"#, cycle(93), cycle(91));
    let server = Scripted::with_replies([json(&body)]).await;

    let page: ListPage<Cycle> = server
        .whoop()
        .fetch_page(&token(), &first_page())
        .await
        .unwrap();

    let ids: Vec<_> = page.records.iter().map(|cycle| cycle.id).collect();
    assert_eq!(ids, [CycleId(93), CycleId(91)]);
    assert_eq!(page.rejected.len(), 2);
    assert_eq!(page.rejected[0].record_id.as_deref(), Some("92"));
    assert_eq!(page.rejected[0].raw, broken);
    assert_eq!(page.rejected[1].raw, "17");
}

#[tokio::test]
async fn a_404_is_an_empty_list_only_while_the_profile_answers() {
    let server = Scripted::with_replies([reply(404, &[], ""), json(PROFILE)]).await;
    let page = server
        .whoop()
        .fetch_page::<Sleep>(&token(), &first_page())
        .await;
    let page = page.unwrap();
    assert!(page.not_found && page.records.is_empty() && page.next_token.is_none());

    let server = Scripted::with_replies([reply(404, &[], ""), reply(401, &[], "")]).await;
    let page = server
        .whoop()
        .fetch_page::<Sleep>(&token(), &first_page())
        .await;
    assert!(matches!(page, Err(WhoopError::Unauthorized)));

    let server = Scripted::with_replies([reply(404, &[], ""), reply(404, &[], "")]).await;
    let page = server
        .whoop()
        .fetch_page::<Sleep>(&token(), &first_page())
        .await;
    assert!(matches!(page, Err(WhoopError::Unexpected { status: 404 })));
}

#[tokio::test]
async fn a_404_for_a_later_page_is_an_error() {
    let server = Scripted::with_replies([reply(404, &[], "")]).await;
    let query = PageQuery {
        next_token: Some("eyJvIjoyNX0=".to_owned()),
        ..first_page()
    };

    let page = server.whoop().fetch_page::<Sleep>(&token(), &query).await;

    assert!(matches!(page, Err(WhoopError::Unexpected { status: 404 })));
    assert!(server.requests()[0].contains("nextToken=eyJvIjoyNX0%3D"));
}

#[tokio::test]
async fn an_id_that_would_request_the_whole_list_is_never_sent() {
    let server = Scripted::with_replies([]).await;
    let whoop = server.whoop();

    for id in ["", ".", ".."] {
        let found = whoop.fetch_sleep(&token(), &SleepId(id.to_owned())).await;
        assert!(matches!(found, Ok(RecordLookup::NotFound)));
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_refresh_is_sent_once_with_all_oauth_parameters() {
    let server = Scripted::with_replies([reply(502, &[], "")]).await;

    let error = server
        .whoop()
        .with_retry_policy(RetryPolicy::scheduled())
        .refresh_tokens(&"r1".into(), "offline read:sleep")
        .await
        .unwrap_err();

    assert_eq!(error.recommended_action(), ErrorAction::Retry);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("POST /oauth/oauth2/token HTTP/1.1"));
    let body = requests[0].split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        "grant_type=refresh_token&refresh_token=r1&scope=offline+read%3Asleep&client_id=the-app&client_secret=client-secret-4711"
    );
}

#[tokio::test]
async fn a_refresh_without_a_new_refresh_token_keeps_the_old_one() {
    let server = Scripted::with_replies([json(r#"{"access_token":"a2","expires_in":3600}"#)]).await;

    let pair = server.whoop().refresh_tokens(&"r1".into(), "offline").await;

    let pair = pair.unwrap();
    assert_eq!(pair.access_token.expose_secret(), "a2");
    assert_eq!(pair.refresh_token.unwrap().expose_secret(), "r1");
}
