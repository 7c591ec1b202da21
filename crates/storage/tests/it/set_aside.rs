//! A record that cannot be stored is set aside and does not affect the others.

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use serde_json::{Value, json, value::to_raw_value};
use whoop_core::{
    DataType,
    record::{Cycle, Record, RejectedRecord, parse_record},
};
use whoop_storage::{StorageError, page, table::rejected_record};

use crate::test_env::{self, TestEnv, connect, now, store, store_with, user};

fn rejected<R: Record>(sent: &Value) -> RejectedRecord {
    parse_record::<R>(&to_raw_value(sent).unwrap()).unwrap_err()
}

fn invalid_cycle(strain: &str) -> RejectedRecord {
    let mut sent = serde_json::to_value(test_env::cycle(5, json!({}))).unwrap();
    sent["score"] = json!({"strain": strain});
    rejected::<Cycle>(&sent)
}

#[tokio::test]
async fn a_record_of_another_whoop_account_is_never_stored() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let page = [
        test_env::sleep("mine", 5, json!({})),
        test_env::sleep("not mine", 5, json!({"user_id": 4712})),
    ];

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!(
        (stored.inserted, stored.unchanged, stored.rejected),
        (1, 0, 1)
    );
    let ids = env.rows("SELECT id FROM whoop_sleep").await;
    assert_eq!(ids, [[Some("mine".to_owned())]]);
    let reason = env.value("SELECT reason FROM whoop_rejected_record").await;
    assert_eq!(
        reason.as_deref(),
        Some("user_id: the record belongs to WHOOP member 4712")
    );
}

#[tokio::test]
async fn an_invalid_record_is_set_aside_once_with_its_raw_text() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let invalid = invalid_cycle("high");
    let valid = test_env::cycle(6, json!({}));

    for _ in 0..3 {
        let stored = store_with(
            &mut conn,
            &member,
            std::slice::from_ref(&valid),
            std::slice::from_ref(&invalid),
        )
        .await;
        assert_eq!(stored.rejected, 1);
    }

    let rows = env
        .rows("SELECT data_type, record_id, raw, times_seen::text FROM whoop_rejected_record")
        .await;
    let expected = ["cycle", "5", &invalid.raw, "3"].map(|text| Some(text.to_owned()));
    assert_eq!(rows, [expected]);
    assert_eq!(rejected_record::count(&mut conn, &member).await.unwrap(), 1);
    let stored = env.rows("SELECT id FROM whoop_cycle").await;
    assert_eq!(stored, [[Some("6".to_owned())]]);
}

#[tokio::test]
async fn a_valid_version_deletes_only_its_own_rejected_versions() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let mara = connect(&mut conn, "mara").await;
    let noa = connect(&mut conn, "noa").await;
    let mut other = invalid_cycle("other");
    other.record_id = Some("6".to_owned());
    let mut sleep = invalid_cycle("sleep");
    sleep.data_type = DataType::Sleep;
    let all = [invalid_cycle("one"), invalid_cycle("two"), other, sleep];
    store_with::<Cycle>(&mut conn, &mara, &[], &all).await;
    store_with::<Cycle>(&mut conn, &noa, &[], &all[..1]).await;

    store(&mut conn, &mara, &[test_env::cycle(5, json!({}))]).await;

    let remaining = env
        .rows(
            "SELECT user_id, data_type, record_id FROM whoop_rejected_record
             ORDER BY user_id, data_type",
        )
        .await;
    let expected = [
        ["mara", "cycle", "6"],
        ["mara", "sleep", "5"],
        ["noa", "cycle", "5"],
    ];
    assert_eq!(
        remaining,
        expected.map(|row| row.map(|text| Some(text.to_owned())))
    );
}

#[tokio::test]
async fn a_value_that_only_postgresql_rejects_sets_aside_only_that_record() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    // The value is above zero, but the conversion to kilocalories underflows.
    let too_small = json!({"score": {"kilojoule": 5.0e-324}});
    let page = [
        test_env::cycle(4, json!({})),
        test_env::cycle(5, too_small),
        test_env::cycle(6, json!({})),
    ];
    assert!(page.iter().all(|cycle| cycle.validate().is_ok()));

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!(
        (stored.inserted, stored.unchanged, stored.rejected),
        (2, 0, 1)
    );
    let ids = env.rows("SELECT id FROM whoop_cycle ORDER BY id").await;
    assert_eq!(ids, [[Some("4".to_owned())], [Some("6".to_owned())]]);
    let set_aside = env
        .rows("SELECT record_id, raw FROM whoop_rejected_record")
        .await;
    assert_eq!(set_aside[0][0].as_deref(), Some("5"));
    let raw: Cycle = serde_json::from_str(set_aside[0][1].as_deref().unwrap()).unwrap();
    assert_eq!(raw, page[1]);
}

#[tokio::test]
async fn a_lock_conflict_fails_the_page_and_sets_no_record_aside() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(&mut conn, &member, &[test_env::cycle(5, json!({}))]).await;
    // Another transaction holds the row lock; this one fails after the lock timeout of 1 ms.
    let mut holder = env.connection().await;
    holder
        .batch_execute("BEGIN; SELECT 1 FROM whoop_cycle FOR UPDATE")
        .await
        .unwrap();
    conn.batch_execute("SET lock_timeout = '1ms'")
        .await
        .unwrap();
    let newer = test_env::cycle(5, json!({"updated_at": "2031-01-01T00:00:00.000Z"}));

    let stored = conn
        .transaction(async |conn| page::store(conn, &member, &[newer], &[], now()).await)
        .await;

    assert!(matches!(stored, Err(StorageError::Busy(_))), "{stored:?}");
    let set_aside = env
        .value("SELECT count(*) FROM whoop_rejected_record")
        .await;
    assert_eq!(set_aside.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_constraint_of_a_later_version_sets_aside_only_that_record() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    env.execute("ALTER TABLE whoop_workout ADD CONSTRAINT no_chess CHECK (sport_name <> 'chess')")
        .await;
    let page = [
        test_env::workout("a", json!({"sport_name": "chess"})),
        test_env::workout("b", json!({"sport_name": "rowing"})),
    ];

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!((stored.inserted, stored.rejected), (1, 1));
    let reason = env
        .value("SELECT reason FROM whoop_rejected_record")
        .await
        .unwrap();
    assert!(reason.contains("no_chess"), "{reason}");
}

#[tokio::test]
async fn a_rejected_version_does_not_change_the_stored_one() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(
        &mut conn,
        &member,
        &[test_env::cycle(5, json!({"score": {"strain": 3.0}}))],
    )
    .await;

    store_with::<Cycle>(&mut conn, &member, &[], &[invalid_cycle("high")]).await;

    let strain = env.value("SELECT day_strain::text FROM whoop_cycle").await;
    assert_eq!(strain.as_deref(), Some("3"));
}

#[tokio::test]
async fn values_that_no_column_can_store_are_set_aside_too() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let valid = json!(test_env::sleep("a", 5, json!({})));
    let with = |field: &str, value: Value| {
        let mut sent = valid.clone();
        sent[field] = value;
        rejected::<whoop_core::record::Sleep>(&sent)
    };
    let invalid = [
        with("id", json!("a\0b")),
        with("id", json!("x".repeat(100_000))),
        with("score_state", json!("\0")),
        with("timezone_offset", json!("\0")),
        with("start", json!("\0")),
        with("added", json!("\0")),
    ];

    let stored = store_with(
        &mut conn,
        &member,
        &[test_env::sleep("b", 5, json!({}))],
        &invalid,
    )
    .await;

    assert_eq!((stored.inserted, stored.rejected), (1, 6));
    let stored_rejections = env
        .value("SELECT count(*) FROM whoop_rejected_record")
        .await;
    // Four of the rejected texts have the same id, so they are one record.
    assert_eq!(stored_rejections.as_deref(), Some("3"));
}

#[tokio::test]
async fn nothing_is_stored_for_an_erased_member() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;

    let stored = page::store(
        &mut conn,
        &user("gone"),
        &[test_env::cycle(5, json!({}))],
        &[],
        now(),
    )
    .await;

    assert!(matches!(stored, Err(StorageError::MemberGone(name)) if name == "gone"));
}
