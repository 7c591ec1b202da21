//! Tests of law 8 (one refresh at a time): a token pair is refreshed once, and only if it is
//! needed.

use chrono::TimeDelta;
use futures::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use whoop_client::SCOPES;
use whoop_core::plan::Slot;
use whoop_sim::{Fault, FaultKind, Grant, ReuseMode};
use whoop_sync::{MemberOutcome, SyncContext, SyncError};

use crate::harness::{Member, Stage, context_without_retries, slot};

/// Returns the grant of the member's most recent consent, as the simulator has stored it.
fn grant_of(stage: &Stage, member: &Member) -> Grant {
    let mut grants = stage.world().oauth().grants().into_iter();
    grants
        .rfind(|grant| grant.whoop_user_id == member.whoop_user_id)
        .unwrap()
}

async fn token_of(stage: &Stage, member: &Member) -> SecretString {
    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &context_without_retries(), None)
        .await;
    token.unwrap()
}

/// Asserts that twenty callers in two processes, which need a new token at the same moment, cause
/// one refresh.
///
/// If `refused` is given, WHOOP has refused the current access token. Otherwise, the access token
/// has expired.
async fn twenty_at_once(mode: ReuseMode, refused: Option<&SecretString>) {
    let stage = Stage::new().await;
    let member = stage.connect_person(0).await;
    stage.world().oauth().set_reuse_mode(mode);
    let known = token_of(&stage, &member).await;
    let refused = refused.map(|_| &known);
    if refused.is_none() {
        stage.advance(TimeDelta::hours(2));
    } else {
        stage.world().oauth().expire_access_tokens();
    }
    let engines = [stage.engine.clone(), stage.another_engine()];
    // The delay is long enough for all callers to arrive before WHOOP answers the first one.
    stage.world().add_fault(Fault {
        millis: Some(300),
        ..Fault::new("token", FaultKind::Latency)
    });

    let context = SyncContext::interactive();
    let callers = (0..20).map(|nth| {
        engines[nth % 2]
            .calls
            .access_token(&member.user_id, &context, refused)
    });
    let tokens: Vec<String> = join_all(callers)
        .await
        .into_iter()
        .map(|token| token.unwrap().expose_secret().to_owned())
        .collect();

    let grant = grant_of(&stage, &member);
    assert_eq!((grant.refreshes, grant.reuses), (1, 0), "{mode:?}");
    assert!(!grant.is_revoked);
    assert!(tokens.iter().all(|token| *token == grant.access_token));
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}

#[tokio::test]
async fn twenty_callers_with_an_expired_token_refresh_once() {
    twenty_at_once(ReuseMode::LoserRejected, None).await;
}

#[tokio::test]
async fn twenty_callers_refresh_once_when_a_second_refresh_would_end_the_connection() {
    twenty_at_once(ReuseMode::FamilyRevoked, None).await;
}

#[tokio::test]
async fn twenty_callers_whose_token_was_refused_refresh_once() {
    let refused_token = SecretString::from("by WHOOP");
    twenty_at_once(ReuseMode::FamilyRevoked, Some(&refused_token)).await;
}

#[tokio::test]
async fn a_token_that_whoop_refuses_is_refreshed_and_the_call_is_repeated() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::minutes(20));
    stage.world().oauth().expire_access_tokens();

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 1);
    assert_eq!(stage.connection_status(&member).await, "connected");
}

#[tokio::test]
async fn a_token_that_remains_valid_is_not_refreshed() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::minutes(58));

    stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 0);
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_refreshed_before_use() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::seconds(59 * 60 + 30));
    stage.world().reset_calls();

    stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 1);
    assert!(stage.api_calls().iter().all(|call| call.status == 200));
}

#[tokio::test]
async fn a_permission_that_the_member_ended_at_whoop_is_not_reported_as_an_interrupted_refresh() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    token_of(&stage, &member).await;
    stage.advance(TimeDelta::hours(2));
    stage.world().oauth().revoke_grants(member.whoop_user_id);

    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &context_without_retries(), None)
        .await;

    assert!(matches!(token, Err(SyncError::ReauthRequired)), "{token:?}");
    let detail = stage.detail_of(&member).await;
    assert_eq!(detail, "WHOOP refused the refresh token");
}

#[tokio::test]
async fn every_refresh_requests_all_granted_scopes() {
    let (stage, member) = Stage::with_member().await;

    for _ in 0..3 {
        stage.advance(TimeDelta::hours(2));
        token_of(&stage, &member).await;

        let grant = grant_of(&stage, &member);
        assert_eq!(grant.access_scopes.join(" "), SCOPES);
    }
    let grant = grant_of(&stage, &member);
    assert_eq!((grant.refreshes, grant.reuses), (3, 0));
}

#[tokio::test]
async fn a_refresh_does_not_request_scopes_that_were_not_granted() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let granted = ["offline", "read:profile", "read:sleep"];
    let state = stage.state_for("modest", None).await;
    let code = stage.world().oauth().issue_code(whoop_user_id, &granted);
    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();
    let user_id = completed.user_id;
    completed.first_sync.abort();
    let _ = completed.first_sync.await;
    let member = Member {
        user_id,
        whoop_user_id,
    };
    stage.advance(TimeDelta::hours(2));

    token_of(&stage, &member).await;

    assert_eq!(grant_of(&stage, &member).access_scopes, granted);
}

#[tokio::test]
async fn a_refresh_answer_with_fewer_scopes_does_not_change_the_granted_scopes() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().add_fault(Fault {
        field: Some("scope".to_owned()),
        value: Some(json!("read:cycles")),
        times: Some(1),
        ..Fault::new("token", FaultKind::BrokenRecord)
    });
    token_of(&stage, &member).await;

    let stored = stage
        .text("SELECT scope FROM whoop_tokens WHERE user_id = $1", &member)
        .await;
    assert_eq!(stored.as_deref(), Some(SCOPES));
    stage.advance(TimeDelta::hours(2));
    token_of(&stage, &member).await;
    assert_eq!(grant_of(&stage, &member).access_scopes.join(" "), SCOPES);
}
