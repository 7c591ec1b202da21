//! Erasing a member during concurrent writes.

use serde_json::json;
use whoop_storage::{erase, page};

use crate::test_env::{TestEnv, connect, now, recovery, sleep, store};

#[tokio::test]
async fn erasing_waits_for_the_row_lock_of_a_transaction_that_stores_pages() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let mara = connect(&mut conn, "mara").await;
    let (night, recovered) = (
        [sleep("night", 5, json!({}))],
        [recovery(5, "night", json!({}))],
    );
    store(&mut conn, &mara, &night).await;
    store(&mut conn, &mara, &recovered).await;

    let mut pages = env.database.begin().await.unwrap();
    page::store(&mut pages, &mara, &night, &[], now())
        .await
        .unwrap();
    let (database, erased_member) = (env.database.clone(), mara.clone());
    let erasing = tokio::spawn(async move {
        let mut transaction = database.begin().await.unwrap();
        let rows = erase::erase(
            &mut transaction,
            &erased_member,
            "erased:00112233445566778899aabbccddeeff",
        )
        .await?;
        transaction.commit().await.map(|()| rows)
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while env.value(waiting).await.as_deref() == Some("0") {
        tokio::task::yield_now().await;
    }
    page::store(&mut pages, &mara, &recovered, &[], now())
        .await
        .unwrap();
    pages.commit().await.unwrap();

    // The deleted rows: the member, two records and their two changes.
    assert_eq!(erasing.await.unwrap().unwrap(), 5);
}
