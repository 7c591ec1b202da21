//! Tests of laws 1 (nothing is lost in translation) and 13 (bad input changes nothing): a record
//! that cannot be parsed affects no other record.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_core::{DataType, plan::Slot};
use whoop_sync::MemberOutcome;

use crate::harness::{Member, Stage, history, id_of, now, slot};

/// Returns a change that makes a record of this data type impossible to parse.
fn breaking_change(data_type: DataType) -> Value {
    match data_type {
        DataType::Recovery => json!({"score": {"recovery_score": "high"}}),
        DataType::Sleep => {
            json!({"score": {"stage_summary": {"total_rem_sleep_time_milli": "long"}}})
        }
        DataType::Workout => json!({"start": 17}),
        DataType::Cycle => json!({"timezone_offset": 17}),
    }
}

/// Creates a member of whom nothing is stored, with one broken record of each data type at WHOOP.
async fn with_broken_records() -> (Stage, Member, Vec<(DataType, Value)>) {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    let mut broken = Vec::new();
    for data_type in DataType::ALL {
        let record = stage.newest_before(&member, data_type, now() - TimeDelta::days(2));
        stage.change(&member, data_type, &record, breaking_change(data_type));
        broken.push((data_type, record));
    }
    (stage, member, broken)
}

#[tokio::test]
async fn a_broken_record_is_set_aside_and_its_neighbours_are_stored() {
    let (stage, member, broken) = with_broken_records().await;

    let report = stage.sync(&member, &history(&DataType::ALL)).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
    for (data_type, record) in broken {
        let id = id_of(data_type, &record);
        let mut truth = stage.truth(&member, data_type);
        truth.remove(&id);
        let stored = stage.stored(&member, data_type).await;
        assert_eq!(
            stored.keys().collect::<Vec<_>>(),
            truth.keys().collect::<Vec<_>>(),
            "{data_type}"
        );
    }
}

#[tokio::test]
async fn a_broken_record_is_kept_as_whoop_sent_it_with_the_reason() {
    let (stage, member, broken) = with_broken_records().await;

    stage.sync(&member, &slot(Slot::Night)).await;

    for (data_type, record) in broken {
        let id = id_of(data_type, &record);
        let set_aside = |column: &str| {
            format!(
                "SELECT {column} FROM whoop_rejected_record \
                 WHERE user_id = $1 AND data_type = '{data_type}' AND record_id = '{id}'"
            )
        };
        let raw = stage.text(&set_aside("raw"), &member).await.unwrap();
        let as_sent = stage
            .listed(&member, data_type)
            .into_iter()
            .find(|one| id_of(data_type, one) == id);
        assert_eq!(serde_json::from_str::<Value>(&raw).ok(), as_sent);
        let reason = stage.text(&set_aside("reason"), &member).await.unwrap();
        let field = match data_type {
            DataType::Recovery => "score.recovery_score",
            DataType::Sleep => "score.stage_summary.total_rem_sleep_time_milli",
            DataType::Workout => "start",
            DataType::Cycle => "timezone_offset",
        };
        assert!(reason.starts_with(field), "{reason}");
    }
}

#[tokio::test]
async fn the_sync_log_counts_rejected_records_and_the_sync_still_succeeds() {
    let (stage, member, _) = with_broken_records().await;

    stage.sync(&member, &slot(Slot::Night)).await;

    for data_type in DataType::ALL {
        assert_eq!(
            stage.status_of(&member, data_type).await.as_deref(),
            Some("success")
        );
        let error = stage.error_of(&member, data_type).await.unwrap();
        assert!(error.contains("1 record(s)"), "{error}");
        assert!(error.contains("whoop_rejected_record"), "{error}");
        assert!(
            stage
                .log_of(&member, data_type)
                .await
                .starts_with("2026-10-20 15:07:00"),
        );
    }
}

#[tokio::test]
async fn a_record_that_stays_broken_is_set_aside_once() {
    let (stage, member, _) = with_broken_records().await;

    for _ in 0..3 {
        stage.sync(&member, &slot(Slot::Night)).await;
    }

    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert_eq!(status.rejected_records, 4);
}

#[tokio::test]
async fn a_record_that_whoop_repairs_is_stored_and_no_longer_set_aside() {
    let (stage, member, broken) = with_broken_records().await;
    stage.sync(&member, &slot(Slot::Night)).await;

    for (data_type, record) in &broken {
        stage.change(&member, *data_type, record, record.clone());
    }
    stage.sync(&member, &history(&DataType::ALL)).await;

    stage.assert_stored_is_truth(&member).await;
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert_eq!(status.rejected_records, 0);
    for data_type in DataType::ALL {
        assert_eq!(stage.error_of(&member, data_type).await, None);
    }
}

#[tokio::test]
async fn a_page_with_only_broken_records_does_not_stop_the_read() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    for record in stage.listed(&member, DataType::Sleep).iter().take(30) {
        stage.change(
            &member,
            DataType::Sleep,
            record,
            breaking_change(DataType::Sleep),
        );
    }

    let report = stage.sync(&member, &history(&[DataType::Sleep])).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
    let stored = stage.stored(&member, DataType::Sleep).await;
    assert_eq!(
        stored.len(),
        stage.listed(&member, DataType::Sleep).len() - 30
    );
    let status = stage
        .engine
        .operations
        .member_status(&member.user_id)
        .await
        .unwrap();
    assert_eq!(status.rejected_records, 30);
}
