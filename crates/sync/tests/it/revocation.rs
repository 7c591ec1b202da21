//! Tests of revocations: the permission of a disconnected member is revoked at WHOOP in the end,
//! whatever fails meanwhile.
//!
//! A revocation never ends the connection of another member, or a newer connection of the same
//! member.

use chrono::TimeDelta;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::Fault;
use whoop_sync::{MemberOutcome, RevocationOutcome, SyncContext, run::RunTask};

use whoop_storage::table::audit::Actor;

use crate::harness::{Member, SilentObserver, Stage, context_without_retries, plan, slot};

/// Returns all pending revocations, each as one text with all columns.
async fn pending(stage: &Stage) -> Vec<String> {
    let sql = "SELECT to_jsonb(r)::text FROM whoop_revocation r";
    let rows = stage.sql.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn is_revoked(stage: &Stage, member: &Member) -> bool {
    let grants = stage.world().oauth().grants();
    grants
        .iter()
        .filter(|grant| grant.whoop_user_id == member.whoop_user_id)
        .all(|grant| grant.is_revoked)
}

/// Disconnects the member during an outage of WHOOP. The outage has ended when this function
/// returns.
async fn disconnect_in_an_outage(stage: &Stage, member: &Member, erase: bool) {
    stage.world().add_fault(Fault::status("*", 503));
    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, erase, &Actor::member())
        .await;
    assert_eq!(result.unwrap().revocation, RevocationOutcome::Pending);
    assert!(!is_revoked(stage, member));
    stage.world().clear_faults();
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

#[tokio::test]
async fn a_permission_that_whoop_could_not_revoke_is_revoked_later() {
    for erase in [false, true] {
        let (stage, member) = Stage::with_member().await;
        disconnect_in_an_outage(&stage, &member, erase).await;

        revoke_due_after(&stage, TimeDelta::minutes(10)).await;

        assert!(is_revoked(&stage, &member), "erase={erase}");
        assert_eq!(pending(&stage).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_permission_with_an_expired_token_is_refreshed_and_then_revoked() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, true).await;

    revoke_due_after(&stage, TimeDelta::hours(9)).await;

    assert!(is_revoked(&stage, &member));
    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 1);
    assert_eq!(pending(&stage).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_lasting_outage_delays_the_next_attempt_and_loses_nothing() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, true).await;
    stage.world().add_fault(Fault::status("*", 503));
    revoke_due_after(&stage, TimeDelta::minutes(2)).await;
    stage.world().reset_calls();

    // The revocation is not due yet. An attempt at every opportunity would cause too many requests.
    revoke_due_after(&stage, TimeDelta::seconds(30)).await;
    assert_eq!(stage.world().call_count(), 0);

    for _ in 0..5 {
        revoke_due_after(&stage, TimeDelta::hours(7)).await;
    }
    stage.world().clear_faults();
    revoke_due_after(&stage, TimeDelta::hours(7)).await;
    assert!(is_revoked(&stage, &member));
}

#[tokio::test]
async fn revocations_stop_at_the_first_failure_during_an_outage() {
    let stage = Stage::new().await;
    let mut members = Vec::new();
    for index in 0..3 {
        members.push(stage.connect_person(index).await);
    }
    for member in &members {
        disconnect_in_an_outage(&stage, member, true).await;
    }
    let attempts = async || -> i64 {
        let sql = "SELECT coalesce(sum(attempts), 0) FROM whoop_revocation";
        stage.sql.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!(attempts().await, 3);
    stage.world().add_fault(Fault::status("*", 503));

    revoke_due_after(&stage, TimeDelta::minutes(2)).await;

    assert_eq!(attempts().await, 4);
    stage.world().clear_faults();
    revoke_due_after(&stage, TimeDelta::minutes(20)).await;
    assert!(members.iter().all(|member| is_revoked(&stage, member)));
    assert_eq!(pending(&stage).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_scheduled_revocation_does_not_identify_the_member() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, true).await;

    let scheduled = pending(&stage).await;

    assert_eq!(scheduled.len(), 1);
    let ids = [member.user_id.to_string(), member.whoop_user_id.to_string()];
    for id in ids {
        assert!(!scheduled[0].contains(&id), "{scheduled:?}");
    }
}

#[tokio::test]
async fn a_member_who_connects_again_before_the_revocation_stays_connected() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, false).await;
    let again = stage.connect_person(0).await;

    revoke_due_after(&stage, TimeDelta::minutes(10)).await;

    assert_eq!(pending(&stage).await, Vec::<String>::new());
    let report = stage.sync(&again, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}

#[tokio::test]
async fn one_of_two_members_with_the_same_whoop_account_can_disconnect_alone() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let leaving = stage.connect("leaving", whoop_user_id).await;
    let staying = stage.connect("staying", whoop_user_id).await;

    let result = stage
        .engine
        .connections
        .disconnect(&leaving.user_id, true, &Actor::member())
        .await
        .unwrap();

    assert_eq!(result.revocation, RevocationOutcome::InUse);
    assert!(result.is_erased());
    let report = stage.sync(&staying, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert!(!stage.stored(&staying, DataType::Sleep).await.is_empty());

    let result = stage
        .engine
        .connections
        .disconnect(&staying.user_id, true, &Actor::member())
        .await
        .unwrap();
    assert_eq!(result.revocation, RevocationOutcome::Done);
    assert!(is_revoked(&stage, &staying));
}

#[tokio::test]
async fn a_permission_that_the_member_ended_in_whoops_app_needs_no_revocation() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, true).await;
    stage.world().oauth().revoke_grants(member.whoop_user_id);

    revoke_due_after(&stage, TimeDelta::minutes(10)).await;

    assert_eq!(pending(&stage).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_scheduled_run_revokes_the_permissions_that_are_due() {
    let (stage, member) = Stage::with_member().await;
    disconnect_in_an_outage(&stage, &member, true).await;
    stage.advance(TimeDelta::minutes(10));

    let plan = plan(RunTask::Sync(slot(Slot::Morning)));
    stage
        .engine
        .runs
        .run(&plan, &context_without_retries(), &SilentObserver)
        .await
        .unwrap();

    assert!(is_revoked(&stage, &member));
}

#[tokio::test]
async fn an_erasure_stores_a_receipt_that_identifies_no_member() {
    let (stage, member) = Stage::with_member().await;
    let before = stage.stored(&member, DataType::Sleep).await.len();

    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, true, &Actor::member())
        .await;

    let receipt = result.unwrap().receipt.unwrap();
    assert!(receipt.deleted_rows > i64::try_from(before).unwrap());
    let sql = "SELECT to_jsonb(e)::text FROM whoop_erasure e";
    let row = stage.sql.query_one(sql, &[]).await.unwrap();
    let text: String = row.get(0);
    assert!(text.contains(&receipt.id.to_string()), "{text}");
    assert!(!text.contains(member.user_id.as_str()), "{text}");
}
