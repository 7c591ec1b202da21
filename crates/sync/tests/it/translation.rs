//! Tests of law 1 (nothing is lost in translation): no record and no value is lost between WHOOP
//! and the database.

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::SimConfig;
use whoop_sync::MemberOutcome;

use crate::harness::{Member, Stage, half_a_year, history, id_of, list_of, now, slot};

/// Returns a configuration with one person of each of the first nine life patterns.
fn all_life_patterns(seed: u64) -> SimConfig {
    SimConfig {
        seed,
        people: 9,
        days: 100,
        ..half_a_year()
    }
}

async fn with_complete_history(stage: &Stage, index: usize) -> Member {
    let member = stage.connect_person(index).await;
    let report = stage.sync(&member, &history(&DataType::ALL)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    member
}

async fn assert_every_record_is_stored(seed: u64) {
    let stage = Stage::with(all_life_patterns(seed)).await;

    for index in 0..9 {
        let member = stage.connect_person(index).await;
        stage.read_whole_history(&member).await;

        stage.assert_stored_is_truth(&member).await;
        let status = stage
            .engine
            .operations
            .member_status(&member.user_id)
            .await
            .unwrap();
        assert!(status.history_complete(), "{status:?}");
        assert_eq!(status.rejected_records, 0);
    }
}

#[tokio::test]
async fn every_record_of_nine_people_is_stored_without_loss() {
    assert_every_record_is_stored(7).await;
}

#[tokio::test]
async fn every_record_of_nine_other_people_is_stored_without_loss() {
    assert_every_record_is_stored(1_000_003).await;
}

#[tokio::test]
async fn the_first_sync_reads_the_newest_pages_then_the_body_measurement_then_thirty_days() {
    let (stage, member) = Stage::with_member().await;
    let two_weeks_ago = now() - TimeDelta::days(14);

    for data_type in DataType::ALL {
        let stored = stage.stored(&member, data_type).await;
        for (start, record) in stage.dated(&member, data_type) {
            let id = id_of(data_type, &record);
            assert!(
                start < two_weeks_ago || stored.contains_key(&id),
                "{data_type} {id}"
            );
        }
    }
    let calls: Vec<String> = stage
        .api_calls()
        .into_iter()
        .map(|call| call.path)
        .collect();
    let is_body = |path: &String| path.contains("measurement");
    assert!(calls[0].contains("profile"), "{calls:?}");
    for data_type in DataType::ALL {
        let list = list_of(data_type).to_owned();
        assert!(calls[1..5].contains(&list), "{calls:?}");
    }
    assert!(
        is_body(&calls[5]) && calls.len() <= 5 + 1 + 2 * 4,
        "{calls:?}"
    );
    stage.assert_sync_log_is_correct(&member).await;
}

#[tokio::test]
async fn a_second_sync_writes_nothing() {
    let stage = Stage::new().await;
    let member = with_complete_history(&stage, 0).await;
    stage.advance(TimeDelta::minutes(30));

    let night = stage.sync(&member, &slot(Slot::Night)).await;
    let again = stage.sync(&member, &history(&DataType::ALL)).await;

    for report in [night, again] {
        assert_eq!(report.outcome, MemberOutcome::Done);
        assert_eq!(report.stored().written(), 0, "{report:?}");
        assert!(report.stored().unchanged > 0);
    }
    for data_type in DataType::ALL {
        let written_later = stage
            .texts(
                &format!(
                    "SELECT id FROM whoop_{data_type} \
                     WHERE user_id = $1 AND synced_at > '2026-10-20 15:07:00Z'"
                ),
                &member,
            )
            .await;
        assert_eq!(written_later, Vec::<Option<String>>::new());
    }
}

#[tokio::test]
async fn an_unknown_field_and_an_unknown_score_state_are_kept() {
    let (stage, member) = Stage::with_member().await;
    for data_type in DataType::ALL {
        let record = stage.newest_before(&member, data_type, now() - TimeDelta::days(2));
        stage.change(
            &member,
            data_type,
            &record,
            json!({
                "mood": {"name": "calm", "since": [1, 2.5, null]},
                "score_state": "SCORED_LATER",
                "score": {"new_number": 1.000_000_000_000_000_2},
            }),
        );
    }

    let report = stage.sync(&member, &slot(Slot::Night)).await;

    assert_eq!((report.stored().updated, report.stored().rejected), (4, 0));
    let history_report = stage.sync(&member, &history(&DataType::ALL)).await;
    assert_eq!(history_report.outcome, MemberOutcome::Done);
    stage.assert_stored_is_truth(&member).await;
}

#[tokio::test]
async fn two_members_can_have_the_same_whoop_account() {
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];

    let one = stage.connect("one", whoop_user_id).await;
    let other = stage.connect("other", whoop_user_id).await;

    for member in [one, other] {
        let report = stage.sync(&member, &history(&DataType::ALL)).await;
        assert_eq!(report.outcome, MemberOutcome::Done);
        stage.assert_stored_is_truth(&member).await;
    }
}
