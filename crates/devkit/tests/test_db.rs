//! Tests of the databases that this crate creates for tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::time::{Duration, Instant};

use whoop_devkit::{DatabaseServer, TestDb, server};

async fn exists(name: &str) -> bool {
    let (client, connection) =
        tokio_postgres::connect(&server().admin_url(), tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)",
            &[&name],
        )
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_database_is_dropped_at_the_end_of_its_test() {
    let db = TestDb::new().await;
    let name = db.name().to_owned();
    // The database is dropped although this connection is still open.
    let _client = db.client().await;
    assert!(exists(&name).await);

    drop(db);

    // On a private server the database is dropped in the background.
    let deadline = Instant::now() + Duration::from_secs(10);
    while exists(&name).await {
        assert!(Instant::now() < deadline, "{name} still exists");
    }
}

#[tokio::test]
async fn tests_do_not_see_the_tables_of_other_tests() {
    let (one, other) = tokio::join!(TestDb::new(), TestDb::new());
    assert_ne!(one.url(), other.url());

    one.client()
        .await
        .batch_execute("CREATE TABLE only_here ()")
        .await
        .unwrap();

    let found = other
        .client()
        .await
        .query_one("SELECT to_regclass('only_here')::text", &[])
        .await
        .unwrap();
    assert_eq!(found.get::<_, Option<String>>(0), None);
}

#[tokio::test]
async fn an_empty_database_has_no_tables() {
    let db = TestDb::empty().await;

    let tables = db
        .client()
        .await
        .query_one(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'",
            &[],
        )
        .await
        .unwrap();

    assert_eq!(tables.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn many_tests_can_create_databases_at_the_same_time() {
    let databases: Vec<TestDb> = {
        let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(TestDb::new())).collect();
        let mut databases = Vec::new();
        for task in tasks {
            databases.push(task.await.unwrap());
        }
        databases
    };

    for db in &databases {
        assert!(exists(db.name()).await);
    }
}

/// Tests on a shared server that only databases of runs that were killed long ago are dropped.
#[tokio::test]
async fn leftovers_are_dropped_but_a_database_of_today_is_kept() {
    let db = TestDb::new().await;
    let shared = DatabaseServer::from(&whoop_devkit::Environment {
        database_url: Some(server().admin_url()),
        ..Default::default()
    })
    .unwrap();
    let (_, suffix) = db.name().rsplit_once('_').unwrap();
    let old_leftover = &format!("whoop_test_20200102_{suffix}");
    let foreign = &format!("whoop_test_of_another_program_{suffix}");
    let admin = db.client().await;
    for name in [old_leftover, foreign] {
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
            .await
            .unwrap();
    }

    shared.drop_leftovers().await.unwrap();

    assert!(!exists(old_leftover).await);
    assert!(exists(foreign).await);
    assert!(exists(db.name()).await);
    admin
        .batch_execute(&format!("DROP DATABASE {foreign}"))
        .await
        .unwrap();
}
