//! A transaction that is not committed changes nothing, however it ends.

use serde_json::json;
use whoop_storage::{Transaction, page, table::users};

use crate::test_env::{self, TestEnv, another_pool, connect, now, user};

async fn transaction_with_a_cycle(env: &TestEnv) -> Transaction {
    let member = user("mara");
    let mut transaction = env.database.begin().await.unwrap();
    page::store(
        &mut transaction,
        &member,
        &[test_env::cycle(5, json!({}))],
        &[],
        now(),
    )
    .await
    .unwrap();
    transaction
}

async fn cycles(env: &TestEnv) -> String {
    env.value("SELECT count(*) FROM whoop_cycle").await.unwrap()
}

#[tokio::test]
async fn committed_changes_are_stored_and_rolled_back_changes_are_not() {
    let env = TestEnv::new().await;
    connect(&mut env.connection().await, "mara").await;

    transaction_with_a_cycle(&env)
        .await
        .rollback()
        .await
        .unwrap();
    assert_eq!(cycles(&env).await, "0");

    transaction_with_a_cycle(&env).await.commit().await.unwrap();
    assert_eq!(cycles(&env).await, "1");
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_and_releases_the_row_lock() {
    let env = TestEnv::new().await;
    connect(&mut env.connection().await, "mara").await;

    drop(transaction_with_a_cycle(&env).await);

    // This pool simulates another process, which does not share the first pool's connections.
    let mut conn = another_pool(&env.db).get().await.unwrap();
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *conn, "SET lock_timeout = '5s'")
        .await
        .unwrap();
    let lock = users::lock_member(&mut conn, &user("mara")).await;
    assert!(lock.is_ok(), "{lock:?}");
    assert_eq!(cycles(&env).await, "0");
}

#[tokio::test]
async fn a_connection_after_a_dropped_transaction_has_no_open_transaction() {
    let env = TestEnv::new().await;
    connect(&mut env.connection().await, "mara").await;

    for _ in 0..20 {
        drop(transaction_with_a_cycle(&env).await);
    }
    transaction_with_a_cycle(&env).await.commit().await.unwrap();

    assert_eq!(cycles(&env).await, "1");
}
