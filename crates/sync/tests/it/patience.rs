//! Law 8: a member who waits gets a second attempt; only an explicit refusal by WHOOP ends a
//! connection.

use chrono::TimeDelta;
use futures::future::join_all;
use whoop_core::plan::Slot;
use whoop_sim::{Fault, FaultKind};
use whoop_sync::{MemberOutcome, SyncContext, SyncError};

use crate::harness::{Member, Stage, briskly, slot, until};

/// Returns the context of a member who waits in the app.
fn patient() -> SyncContext {
    SyncContext::interactive()
}

/// Asserts that a caller waits for a token endpoint that fails once, and gets a token at the second
/// attempt.
async fn is_waited_for(fault: Fault) {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        times: Some(1),
        ..fault
    });

    let token = stage
        .engine
        .access_token(&member.user_id, &patient(), None)
        .await;

    assert!(token.is_ok(), "{token:?}");
    assert_eq!(stage.token_calls().len(), 2);
    assert_eq!(stage.connection_status(&member).await, "connected");
    assert_eq!(stage.world().refresh_count(member.whoop_user_id), 1);
}

#[tokio::test]
async fn a_whoop_that_is_out_of_order_is_waited_for() {
    is_waited_for(Fault::status("token", 502)).await;
}

#[tokio::test]
async fn an_invalid_request_is_an_outage_and_is_waited_for() {
    is_waited_for(Fault {
        body: Some(r#"{"error":"invalid_request"}"#.to_owned()),
        ..Fault::status("token", 400)
    })
    .await;
}

#[tokio::test]
async fn a_page_of_html_in_place_of_a_token_is_waited_for() {
    is_waited_for(Fault::new("token", FaultKind::NotJson)).await;
}

#[tokio::test]
async fn a_whoop_that_stays_out_of_order_does_not_end_the_connection() {
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
            .access_token(&member.user_id, &briskly(), None)
            .await;
        assert!(token.unwrap_err().is_refresh_failure());
        stage.world().clear_faults();
    }

    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
}

#[tokio::test]
async fn a_refused_refresh_token_asks_for_the_member_and_nobody_knocks_again() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().revoke_grants(member.whoop_user_id);
    stage.world().reset_calls();
    let (engines, job) = ([stage.engine.clone(), stage.another_engine()], patient());

    let callers = (0..10).map(|nth| engines[nth % 2].access_token(&member.user_id, &job, None));
    for answer in join_all(callers).await {
        assert!(matches!(answer, Err(SyncError::ReauthRequired)));
    }

    assert_eq!(stage.connection_status(&member).await, "reauth_required");
    assert_eq!(stage.token_calls().len(), 1, "a dead token is shown once");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert!(report.reauth_required);
    assert_eq!(stage.world().call_count(), 1);
}

#[tokio::test]
async fn other_refusals_do_not_end_the_connection() {
    let (stage, member) = Stage::with_member().await;
    // After a 429 no calls are made for a while, so it is the last status.
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
async fn a_fresh_connect_repairs_the_connection_and_keeps_what_is_stored() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().revoke_grants(member.whoop_user_id);
    stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(stage.connection_status(&member).await, "reauth_required");

    let again = stage
        .connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    assert_eq!(stage.connection_status(&again).await, "connected");
    let report = stage.sync(&again, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done);
    assert_eq!(report.stored().written(), 0, "all of it was kept");
}

/// Reconnects while a refresh with the old, dead pair is still in progress.
async fn reconnect_during_a_refresh(stage: &Stage, member: &Member) {
    stage.world().add_fault(Fault {
        millis: Some(600),
        times: Some(1),
        ..Fault::new("token", FaultKind::Latency)
    });
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    let old = tokio::spawn(async move { engine.access_token(&user_id, &briskly(), None).await });
    until("the old pair is being tried", || {
        stage.is_refreshing(member)
    })
    .await;

    let welcome = stage
        .try_connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    welcome.unwrap().first_sync.await.unwrap();
    // It was refused, or found the new pair in place of its own.
    let _ = old.await.unwrap();
}

#[tokio::test]
async fn a_reconnect_wins_over_a_refresh_of_the_dead_pair() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    stage.world().revoke_grants(member.whoop_user_id);

    reconnect_during_a_refresh(&stage, &member).await;

    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}
