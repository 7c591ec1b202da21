//! Tests of connecting a member: a state can be used once and expires, and nothing is stored if
//! WHOOP refuses the code.

use chrono::TimeDelta;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::Fault;
use whoop_sync::{MemberOutcome, SyncError, connect::ConnectError};

use whoop_storage::table::audit::Actor;

use crate::harness::{Member, Stage, history, slot};

async fn rows_of(stage: &Stage, user: &str) -> usize {
    let member = Member {
        user_id: user.parse().unwrap(),
        whoop_user_id: 0,
    };
    let mut rows = 0;
    for table in ["whoop_users", "whoop_tokens", "whoop_sync_log"] {
        let sql = format!("SELECT user_id FROM {table} WHERE user_id = $1");
        rows += stage.texts(&sql, &member).await.len();
    }
    rows
}

#[tokio::test]
async fn the_address_of_the_consent_page_contains_all_scopes_and_the_state() {
    let stage = Stage::new().await;

    let url = stage
        .engine
        .connections
        .begin_connect(&"a".parse().unwrap(), None, None)
        .await
        .unwrap();

    assert!(url.as_str().starts_with(&stage.sim.oauth_url()), "{url}");
    let query: std::collections::HashMap<_, _> = url.query_pairs().collect();
    assert_eq!(query["scope"], whoop_client::SCOPES);
    assert_eq!(query["response_type"], "code");
    assert!(query["state"].len() >= 32);
}

#[tokio::test]
async fn a_connect_stores_the_profile_the_consent_and_the_return_address() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let state = stage.state_for("ada", Some("app://health")).await;
    let code = stage.code_for(whoop_user_id);

    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();

    assert_eq!(completed.user_id.as_str(), "ada");
    assert_eq!(completed.return_to.as_deref(), Some("app://health"));
    completed.first_sync.await.unwrap();
    let status = stage
        .engine
        .operations
        .member_status(&completed.user_id)
        .await
        .unwrap();
    let member = status.member.unwrap();
    assert_eq!(member.whoop_user_id, whoop_user_id);
    assert_eq!(member.consent.as_deref(), Some("terms of 2026"));
    assert_eq!(member.consented_at, Some(member.connected_at));
    assert!(!status.syncing);
    assert!(status.types.iter().all(|(_, log)| log.is_some()));
}

#[tokio::test]
async fn a_state_that_was_never_issued_is_unknown() {
    let stage = Stage::new().await;
    let code = stage.code_for(stage.world().people()[0]);

    let connected = stage
        .engine
        .connections
        .complete_connect("made up", &code)
        .await;

    assert!(matches!(connected, Err(ConnectError::StateUnknown)));
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_state_works_once() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let state = stage.state_for("ada", None).await;
    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &stage.code_for(whoop_user_id))
        .await;
    completed.unwrap().first_sync.await.unwrap();
    stage.world().reset_calls();

    let reconnected = stage
        .engine
        .connections
        .complete_connect(&state, &stage.code_for(whoop_user_id))
        .await;

    assert!(matches!(reconnected, Err(ConnectError::StateUsed { .. })));
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn only_one_of_two_callbacks_with_the_same_state_connects() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let state = stage.state_for("ada", None).await;
    let (one, two) = (stage.code_for(whoop_user_id), stage.code_for(whoop_user_id));

    let (one, two) = tokio::join!(
        stage.engine.connections.complete_connect(&state, &one),
        stage.engine.connections.complete_connect(&state, &two),
    );

    let connected = [&one, &two].iter().filter(|it| it.is_ok()).count();
    assert_eq!(connected, 1, "{one:?} {two:?}");
    for refused in [one, two].into_iter().filter_map(Result::err) {
        assert!(matches!(refused, ConnectError::StateUsed { .. }));
    }
}

#[tokio::test]
async fn a_state_expires_after_ten_minutes() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let state = stage.state_for("ada", None).await;
    stage.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));

    let connected = stage
        .engine
        .connections
        .complete_connect(&state, &stage.code_for(whoop_user_id))
        .await;

    assert!(matches!(connected, Err(ConnectError::StateExpired { .. })));
    assert_eq!(rows_of(&stage, "ada").await, 0);
}

#[tokio::test]
async fn a_member_who_refuses_uses_up_the_state_and_is_sent_back_to_the_app() {
    let stage = Stage::new().await;
    let state = stage.state_for("ada", Some("app://health")).await;

    let return_to = stage
        .engine
        .connections
        .cancel_connect(&state)
        .await
        .unwrap();

    assert_eq!(return_to.as_deref(), Some("app://health"));
    let code = stage.code_for(stage.world().people()[0]);
    let connected = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await;
    assert!(matches!(connected, Err(ConnectError::StateUsed { .. })));
    assert_eq!(rows_of(&stage, "ada").await, 0);
}

/// Asserts that connecting with this code fails and stores nothing, and returns the cause of the
/// failure.
///
/// The error must contain the address to which the member is sent back.
async fn assert_connect_fails_and_stores_nothing(stage: &Stage, code: &str) -> SyncError {
    let state = stage.state_for("ada", Some("app://health")).await;

    let connected = stage
        .engine
        .connections
        .complete_connect(&state, code)
        .await;

    let Err(ConnectError::Failed { return_to, source }) = connected else {
        panic!("{connected:?}");
    };
    assert_eq!(return_to.as_deref(), Some("app://health"));
    assert_eq!(rows_of(stage, "ada").await, 0);
    source
}

#[tokio::test]
async fn a_code_that_whoop_refuses_stores_nothing() {
    let stage = Stage::new().await;

    let source = assert_connect_fails_and_stores_nothing(&stage, "made up").await;

    assert!(matches!(source, SyncError::Whoop(_)), "{source:?}");
}

#[tokio::test]
async fn a_failing_token_endpoint_stores_nothing() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault::status("token", 503));
    let code = stage.code_for(stage.world().people()[0]);

    assert_connect_fails_and_stores_nothing(&stage, &code).await;
}

#[tokio::test]
async fn a_missing_body_measurement_does_not_prevent_the_connect() {
    let stage = Stage::new().await;
    stage.world().add_fault(Fault::status("body", 500));

    let member = stage.connect_person(0).await;

    assert_eq!(stage.connection_status(&member).await, "connected");
}

#[tokio::test]
async fn a_browser_that_disconnects_does_not_prevent_the_connect() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    stage.world().add_fault(Fault {
        millis: Some(300),
        ..Fault::new("profile", whoop_sim::FaultKind::Latency)
    });
    let state = stage.state_for("ada", None).await;
    let code = stage.code_for(whoop_user_id);
    let engine = stage.engine.clone();
    let browser =
        tokio::spawn(async move { engine.connections.complete_connect(&state, &code).await });
    crate::harness::until("WHOOP has exchanged the code", || async {
        !stage.token_calls().is_empty()
    })
    .await;

    browser.abort();

    crate::harness::until("the connection is stored", || async {
        rows_of(&stage, "ada").await >= 2
    })
    .await;
}

#[tokio::test]
async fn a_reconnect_keeps_the_history_and_continues_from_its_end() {
    let (stage, member) = Stage::with_member().await;
    stage.read_whole_history(&member).await;
    stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await
        .unwrap();
    stage.advance(TimeDelta::days(3));

    let reconnected = stage
        .connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    stage.assert_stored_is_truth(&reconnected).await;
    let status = stage
        .engine
        .operations
        .member_status(&reconnected.user_id)
        .await
        .unwrap();
    assert!(status.history_complete());
    assert_eq!(stage.connection_status(&reconnected).await, "connected");
    let disconnected_at = stage
        .text(
            "SELECT disconnected_at::TEXT FROM whoop_users WHERE user_id = $1",
            &reconnected,
        )
        .await;
    assert_eq!(disconnected_at, None);
}

#[tokio::test]
async fn another_whoop_account_is_refused_until_the_data_of_the_first_is_erased() {
    let (stage, member) = Stage::with_member().await;
    let (user, other) = (member.user_id.as_str(), stage.world().people()[1]);

    let refused = stage.try_connect(user, other).await;

    let Err(ConnectError::Failed { source, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(source, SyncError::OtherAccount));
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(
        report.outcome,
        MemberOutcome::Done,
        "the first account remains connected"
    );

    stage
        .engine
        .connections
        .disconnect(&member.user_id, true, &Actor::member())
        .await
        .unwrap();
    let member = stage.connect(user, other).await;
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn refusing_another_account_keeps_the_other_member_of_that_account_connected() {
    let (stage, member) = Stage::with_member().await;
    let partner = stage.connect_person(1).await;

    let refused = stage
        .try_connect(member.user_id.as_str(), partner.whoop_user_id)
        .await;

    assert!(refused.is_err());
    for one in [&member, &partner] {
        let report = stage.sync(one, &history(&DataType::ALL)).await;
        assert_eq!(report.outcome, MemberOutcome::Done, "{}", one.user_id);
        stage.assert_stored_is_truth(one).await;
    }
}

#[tokio::test]
async fn only_one_of_two_accounts_that_connect_concurrently_is_stored() {
    let stage = Stage::new().await;
    let people = stage.world().people();

    let (first, second) = tokio::join!(
        stage.try_connect("mara", people[0]),
        stage.try_connect("mara", people[1]),
    );

    let winner = match (first, second) {
        (Ok(completed), Err(_)) => (completed, people[0]),
        (Err(_), Ok(completed)) => (completed, people[1]),
        both => panic!("{both:?}"),
    };
    winner.0.first_sync.await.unwrap();
    let member = Member {
        user_id: winner.0.user_id,
        whoop_user_id: winner.1,
    };
    stage.sync(&member, &history(&DataType::ALL)).await;
    stage.assert_stored_is_truth(&member).await;
}
