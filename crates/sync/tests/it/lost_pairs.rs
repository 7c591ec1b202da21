//! Tests of token pairs that WHOOP issued but that could not be stored. The service revokes their
//! permissions.

use chrono::TimeDelta;
use whoop_sim::{Fault, FaultKind};
use whoop_storage::table::audit::Actor;
use whoop_sync::{SyncContext, confirm::ConfirmError, connect::ConnectError};

use crate::harness::{Member, Stage, history, until};

async fn count(stage: &Stage, from: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {from}");
    stage.sql.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn revoke_due_after(stage: &Stage, after: TimeDelta) {
    stage.advance(after);
    let context = SyncContext::scheduled(None, tokio_util::sync::CancellationToken::new());
    stage
        .another_engine()
        .revocations
        .revoke_due(&context)
        .await
        .unwrap();
}

fn active_grants(stage: &Stage, whoop_user_id: i64) -> usize {
    let grants = stage.world().oauth().grants();
    let active = grants
        .iter()
        .filter(|grant| grant.whoop_user_id == whoop_user_id && !grant.is_revoked);
    active.count()
}

#[tokio::test]
async fn a_connect_with_a_refused_profile_is_revoked_at_whoop() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    stage.world().add_fault(Fault::status("profile", 403));
    assert!(stage.try_connect("ada", person).await.is_err());
    stage.world().clear_faults();
    assert_eq!(active_grants(&stage, person), 1);

    revoke_due_after(&stage, TimeDelta::minutes(1)).await;

    assert_eq!(active_grants(&stage, person), 0);
    assert_eq!(count(&stage, "whoop_revocation").await, 0);
}

#[tokio::test]
async fn the_permission_of_a_refused_other_account_is_revoked() {
    let stage = Stage::new().await;
    let member = stage.connect_person(0).await;
    let other = stage.world().people()[1];

    let refused = stage.try_connect(member.user_id.as_str(), other).await;
    assert!(refused.is_err());
    revoke_due_after(&stage, TimeDelta::minutes(1)).await;

    assert_eq!(active_grants(&stage, other), 0);
    assert_eq!(active_grants(&stage, member.whoop_user_id), 1);
}

#[tokio::test]
async fn the_permission_of_a_refused_account_with_another_member_is_kept() {
    let stage = Stage::new().await;
    let member = stage.connect_person(0).await;
    let partner = stage.connect_person(1).await;

    let refused = stage
        .try_connect(member.user_id.as_str(), partner.whoop_user_id)
        .await;
    assert!(refused.is_err());
    revoke_due_after(&stage, TimeDelta::minutes(1)).await;

    assert!(active_grants(&stage, partner.whoop_user_id) >= 1);
    assert_eq!(count(&stage, "whoop_revocation").await, 0);
    stage
        .sync(&partner, &history(&whoop_core::DataType::ALL))
        .await;
    assert_eq!(stage.connection_status(&partner).await, "connected");
}

#[tokio::test]
async fn an_erasure_during_the_code_exchange_stores_no_connection() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    stage.world().add_fault(Fault {
        millis: Some(1_000),
        ..Fault::new("token", FaultKind::Latency)
    });
    let state = stage.state_for("ada", None).await;
    let code = stage.code_for(person);
    let engine = stage.engine.clone();
    let callback =
        tokio::spawn(async move { engine.connections.complete_connect(&state, &code).await });
    until("the state is used", || async {
        count(&stage, "whoop_oauth_states WHERE used_at IS NOT NULL").await == 1
    })
    .await;

    let result = stage
        .engine
        .connections
        .disconnect(&"ada".parse().unwrap(), true, &Actor::member())
        .await;

    assert!(result.unwrap().is_erased());
    let connected = callback.await.unwrap();
    assert!(
        matches!(connected, Err(ConnectError::StateUnknown)),
        "{connected:?}"
    );
    for table in [
        "whoop_users",
        "whoop_tokens",
        "whoop_oauth_states",
        "whoop_sync_log",
    ] {
        assert_eq!(count(&stage, table).await, 0, "{table}");
    }
    stage.world().clear_faults();
    revoke_due_after(&stage, TimeDelta::minutes(1)).await;
    assert_eq!(active_grants(&stage, person), 0);
}

#[tokio::test]
async fn a_pair_that_a_killed_process_held_is_revoked_after_five_minutes() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    let state = stage.state_for("ada", None).await;
    let code = stage.code_for(person);
    // With this lock, PostgreSQL can store the token pair for a later revocation, but it cannot
    // store the connection.
    let lock = "BEGIN; LOCK TABLE whoop_users IN SHARE ROW EXCLUSIVE MODE";
    stage.sql.batch_execute(lock).await.unwrap();
    // The test simulates the killed process with a runtime that is shut down with all of its tasks.
    let engine = stage.another_engine();
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let connect = engine.connections.complete_connect(&state, &code);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), connect).await;
        });
        runtime.shutdown_background();
    });
    until("the process has ended", || async { killed.is_finished() }).await;
    stage.sql.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(count(&stage, "whoop_revocation").await, 1);

    revoke_due_after(&stage, TimeDelta::minutes(4)).await;
    assert_eq!(active_grants(&stage, person), 1);
    revoke_due_after(&stage, TimeDelta::minutes(2)).await;
    assert_eq!(active_grants(&stage, person), 0);
}

#[tokio::test]
async fn a_revocation_waits_for_a_connect_under_way() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    stage.world().add_fault(Fault::status("profile", 403));
    assert!(stage.try_connect("ada", person).await.is_err());
    stage.world().clear_faults();
    // The member tries to connect again at once, and confirms the connection within seconds.
    let state = stage.state_for("ada", None).await;
    let code = stage.code_for(person);
    let held = stage
        .engine
        .confirmations
        .prepare_confirmation(&state, &code)
        .await
        .unwrap();

    revoke_due_after(&stage, TimeDelta::seconds(30)).await;
    let user_id = "ada".parse().unwrap();
    let first_sync = stage
        .engine
        .confirmations
        .confirm_connect(&user_id, &held.word)
        .await;
    first_sync.unwrap().await.unwrap();
    revoke_due_after(&stage, TimeDelta::minutes(2)).await;

    assert!(active_grants(&stage, person) >= 1);
    assert_eq!(count(&stage, "whoop_revocation").await, 0);
    let member = Member {
        user_id,
        whoop_user_id: person,
    };
    stage
        .sync(&member, &history(&whoop_core::DataType::ALL))
        .await;
    assert_eq!(stage.connection_status(&member).await, "connected");
}

#[tokio::test]
async fn a_connect_that_is_never_confirmed_is_revoked() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    let state = stage.state_for("ada", None).await;
    let held = stage
        .engine
        .confirmations
        .prepare_confirmation(&state, &stage.code_for(person))
        .await
        .unwrap();

    revoke_due_after(&stage, TimeDelta::minutes(11)).await;

    assert_eq!(active_grants(&stage, person), 0);
    for table in [
        "whoop_unconfirmed_connect",
        "whoop_revocation",
        "whoop_users",
    ] {
        assert_eq!(count(&stage, table).await, 0, "{table}");
    }
    let user_id = "ada".parse().unwrap();
    let late = stage
        .engine
        .confirmations
        .confirm_connect(&user_id, &held.word)
        .await;
    assert!(matches!(late, Err(ConfirmError::Unknown)));
}

#[tokio::test]
async fn the_later_of_two_unconfirmed_connects_counts_and_is_not_ended_with_the_earlier() {
    let stage = Stage::new().await;
    let person = stage.world().people()[0];
    let user_id: whoop_core::UserId = "ada".parse().unwrap();
    let mut words = Vec::new();
    for _ in 0..2 {
        let state = stage.state_for("ada", None).await;
        let code = stage.code_for(person);
        words.push(
            stage
                .engine
                .confirmations
                .prepare_confirmation(&state, &code)
                .await
                .unwrap()
                .word,
        );
    }

    let earlier = stage
        .engine
        .confirmations
        .confirm_connect(&user_id, &words[0])
        .await;
    assert!(matches!(earlier, Err(ConfirmError::Unknown)));
    revoke_due_after(&stage, TimeDelta::minutes(5)).await;
    let later = stage
        .engine
        .confirmations
        .confirm_connect(&user_id, &words[1])
        .await;
    later.unwrap().await.unwrap();
    revoke_due_after(&stage, TimeDelta::minutes(30)).await;

    assert_eq!(count(&stage, "whoop_revocation").await, 0);
    let member = Member {
        user_id,
        whoop_user_id: person,
    };
    stage
        .sync(&member, &history(&whoop_core::DataType::ALL))
        .await;
    assert_eq!(stage.connection_status(&member).await, "connected");
}

#[tokio::test]
async fn the_night_run_deletes_connects_that_were_never_completed() {
    let stage = Stage::new().await;
    stage.state_for("ada", None).await;
    stage.advance(TimeDelta::hours(23));
    stage.engine.retention.purge_expired().await.unwrap();
    assert_eq!(count(&stage, "whoop_oauth_states").await, 1);

    stage.advance(TimeDelta::hours(2));
    stage.engine.retention.purge_expired().await.unwrap();

    assert_eq!(count(&stage, "whoop_oauth_states").await, 0);
}
