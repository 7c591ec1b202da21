//! Migrations during a long transaction that has read all tables, such as a backup.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::Client;
use whoop_storage::{Database, StorageError, migrate, serving_role};

use crate::test_env::{TestEnv, another_pool};

/// Timeout for reads during a migration: longer than the lock timeout of a migration, with a margin
/// for slow machines.
const LONGEST_READ: Duration = Duration::from_secs(8);

/// Opens a transaction that has read every table and does not end, like a running `pg_dump`.
async fn backup(env: &TestEnv) -> Client {
    let client = env.db.client().await;
    client.batch_execute("BEGIN").await.unwrap();
    let sql = "SELECT c.relname::TEXT FROM pg_class c \
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'";
    for row in client.query(sql, &[]).await.unwrap() {
        let table: String = row.get(0);
        let lock = format!("LOCK TABLE public.{table} IN ACCESS SHARE MODE");
        client.batch_execute(&lock).await.unwrap();
    }
    client
}

/// Waits until a step is blocked by the backup.
async fn wait_until_blocked(env: &TestEnv) {
    let client = env.db.client().await;
    let sql = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let blocked = async {
        while client.query(sql, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), blocked).await.unwrap();
}

/// Creates a serving role. Roles are shared by all databases of the server, so the name contains
/// this database's name.
async fn create_serving_role(env: &TestEnv) -> String {
    let role = format!("{}_serves", env.db.name());
    env.execute(&format!("CREATE ROLE {role}")).await;
    role
}

async fn drop_role(env: &TestEnv, role: &str) {
    let sql = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    env.execute(&sql).await;
}

fn spawn_grant_serving(
    database: &Database,
    role: &str,
) -> JoinHandle<Result<Vec<serving_role::ServingRole>, StorageError>> {
    let (database, role) = (database.clone(), role.to_owned());
    tokio::spawn(async move { serving_role::grant_serving(&database, Some(&role)).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_without_new_migrations_takes_no_lock() {
    let env = TestEnv::new().await;
    let role = create_serving_role(&env).await;
    serving_role::grant_serving(&env.database, Some(&role))
        .await
        .unwrap();
    let backup = backup(&env).await;

    let rollout = async {
        migrate::apply(&env.database).await.unwrap();
        serving_role::grant_serving(&env.database, None)
            .await
            .unwrap()
    };
    let serving = timeout(Duration::from_secs(30), rollout).await;

    assert_eq!(serving.unwrap()[0].name, role);
    backup.batch_execute("ROLLBACK").await.unwrap();
    drop_role(&env, &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_continue_while_a_new_role_waits_for_a_backup() {
    let env = TestEnv::new().await;
    let role = create_serving_role(&env).await;
    let backup = backup(&env).await;

    let waiting = spawn_grant_serving(&another_pool(&env.db), &role);
    wait_until_blocked(&env).await;
    let reader = env.db.client().await;
    for table in ["whoop_call_budget", "whoop_users", "whoop_sleep"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let read = timeout(LONGEST_READ, reader.query(&sql, &[])).await;
        assert!(read.is_ok_and(|rows| rows.is_ok()), "{table} can be read");
    }
    backup.batch_execute("ROLLBACK").await.unwrap();

    assert_eq!(waiting.await.unwrap().unwrap()[0].name, role);
    let policies = "SELECT count(*)::TEXT FROM pg_policy WHERE polname = 'whoop_serves_' || $1";
    let policies = reader.query_one(policies, &[&role]).await.unwrap();
    let tables = "SELECT count(*)::TEXT FROM whoop_serving_tables()";
    let tables = reader.query_one(tables, &[]).await.unwrap();
    assert_eq!(policies.get::<_, String>(0), tables.get::<_, String>(0));
    drop_role(&env, &role).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_continue_while_a_migration_waits_for_a_backup() {
    let env = TestEnv::new().await;
    let backup = backup(&env).await;

    let database = another_pool(&env.db);
    let waiting = tokio::spawn(async move { migrate::revert_all(&database).await });
    wait_until_blocked(&env).await;
    let reader = env.db.client().await;
    let read = reader.query("SELECT count(*) FROM whoop_cycle", &[]);
    let read = timeout(LONGEST_READ, read).await;
    assert!(read.is_ok_and(|rows| rows.is_ok()), "cycles can be read");
    backup.batch_execute("ROLLBACK").await.unwrap();

    assert!(!waiting.await.unwrap().unwrap().migrations.is_empty());
}
