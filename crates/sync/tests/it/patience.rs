//! Tests of law 8 (no refresh is lost): if a member waits, a failed refresh is repeated, and only
//! an explicit refusal by WHOOP ends a connection.

use chrono::TimeDelta;
use futures::future::join_all;
use whoop_core::plan::Slot;
use whoop_sim::{Fault, FaultKind};
use whoop_sync::{MemberOutcome, SyncContext, SyncError};

use crate::harness::{Member, Stage, context_without_retries, slot, until};

/// Returns the context for a member who is waiting in the app.
fn interactive_context() -> SyncContext {
    SyncContext::interactive()
}

/// Asserts that a caller gets a token although the token endpoint fails once with this fault,
/// because the refresh is repeated.
async fn assert_refresh_is_retried(fault: Fault) {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        times: Some(1),
        ..fault
    });

    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &interactive_context(), None)
        .await;

    assert!(token.is_ok(), "{token:?}");
    assert_eq!(stage.token_calls().len(), 2);
    assert_eq!(stage.connection_status(&member).await, "connected");
    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 1);
}

#[tokio::test]
async fn a_refresh_is_retried_after_a_server_error() {
    assert_refresh_is_retried(Fault::status("token", 502)).await;
}

#[tokio::test]
async fn a_refresh_is_retried_after_invalid_request() {
    assert_refresh_is_retried(Fault {
        body: Some(r#"{"error":"invalid_request"}"#.to_owned()),
        ..Fault::status("token", 400)
    })
    .await;
}

#[tokio::test]
async fn a_refresh_is_retried_after_an_html_answer() {
    assert_refresh_is_retried(Fault::new("token", FaultKind::NotJson)).await;
}

#[tokio::test]
async fn a_lasting_outage_of_whoop_does_not_end_the_connection() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    for fault in [
        Fault::status("token", 503),
        Fault {
            body: Some(r#"{"error":"invalid_request"}"#.to_owned()),
            ..Fault::status("token", 400)
        },
    ] {
        stage.world().add_fault(fault);
        let token = stage
            .engine
            .calls
            .access_token(&member.user_id, &context_without_retries(), None)
            .await;
        assert!(token.unwrap_err().is_refresh_failure());
        stage.world().clear_faults();
    }

    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
}

#[tokio::test]
async fn a_refused_refresh_token_requires_reauthorization_and_is_not_sent_again() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().oauth().revoke_grants(member.whoop_user_id);
    stage.world().reset_calls();
    let (engines, context) = (
        [stage.engine.clone(), stage.another_engine()],
        interactive_context(),
    );

    let callers = (0..10).map(|nth| {
        engines[nth % 2]
            .calls
            .access_token(&member.user_id, &context, None)
    });
    for answer in join_all(callers).await {
        assert!(matches!(answer, Err(SyncError::ReauthRequired)));
    }

    assert_eq!(stage.connection_status(&member).await, "reauth_required");
    assert_eq!(stage.token_calls().len(), 1, "a dead token is sent once");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert!(report.reauth_required);
    assert_eq!(stage.world().call_count(), 1);
}

#[tokio::test]
async fn other_refusals_do_not_end_the_connection() {
    let (stage, member) = Stage::with_member().await;
    // The status 429 is the last one, because no calls are made for a while after a 429.
    for status in [400, 403, 404, 418, 500, 429] {
        stage.world().add_fault(Fault::status("sleep", status));
        stage.sync(&member, &slot(Slot::Morning)).await;
        stage.world().clear_faults();
        assert_eq!(
            stage.connection_status(&member).await,
            "connected",
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_new_connect_repairs_the_connection_and_keeps_stored_records() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().oauth().revoke_grants(member.whoop_user_id);
    stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(stage.connection_status(&member).await, "reauth_required");

    let again = stage
        .connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    assert_eq!(stage.connection_status(&again).await, "connected");
    let report = stage.sync(&again, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
    assert_eq!(report.stored().written(), 0, "all stored records were kept");
}

/// Reconnects the member while a refresh with the old, invalid token pair is still in progress.
async fn reconnect_during_a_refresh(stage: &Stage, member: &Member) {
    stage.world().add_fault(Fault {
        millis: Some(600),
        times: Some(1),
        ..Fault::new("token", FaultKind::Latency)
    });
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    let old = tokio::spawn(async move {
        engine
            .calls
            .access_token(&user_id, &context_without_retries(), None)
            .await
    });
    until("the refresh of the old pair has begun", || {
        stage.is_refreshing(member)
    })
    .await;

    let completed = stage
        .try_connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    completed.unwrap().first_sync.await.unwrap();
    // WHOOP refused the old refresh, or the refresh found that the new token pair had replaced its
    // own.
    let _ = old.await.unwrap();
}

#[tokio::test]
async fn a_reconnect_is_kept_when_a_refresh_of_the_old_pair_is_refused() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().oauth().revoke_grants(member.whoop_user_id);

    reconnect_during_a_refresh(&stage, &member).await;

    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}
