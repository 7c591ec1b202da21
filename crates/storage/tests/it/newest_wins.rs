//! Law 2: the newest version of a record wins, regardless of the order of arrival.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use whoop_core::record::Cycle;
use whoop_storage::page::StoreCounts;

use crate::test_env::{self, TestEnv, connect, for_any, now, store};

/// Returns a version of a cycle that WHOOP changed at `minute`.
fn version(minute: u32, strain: f64) -> Cycle {
    let updated_at = format!("2026-05-02T08:{minute:02}:00.000Z");
    test_env::cycle(
        5,
        json!({"updated_at": updated_at, "score": {"strain": strain}}),
    )
}

async fn stored_strain(env: &TestEnv) -> Option<f64> {
    let strain = env.value("SELECT day_strain::text FROM whoop_cycle").await;
    strain.map(|text| text.parse().unwrap())
}

const UNCHANGED: StoreCounts = StoreCounts {
    deleted: 0,
    inserted: 0,
    updated: 0,
    unchanged: 1,
    rejected: 0,
};

#[tokio::test]
async fn a_newer_version_replaces_the_stored_one_and_an_older_one_does_not() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let first = store(&mut conn, &member, &[version(10, 5.0)]).await;
    assert_eq!((first.inserted, first.written()), (1, 1));

    let newer = store(&mut conn, &member, &[version(11, 6.0)]).await;
    assert_eq!((newer.updated, newer.written()), (1, 1));
    assert_eq!(stored_strain(&env).await, Some(6.0));

    assert_eq!(
        store(&mut conn, &member, &[version(10, 7.0)]).await,
        UNCHANGED
    );
    assert_eq!(stored_strain(&env).await, Some(6.0));
}

#[tokio::test]
async fn the_same_version_again_writes_nothing() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let night = test_env::sleep("a", 5, json!({"added": {"list": [1.0, 2]}}));
    let recovery = test_env::recovery(5, "a", json!({"score": {"recovery_score": 50.5}}));
    let workout = test_env::workout("b", json!({}));
    let cycle = version(10, 5.0);
    store(&mut conn, &member, std::slice::from_ref(&night)).await;
    store(&mut conn, &member, std::slice::from_ref(&recovery)).await;
    store(&mut conn, &member, std::slice::from_ref(&workout)).await;
    store(&mut conn, &member, std::slice::from_ref(&cycle)).await;
    // The transaction that wrote each row, and the row's physical position.
    let versions = "SELECT xmin::text, ctid::text FROM whoop_sleep
        UNION ALL SELECT xmin::text, ctid::text FROM whoop_recovery
        UNION ALL SELECT xmin::text, ctid::text FROM whoop_workout
        UNION ALL SELECT xmin::text, ctid::text FROM whoop_cycle
        UNION ALL SELECT xmin::text, ctid::text FROM whoop_users";
    let before = env.rows(versions).await;

    assert_eq!(store(&mut conn, &member, &[night]).await, UNCHANGED);
    assert_eq!(store(&mut conn, &member, &[recovery]).await, UNCHANGED);
    assert_eq!(store(&mut conn, &member, &[workout]).await, UNCHANGED);
    assert_eq!(store(&mut conn, &member, &[cycle]).await, UNCHANGED);

    assert_eq!(env.rows(versions).await, before);
}

#[tokio::test]
async fn of_two_versions_with_the_same_time_the_later_read_wins() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(&mut conn, &member, &[version(10, 5.0)]).await;

    let fresh = store(&mut conn, &member, &[version(10, 6.5)]).await;

    assert_eq!((fresh.updated, fresh.unchanged), (1, 0));
    assert_eq!(stored_strain(&env).await, Some(6.5));
}

#[tokio::test]
async fn a_version_from_the_future_does_not_block_later_versions() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let version_at = |updated_at: DateTime<Utc>, strain: f64| {
        test_env::cycle(
            5,
            json!({"updated_at": updated_at, "score": {"strain": strain}}),
        )
    };
    let (soon, far) = (TimeDelta::minutes(50), TimeDelta::days(2000));

    // A small clock difference does not change the order of versions.
    store(&mut conn, &member, &[version_at(now() + soon, 5.0)]).await;
    let older = store(&mut conn, &member, &[version_at(now(), 6.0)]).await;
    assert_eq!(older, UNCHANGED);

    store(&mut conn, &member, &[version_at(now() + far, 7.0)]).await;
    assert_eq!(stored_strain(&env).await, Some(7.0));
    let again = store(&mut conn, &member, &[version_at(now() + far, 7.0)]).await;
    assert_eq!(again, UNCHANGED);
    let today = store(&mut conn, &member, &[version_at(now(), 8.0)]).await;
    assert_eq!((today.updated, today.unchanged), (1, 0));
    assert_eq!(stored_strain(&env).await, Some(8.0));

    let before = store(&mut conn, &member, &[version_at(now() - soon, 9.0)]).await;
    assert_eq!(before, UNCHANGED);
}

#[tokio::test]
async fn a_change_of_any_whoop_field_is_an_update() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let base = json!({
        "score": {"strain": 1.0, "kilojoule": 2.0, "average_heart_rate": 3.0, "max_heart_rate": 4.0},
        "end": "2026-05-02T22:00:00.000Z", "step_count": 6, "added": 1,
    });
    let changes = [
        ("/score/strain", json!(1.5)),
        ("/score/kilojoule", json!(null)),
        ("/score/average_heart_rate", json!(3.5)),
        ("/score/max_heart_rate", json!(4.5)),
        ("/end", json!(null)),
        ("/step_count", json!(7)),
        ("/added", json!(2)),
        ("/score_state", json!("UNSCORABLE")),
        ("/created_at", json!("2026-05-02T06:30:00.001Z")),
        ("/start", json!("2026-05-01T22:00:00.001Z")),
        ("/timezone_offset", json!("+01:00")),
    ];
    for (pointer, value) in changes {
        let member = connect(&mut conn, pointer).await;
        store(&mut conn, &member, &[test_env::cycle(5, base.clone())]).await;
        let mut changed = serde_json::to_value(test_env::cycle(5, base.clone())).unwrap();
        *changed.pointer_mut(pointer).unwrap() = value;
        let changed: Cycle = serde_json::from_value(changed).unwrap();

        let stored = store(&mut conn, &member, &[changed]).await;

        assert_eq!(stored.updated, 1, "{pointer}");
    }
}

#[tokio::test]
async fn a_pending_recovery_is_replaced_once_whoop_scores_it() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let pending = test_env::recovery(
        5,
        "a",
        json!({"score_state": "PENDING_SCORE", "updated_at": "2026-05-02T06:30:00.000Z"}),
    );
    let scored = test_env::recovery(
        5,
        "a",
        json!({"updated_at": "2026-05-02T06:44:00.000Z", "score": {"recovery_score": 71.0}}),
    );

    store(&mut conn, &member, std::slice::from_ref(&pending)).await;
    store(&mut conn, &member, &[scored]).await;
    // A late response with the earlier version must not overwrite it.
    store(&mut conn, &member, &[pending]).await;

    let rows = env
        .rows("SELECT score_state, recovery_score::text FROM whoop_recovery")
        .await;
    assert_eq!(rows, [[Some("SCORED".to_owned()), Some("71".to_owned())]]);
}

#[tokio::test]
async fn a_page_that_contains_a_record_twice_keeps_its_newest_version() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let page = [version(12, 1.0), version(14, 2.0), version(13, 3.0)];

    let stored = store(&mut conn, &member, &page).await;

    assert_eq!(
        (stored.inserted, stored.updated, stored.unchanged),
        (1, 0, 2)
    );
    assert_eq!(stored_strain(&env).await, Some(2.0));
}

#[tokio::test]
async fn of_two_versions_with_the_same_time_on_a_page_the_later_one_is_kept() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;

    store(&mut conn, &member, &[version(12, 1.0), version(12, 2.0)]).await;

    assert_eq!(stored_strain(&env).await, Some(2.0));
}

#[tokio::test]
async fn the_same_id_for_two_members_is_two_records() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let mara = connect(&mut conn, "mara").await;
    let noa = connect(&mut conn, "noa").await;

    store(&mut conn, &mara, &[version(12, 1.0)]).await;
    let stored = store(&mut conn, &noa, &[version(11, 2.0)]).await;

    assert_eq!(stored.inserted, 1);
    let strains = env
        .rows("SELECT day_strain::text FROM whoop_cycle ORDER BY user_id")
        .await;
    assert_eq!(strains, [[Some("1".to_owned())], [Some("2".to_owned())]]);
}

/// Generates versions of three workouts: the workout, the minute of its change and the page that
/// contains it. The content depends only on the minute, because WHOOP never sends two contents with
/// the same `updated_at`.
fn any_arrival() -> impl Strategy<Value = Vec<(usize, u32, usize)>> {
    prop::collection::vec((0_usize..3, 0_u32..40, 0_usize..5), 1..20)
}

#[test]
fn any_order_and_any_paging_of_versions_keeps_the_newest_of_each() {
    for_any(48, any_arrival(), async |env, member, arrivals| {
        let mut conn = env.connection().await;
        for page in 0..5 {
            let page: Vec<_> = arrivals
                .iter()
                .filter(|arrival| arrival.2 == page)
                .map(|(id, minute, _)| {
                    let updated_at = format!("2026-05-03T08:{minute:02}:00.000Z");
                    let fields = json!({"updated_at": updated_at, "version": minute});
                    test_env::workout(&format!("workout {id}"), fields)
                })
                .collect();
            store(&mut conn, member, &page).await;
        }

        for id in 0..3 {
            let newest = arrivals
                .iter()
                .filter(|one| one.0 == id)
                .map(|one| one.1)
                .max();
            let rows = env
                .rows(&format!(
                    "SELECT extra::text FROM whoop_workout
                     WHERE user_id = '{member}' AND id = 'workout {id}'"
                ))
                .await;
            let kept: Vec<Value> = rows
                .iter()
                .map(|row| serde_json::from_str(row[0].as_deref().unwrap()).unwrap())
                .collect();
            let expected: Vec<Value> = newest
                .map(|minute| json!({"version": minute}))
                .into_iter()
                .collect();
            assert_eq!(kept, expected);
        }
    });
}
