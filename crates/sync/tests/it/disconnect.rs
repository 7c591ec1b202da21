//! Tests of disconnecting a member: the permission is revoked at WHOOP and the tokens are deleted.
//! On request, all other data is deleted too.

use whoop_core::{DataType, plan::Slot};
use whoop_sim::Fault;
use whoop_sync::{MemberOutcome, SyncError};

use whoop_storage::table::audit::Actor;

use crate::harness::{Member, Stage, context_without_retries, history, slot};

async fn tokens_of(stage: &Stage, member: &Member) -> usize {
    let sql = "SELECT user_id FROM whoop_tokens WHERE user_id = $1";
    stage.texts(sql, member).await.len()
}

/// Returns all tables that have rows of a member. Tables that a later migration adds are included.
async fn tables_with_rows_of(stage: &Stage, member: &Member) -> Vec<String> {
    let tables = stage
        .sql
        .query(
            "SELECT format('%I.%I', table_schema, table_name) \
             FROM information_schema.columns JOIN information_schema.tables \
                  USING (table_catalog, table_schema, table_name) \
             WHERE column_name = 'user_id' AND table_schema NOT LIKE 'pg\\_%' \
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let mut with_rows = Vec::new();
    for row in tables {
        let table: String = row.get(0);
        let sql = format!("SELECT user_id FROM {table} WHERE user_id = $1");
        if !stage.texts(&sql, member).await.is_empty() {
            with_rows.push(table);
        }
    }
    with_rows
}

#[tokio::test]
async fn a_disconnect_revokes_the_permission_and_deletes_the_tokens() {
    let (stage, member) = Stage::with_member().await;

    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await;

    let result = result.unwrap();
    assert!(result.is_revoked() && !result.is_erased());
    assert!(
        stage
            .world()
            .oauth()
            .grants()
            .iter()
            .all(|grant| grant.is_revoked)
    );
    assert_eq!(tokens_of(&stage, &member).await, 0);
    assert_eq!(stage.connection_status(&member).await, "disconnected");
    let day = stage.stored(&member, DataType::Sleep).await;
    assert!(!day.is_empty(), "stored records are kept");
}

#[tokio::test]
async fn an_outage_of_whoop_does_not_prevent_a_disconnect() {
    let (stage, member) = Stage::with_member().await;
    stage.world().add_fault(Fault::status("*", 503));

    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await;

    assert!(!result.unwrap().is_revoked());
    assert_eq!(tokens_of(&stage, &member).await, 0);
    assert_eq!(stage.connection_status(&member).await, "disconnected");
}

#[tokio::test]
async fn a_member_in_reauth_required_can_disconnect() {
    let (stage, member) = Stage::with_member().await;
    stage.world().oauth().revoke_grants(member.whoop_user_id);
    stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(stage.connection_status(&member).await, "reauth_required");

    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await;

    assert!(!result.unwrap().is_revoked());
    assert_eq!(stage.connection_status(&member).await, "disconnected");
}

#[tokio::test]
async fn a_member_is_not_synced_after_a_disconnect() {
    let (stage, member) = Stage::with_member().await;
    stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await
        .unwrap();
    stage.world().reset_calls();

    let report = stage.sync(&member, &slot(Slot::Night)).await;
    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &context_without_retries(), None)
        .await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    assert!(matches!(token, Err(SyncError::NotConnected)));
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_second_disconnect_succeeds_and_that_of_an_unknown_member_fails() {
    let (stage, member) = Stage::with_member().await;

    for _ in 0..2 {
        let result = stage
            .engine
            .connections
            .disconnect(&member.user_id, false, &Actor::member())
            .await;
        assert!(result.is_ok());
    }
    let stranger = "stranger".parse().unwrap();
    let result = stage
        .engine
        .connections
        .disconnect(&stranger, true, &Actor::member())
        .await;
    assert!(matches!(result, Err(SyncError::NotConnected)));
}

#[tokio::test]
async fn an_erasure_deletes_the_rows_of_the_member_in_every_table() {
    let stage = Stage::new().await;
    let erased = stage.connect_person(0).await;
    let kept = stage.connect_person(1).await;
    for member in [&erased, &kept] {
        let night = stage.newest_before(member, DataType::Sleep, crate::harness::now());
        let broken = serde_json::json!({"timezone_offset": 7});
        stage.change(member, DataType::Sleep, &night, broken);
        stage.sync(member, &history(&DataType::ALL)).await;
        stage.state_for(member.user_id.as_str(), None).await;
    }
    let before = tables_with_rows_of(&stage, &kept).await;
    for table in ["whoop_users", "whoop_rejected_record", "whoop_oauth_states"] {
        let named = format!("public.{table}");
        assert!(before.contains(&named), "{before:?}");
    }
    assert_eq!(tables_with_rows_of(&stage, &erased).await, before);

    let result = stage
        .engine
        .connections
        .disconnect(&erased.user_id, true, &Actor::member())
        .await;

    assert!(result.unwrap().is_erased());
    assert_eq!(
        tables_with_rows_of(&stage, &erased).await,
        Vec::<String>::new()
    );
    assert_eq!(tables_with_rows_of(&stage, &kept).await, before);
}

#[tokio::test]
async fn an_erasure_works_during_an_outage_of_whoop() {
    let (stage, member) = Stage::with_member().await;
    stage.world().add_fault(Fault::status("*", 503));

    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, true, &Actor::member())
        .await
        .unwrap();

    assert!(result.is_erased() && !result.is_revoked());
    assert_eq!(
        tables_with_rows_of(&stage, &member).await,
        Vec::<String>::new()
    );
}
