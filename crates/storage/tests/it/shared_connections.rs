//! Behaviour behind a pooler in transaction mode, which may run successive statements of one client
//! on different server connections.
//!
//! The tests also pass without a pooler, but are most meaningful with `TEST_POOLER=transaction`.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;
use secrecy::SecretString;
use serde_json::json;
use whoop_core::UserId;
use whoop_storage::{
    Database, DatabaseConfig, PooledConnection, PoolerMode, StorageError, day, member_lease, page,
    rotate,
    seal::TokenKeys,
    table::tokens::{self, OAuthTokens},
};

use crate::test_env::{self, TestEnv, another_pool, connect, now, store, user};

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    value: String,
}

async fn setting(conn: &mut PooledConnection, name: &str) -> String {
    let sql = format!("SELECT current_setting('{name}') AS value");
    let setting: Setting = diesel_async::RunQueryDsl::get_result(sql_query(sql), conn)
        .await
        .unwrap();
    setting.value
}

/// Runs a typical sequence of statements of one process, some of them in a transaction.
async fn run_process(database: Database, member: UserId, name: String) -> Result<(), StorageError> {
    let date = "2026-05-02".parse().unwrap();
    for _ in 0..10 {
        let mut conn = database.get().await?;
        let day = day::read(&conn, &member, date, now()).await?;
        assert_eq!(day.records.sleeps.len(), 1, "{name}");
        member_lease::claim(&mut conn, &member, &name, true, Duration::from_secs(1)).await?;
        drop(conn);
        let mut transaction = database.begin().await?;
        let cycle = test_env::cycle(5, json!({}));
        page::store(&mut transaction, &member, &[cycle], &[], now()).await?;
        transaction.commit().await?;
        let mut conn = database.get().await?;
        member_lease::release(&mut conn, &member, &name).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_on_few_connections_do_not_share_statements() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(
        &mut conn,
        &member,
        &[test_env::sleep("night", 5, json!({}))],
    )
    .await;
    drop(conn);

    let pools: Vec<Database> = (0..4).map(|_| another_pool(&env.db)).collect();
    let clients = pools.iter().enumerate().flat_map(|(process, pool)| {
        let member = &member;
        (0..6).map(move |client| {
            let name = format!("client {client} of process {process}");
            tokio::spawn(run_process(pool.clone(), member.clone(), name))
        })
    });

    for result in join_all(clients.collect::<Vec<_>>()).await {
        result.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_setting_of_one_transaction_does_not_affect_other_clients() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let [before, after] = [format!("k1:{key}"), format!("k2:{key},k1:{key}")]
        .map(|keys| TokenKeys::parse(&SecretString::from(keys)).unwrap());
    let pair = OAuthTokens {
        access_token: SecretString::from("access"),
        refresh_token: None,
        scope: "offline".to_owned(),
        expires_at: now(),
    };
    tokens::upsert(&mut conn, &before, &member, &pair, now())
        .await
        .unwrap();
    drop(conn);
    let outdated = rotate::list_outdated(&env.database, &after, None)
        .await
        .unwrap();

    // This transaction sets a lock timeout in PostgreSQL, which must not affect other clients.
    let done = rotate::reseal(&env.database, &after, &outdated[0])
        .await
        .unwrap();

    assert!(matches!(done, rotate::ResealOutcome::Done), "{done:?}");
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(env.connection().await);
    }
    for client in &mut clients {
        assert_eq!(setting(client, "lock_timeout").await, "0");
    }
}

#[tokio::test]
async fn every_connection_uses_utc() {
    let env = TestEnv::new().await;
    let name = env.db.name();
    let set_time_zone = format!("ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'");
    env.execute(&set_time_zone).await;
    // Another client that changes a setting of its session.
    let mut other = another_pool(&env.db).get().await.unwrap();

    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(env.connection().await);
    }
    for _ in 0..3 {
        other
            .batch_execute("SET TIME ZONE 'America/Lima'")
            .await
            .unwrap();
        for client in &mut clients {
            assert_eq!(setting(client, "TimeZone").await, "UTC");
        }
    }
}

#[tokio::test]
async fn an_undeclared_pooler_is_reported_with_the_remedy() {
    let env = TestEnv::new().await;
    if env.db.pooler() == PoolerMode::Session {
        println!("skipped: the test needs a pooler in transaction mode");
        return;
    }
    connect(&mut env.connection().await, "mara").await;
    let wrong = Database::new(&DatabaseConfig {
        url: SecretString::from(env.db.url()),
        pool_size: 2,
        pooler: PoolerMode::Session,
    })
    .unwrap();
    assert!(wrong.shares_connections().await.unwrap());
    let mut conn = wrong.get().await.unwrap();
    // The statement is prepared on one server connection, which is then in use by another client.
    let prepared = member_lease::is_held(&mut conn, &user("mara")).await;
    assert!(prepared.is_ok(), "{prepared:?}");
    let busy = env.database.begin().await.unwrap();

    let error = member_lease::is_held(&mut conn, &user("mara"))
        .await
        .unwrap_err();

    assert!(
        matches!(error, StorageError::TransactionPooler(_)),
        "{error:?}"
    );
    assert!(error.to_string().contains("DATABASE_POOLER=transaction"));
    busy.rollback().await.unwrap();
}

#[tokio::test]
async fn separate_connections_are_recognized() {
    let env = TestEnv::new().await;
    let direct = Database::new(&DatabaseConfig {
        url: SecretString::from(env.db.direct_url()),
        pool_size: 2,
        pooler: PoolerMode::Session,
    })
    .unwrap();

    assert!(!direct.shares_connections().await.unwrap());
}
