//! Tests of law 3 (late changes arrive): WHOOP's lists change while the service reads them.

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::{Fault, FaultKind};
use whoop_sync::{MemberOutcome, MemberReport};

use crate::harness::{
    Hold, Member, Stage, at_whoop, back_to, context_without_retries, id_of, now, slot, text_of,
    until,
};

/// Reads three months of a data type. Calls `meanwhile` after the first page was fetched and before
/// the second page is requested.
async fn read_while(
    stage: &Stage,
    member: &Member,
    data_type: DataType,
    meanwhile: impl FnOnce(),
) -> MemberReport {
    let newest = stage.newest_before(member, data_type, now() - TimeDelta::days(1));
    let hold = Hold::row(stage, member, data_type, &id_of(data_type, &newest)).await;
    stage.world().reset_calls();
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    let request = back_to(now() - TimeDelta::days(90), &[data_type]);
    let sync = tokio::spawn(async move {
        engine
            .members
            .sync_member(&user_id, &context_without_retries(), &request)
            .await
    });
    until("the first page was fetched", || async {
        stage.pages_of(data_type).len() == 1
    })
    .await;
    stage.until_a_transaction_waits().await;

    meanwhile();

    hold.release().await;
    sync.await.unwrap().unwrap()
}

/// Asserts that every record of the last three months is stored, and that the sync log is correct.
async fn assert_nothing_is_missing(stage: &Stage, member: &Member, data_type: DataType) {
    stage.assert_sync_log_is_correct(member).await;
    let stored = stage.stored(member, data_type).await;
    let since = now() - TimeDelta::days(90);
    for (start, record) in stage.dated(member, data_type) {
        let id = id_of(data_type, &record);
        assert!(
            start < since || stored.contains_key(&id),
            "{data_type} {id}"
        );
    }
}

async fn a_record_appears_between_two_pages(data_type: DataType) {
    let (stage, member) = Stage::with_member().await;
    let records_before = stage.dated(&member, data_type);

    let report = read_while(&stage, &member, data_type, || {
        stage.insert(
            &member,
            data_type,
            json!({"start": text_of(now() - TimeDelta::minutes(40))}),
        );
    })
    .await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(stage.list_reads(data_type), 1, "the read continues");
    let stored = stage.stored(&member, data_type).await;
    let since = now() - TimeDelta::days(90);
    for (start, record) in records_before {
        assert!(start < since || stored.contains_key(&id_of(data_type, &record)));
    }
    // The record may have been added after its page was read. The next window, which reads that
    // time span again, stores it.
    stage.sync(&member, &slot(Slot::Night)).await;
    assert_nothing_is_missing(&stage, &member, data_type).await;
}

#[tokio::test]
async fn a_sleep_that_appears_between_two_pages_is_stored_and_nothing_is_missed() {
    a_record_appears_between_two_pages(DataType::Sleep).await;
}

#[tokio::test]
async fn a_workout_that_appears_between_two_pages_is_stored_and_nothing_is_missed() {
    a_record_appears_between_two_pages(DataType::Workout).await;
}

#[tokio::test]
async fn a_cycle_that_disappears_between_two_pages_hides_no_other() {
    let (stage, member) = Stage::with_member().await;
    let deleted = stage.newest_before(&member, DataType::Cycle, now() - TimeDelta::days(3));

    let report = read_while(&stage, &member, DataType::Cycle, || {
        stage
            .world()
            .records()
            .delete(
                member.whoop_user_id,
                at_whoop(DataType::Cycle),
                id_of(DataType::Cycle, &deleted),
            )
            .unwrap();
    })
    .await;

    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(stage.list_reads(DataType::Cycle), 1, "the read continues");
    assert_nothing_is_missing(&stage, &member, DataType::Cycle).await;
}

#[tokio::test]
async fn an_unchanged_list_is_read_once() {
    let (stage, member) = Stage::with_member().await;

    let report = read_while(&stage, &member, DataType::Cycle, || {}).await;

    assert_eq!(report.outcome, MemberOutcome::Done);
    assert_eq!(stage.list_reads(DataType::Cycle), 1);
}

#[tokio::test]
async fn a_list_without_an_end_fails_and_does_not_change_the_sync_log() {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(1));
    let before = stage.log_of(&member, DataType::Sleep).await;
    stage.world().reset_calls();
    stage.world().add_fault(Fault {
        status: Some(200),
        body: Some(json!({"records": [], "next_token": "eyJv"}).to_string()),
        ..Fault::new("sleep", FaultKind::Status)
    });
    let request = back_to(now() - TimeDelta::days(90), &[DataType::Sleep]);

    let report = stage.sync(&member, &request).await;

    assert_eq!(report.outcome, MemberOutcome::Failed);
    let error = report.error.unwrap();
    assert!(error.contains("could not be read to its end"), "{error}");
    assert_eq!(stage.log_of(&member, DataType::Sleep).await, before);
    assert_eq!(
        stage.status_of(&member, DataType::Sleep).await.as_deref(),
        Some("failed")
    );
    assert_eq!(
        stage.pages_of(DataType::Sleep).len(),
        1,
        "no further page is requested"
    );

    stage.world().clear_faults();
    let again = stage.sync(&member, &request).await;
    assert_eq!(again.outcome, MemberOutcome::Done);
    assert_nothing_is_missing(&stage, &member, DataType::Sleep).await;
    assert_eq!(stage.error_of(&member, DataType::Sleep).await, None);
}
