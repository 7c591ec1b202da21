//! A record that cannot be stored is set aside and does not affect the others.

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use serde_json::{Value, json, value::to_raw_value};
use whoop_core::{
    DataType,
    record::{Cycle, Record, RejectedRecord, parse_record},
};
use whoop_storage::{StorageError, page, table::rejected_record};

use crate::stand::{self, Stand, connect, now, store, store_with, user};

fn rejected<R: Record>(sent: &Value) -> RejectedRecord {
    parse_record::<R>(&to_raw_value(sent).unwrap()).unwrap_err()
}

fn broken_cycle(strain: &str) -> RejectedRecord {
    let mut sent = serde_json::to_value(stand::cycle(5, json!({}))).unwrap();
    sent["score"] = json!({"strain": strain});
    rejected::<Cycle>(&sent)
}

#[tokio::test]
async fn a_record_of_another_whoop_member_is_never_stored() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    let page = [
        stand::sleep("mine", 5, json!({})),
        stand::sleep("not mine", 5, json!({"user_id": 4712})),
    ];

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!(
        (stored.inserted, stored.unchanged, stored.rejected),
        (1, 0, 1)
    );
    let ids = stand.rows("SELECT id FROM whoop_sleep").await;
    assert_eq!(ids, [[Some("mine".to_owned())]]);
    let reason = stand
        .value("SELECT reason FROM whoop_rejected_record")
        .await;
    assert_eq!(
        reason.as_deref(),
        Some("user_id: it belongs to WHOOP member 4712")
    );
}

#[tokio::test]
async fn a_broken_record_is_kept_once_with_its_raw_text_however_often_it_comes() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    let broken = broken_cycle("high");
    let good = stand::cycle(6, json!({}));

    for _ in 0..3 {
        let stored = store_with(
            &mut conn,
            &member,
            std::slice::from_ref(&good),
            std::slice::from_ref(&broken),
        )
        .await;
        assert_eq!(stored.rejected, 1);
    }

    let rows = stand
        .rows("SELECT data_type, record_id, raw, times_seen::text FROM whoop_rejected_record")
        .await;
    let expected = ["cycle", "5", &broken.raw, "3"].map(|text| Some(text.to_owned()));
    assert_eq!(rows, [expected]);
    assert_eq!(rejected_record::count(&mut conn, &member).await.unwrap(), 1);
    let stored = stand.rows("SELECT id FROM whoop_cycle").await;
    assert_eq!(stored, [[Some("6".to_owned())]]);
}

#[tokio::test]
async fn a_good_version_makes_its_broken_ones_forgotten_and_no_others() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let mara = connect(&mut conn, "mara").await;
    let noa = connect(&mut conn, "noa").await;
    let mut other = broken_cycle("other");
    other.record_id = Some("6".to_owned());
    let mut sleep = broken_cycle("sleep");
    sleep.data_type = DataType::Sleep;
    let all = [broken_cycle("one"), broken_cycle("two"), other, sleep];
    store_with::<Cycle>(&mut conn, &mara, &[], &all).await;
    store_with::<Cycle>(&mut conn, &noa, &[], &all[..1]).await;

    store(&mut conn, &mara, &[stand::cycle(5, json!({}))]).await;

    let left = stand
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
        left,
        expected.map(|row| row.map(|text| Some(text.to_owned())))
    );
}

#[tokio::test]
async fn a_value_that_only_postgresql_refuses_sets_aside_that_record_alone() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    // The value is above zero, but the conversion to kilocalories underflows.
    let hardly_anything = json!({"score": {"kilojoule": 5.0e-324}});
    let page = [
        stand::cycle(4, json!({})),
        stand::cycle(5, hardly_anything),
        stand::cycle(6, json!({})),
    ];
    assert!(page.iter().all(|cycle| cycle.validate().is_ok()));

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!(
        (stored.inserted, stored.unchanged, stored.rejected),
        (2, 0, 1)
    );
    let ids = stand.rows("SELECT id FROM whoop_cycle ORDER BY id").await;
    assert_eq!(ids, [[Some("4".to_owned())], [Some("6".to_owned())]]);
    let set_aside = stand
        .rows("SELECT record_id, raw FROM whoop_rejected_record")
        .await;
    assert_eq!(set_aside[0][0].as_deref(), Some("5"));
    let raw: Cycle = serde_json::from_str(set_aside[0][1].as_deref().unwrap()).unwrap();
    assert_eq!(raw, page[1]);
}

#[tokio::test]
async fn a_moment_that_is_bad_fails_the_page_and_sets_no_good_record_aside() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(&mut conn, &member, &[stand::cycle(5, json!({}))]).await;
    // Another transaction holds the row lock; this one fails after the lock timeout of 1 ms.
    let mut holder = stand.connection().await;
    holder
        .batch_execute("BEGIN; SELECT 1 FROM whoop_cycle FOR UPDATE")
        .await
        .unwrap();
    conn.batch_execute("SET lock_timeout = '1ms'")
        .await
        .unwrap();
    let newer = stand::cycle(5, json!({"updated_at": "2031-01-01T00:00:00.000Z"}));

    let stored = conn
        .transaction(async |conn| page::store(conn, &member, &[newer], &[], now()).await)
        .await;

    assert!(matches!(stored, Err(StorageError::Busy(_))), "{stored:?}");
    let set_aside = stand
        .value("SELECT count(*) FROM whoop_rejected_record")
        .await;
    assert_eq!(set_aside.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_constraint_that_a_later_version_adds_sets_aside_that_record_alone() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    stand
        .execute("ALTER TABLE whoop_workout ADD CONSTRAINT no_chess CHECK (sport_name <> 'chess')")
        .await;
    let page = [
        stand::workout("a", json!({"sport_name": "chess"})),
        stand::workout("b", json!({"sport_name": "rowing"})),
    ];

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!((stored.inserted, stored.rejected), (1, 1));
    let reason = stand
        .value("SELECT reason FROM whoop_rejected_record")
        .await
        .unwrap();
    assert!(reason.contains("no_chess"), "{reason}");
}

#[tokio::test]
async fn an_older_version_that_is_refused_leaves_the_stored_one_alone() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(
        &mut conn,
        &member,
        &[stand::cycle(5, json!({"score": {"strain": 3.0}}))],
    )
    .await;

    store_with::<Cycle>(&mut conn, &member, &[], &[broken_cycle("high")]).await;

    let strain = stand
        .value("SELECT day_strain::text FROM whoop_cycle")
        .await;
    assert_eq!(strain.as_deref(), Some("3"));
}

#[tokio::test]
async fn what_no_column_can_hold_is_set_aside_all_the_same() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    let good = json!(stand::sleep("a", 5, json!({})));
    let with = |field: &str, value: Value| {
        let mut sent = good.clone();
        sent[field] = value;
        rejected::<whoop_core::record::Sleep>(&sent)
    };
    let broken = [
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
        &[stand::sleep("b", 5, json!({}))],
        &broken,
    )
    .await;

    assert_eq!((stored.inserted, stored.rejected), (1, 6));
    let kept = stand
        .value("SELECT count(*) FROM whoop_rejected_record")
        .await;
    // Four of the rejected texts have the same id, so they are one record.
    assert_eq!(kept.as_deref(), Some("3"));
}

#[tokio::test]
async fn nothing_is_stored_of_a_member_who_was_erased_meanwhile() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;

    let stored = page::store(
        &mut conn,
        &user("gone"),
        &[stand::cycle(5, json!({}))],
        &[],
        now(),
    )
    .await;

    assert!(matches!(stored, Err(StorageError::MemberGone(name)) if name == "gone"));
}
