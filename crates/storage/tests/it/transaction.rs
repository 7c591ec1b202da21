//! A transaction that is not committed changes nothing, however it ends.

use serde_json::json;
use whoop_storage::{Transaction, page, table::users};

use crate::stand::{self, Stand, another_pool, connect, now, user};

async fn with_a_cycle(stand: &Stand) -> Transaction {
    let member = user("mara");
    let mut transaction = stand.database.begin().await.unwrap();
    page::store(
        &mut transaction,
        &member,
        &[stand::cycle(5, json!({}))],
        &[],
        now(),
    )
    .await
    .unwrap();
    transaction
}

async fn cycles(stand: &Stand) -> String {
    stand
        .value("SELECT count(*) FROM whoop_cycle")
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_committed_lasts_and_what_was_rolled_back_does_not() {
    let stand = Stand::new().await;
    connect(&mut stand.connection().await, "mara").await;

    with_a_cycle(&stand).await.rollback().await.unwrap();
    assert_eq!(cycles(&stand).await, "0");

    with_a_cycle(&stand).await.commit().await.unwrap();
    assert_eq!(cycles(&stand).await, "1");
}

#[tokio::test]
async fn a_dropped_transaction_is_undone_and_gives_the_members_turn_back() {
    let stand = Stand::new().await;
    connect(&mut stand.connection().await, "mara").await;

    drop(with_a_cycle(&stand).await);

    // This pool simulates another process, which does not share the first pool's connections.
    let mut conn = another_pool(&stand.db).get().await.unwrap();
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *conn, "SET lock_timeout = '5s'")
        .await
        .unwrap();
    let turn = users::lock_member(&mut conn, &user("mara")).await;
    assert!(turn.is_ok(), "{turn:?}");
    assert_eq!(cycles(&stand).await, "0");
}

#[tokio::test]
async fn whoever_gets_a_connection_after_a_dropped_transaction_is_not_inside_it() {
    let stand = Stand::new().await;
    connect(&mut stand.connection().await, "mara").await;

    for _ in 0..20 {
        drop(with_a_cycle(&stand).await);
    }
    with_a_cycle(&stand).await.commit().await.unwrap();

    assert_eq!(cycles(&stand).await, "1");
}
