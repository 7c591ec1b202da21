//! Tests of members who granted access to some data types, but not to all.

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use whoop_core::{
    DataType,
    day::MissingReason,
    plan::{RefreshMode, Slot},
};
use whoop_storage::{Database, DatabaseConfig, table::sync_log};
use whoop_sync::{SyncContext, run::RunTask};

use crate::harness::{self, Member, SilentObserver, Stage, history, list_of, now};

/// Connects a member who does not grant access to workouts.
async fn without_workouts() -> (Stage, Member) {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let member = connect(&stage, whoop_user_id, "read:workout").await;
    (stage, member)
}

async fn connect(stage: &Stage, whoop_user_id: i64, without: &str) -> Member {
    let state = stage.state_for("mara", None).await;
    let code = stage.code_without(without, whoop_user_id);
    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();
    completed.first_sync.await.unwrap();
    Member {
        user_id: completed.user_id,
        whoop_user_id,
    }
}

async fn status_of(stage: &Stage, member: &Member, data_type: DataType) -> String {
    let sql = format!(
        "SELECT sync_status FROM whoop_sync_log WHERE user_id = $1 AND data_type = '{data_type}'"
    );
    stage.text(&sql, member).await.unwrap()
}

fn has_requested_workouts(stage: &Stage) -> bool {
    let calls = stage.api_calls();
    calls
        .iter()
        .any(|call| call.path == list_of(DataType::Workout))
}

#[tokio::test]
async fn a_data_type_that_was_not_granted_is_never_read_and_fails_no_run() {
    let (stage, member) = without_workouts().await;

    for slot in [Slot::Night, Slot::Morning, Slot::Night] {
        stage.advance(TimeDelta::hours(9));
        let context = SyncContext::scheduled(None, CancellationToken::new());
        let plan = harness::plan(RunTask::Sync(harness::slot(slot)));
        let run = stage
            .engine
            .runs
            .run(&plan, &context, &SilentObserver)
            .await
            .unwrap();

        assert_eq!((run.failed, run.synced), (0, 1), "{:?}", run.reports);
    }

    assert!(!has_requested_workouts(&stage));
    assert_eq!(
        status_of(&stage, &member, DataType::Workout).await,
        "not_granted"
    );
    assert_eq!(status_of(&stage, &member, DataType::Sleep).await, "success");
}

#[tokio::test]
async fn the_granted_data_types_of_the_day_are_fresh() {
    let (stage, member) = without_workouts().await;
    let calls = stage.api_calls().len();

    let day = stage
        .engine
        .days
        .day(&member.user_id, now().date_naive(), RefreshMode::Auto)
        .await
        .unwrap();

    assert_eq!(
        day.missing.get("workouts"),
        Some(&MissingReason::NotGranted)
    );
    assert!(
        !day.missing
            .values()
            .any(|why| *why == MissingReason::NotSynced)
    );
    assert!(!day.meta.stale);
    assert_eq!(day.meta.last_synced_at, Some(now()));
    assert_eq!(stage.api_calls().len(), calls);
}

#[tokio::test]
async fn a_forced_read_does_not_read_a_data_type_that_was_not_granted() {
    let (stage, member) = without_workouts().await;

    let day = stage
        .engine
        .days
        .day(&member.user_id, now().date_naive(), RefreshMode::Force)
        .await
        .unwrap();
    stage.read_whole_history(&member).await;

    assert_eq!(day.meta.detail, None);
    assert!(!has_requested_workouts(&stage));
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert!(status.history_complete());
    assert!(status.history_from().is_some());
}

#[tokio::test]
async fn a_data_type_that_was_not_granted_does_not_count_as_old() {
    let (stage, member) = without_workouts().await;
    stage
        .texts(
            "UPDATE whoop_users SET last_seen_at = connected_at WHERE user_id = $1 RETURNING user_id",
            &member,
        )
        .await;
    let database = Database::new(&DatabaseConfig {
        url: stage.db.url().into(),
        pool_size: 1,
        pooler: stage.db.pooler(),
    })
    .unwrap();
    let mut conn = database.get().await.unwrap();

    let oldest = sync_log::oldest(&mut conn, now() - TimeDelta::days(7), now())
        .await
        .unwrap();

    let types: Vec<&str> = oldest.iter().map(|one| one.data_type.as_str()).collect();
    assert!(
        types.contains(&"sleep") && !types.contains(&"workout"),
        "{types:?}"
    );
}

#[tokio::test]
async fn connecting_again_with_all_scopes_reads_the_missing_data_types() {
    let (stage, member) = without_workouts().await;

    let member = connect(&stage, member.whoop_user_id, "nothing").await;
    stage.sync(&member, &history(&DataType::ALL)).await;

    stage.assert_stored_is_truth(&member).await;
    assert_eq!(
        status_of(&stage, &member, DataType::Workout).await,
        "success"
    );
}

#[tokio::test]
async fn connecting_again_with_fewer_scopes_keeps_the_stored_records() {
    let (stage, member) = Stage::with_member().await;
    let workouts = "SELECT id FROM whoop_workout WHERE user_id = $1";
    let before = stage.texts(workouts, &member).await.len();
    let state = stage.state_for(member.user_id.as_str(), None).await;
    let code = stage.code_without("read:workout", member.whoop_user_id);

    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();
    completed.first_sync.await.unwrap();

    assert!(before > 0);
    assert_eq!(stage.texts(workouts, &member).await.len(), before);
    assert_eq!(
        status_of(&stage, &member, DataType::Workout).await,
        "not_granted"
    );
}
