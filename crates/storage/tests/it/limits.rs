//! The statement timeout cancels slow statements, but only if it was configured.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use secrecy::SecretString;
use whoop_storage::{Database, DatabaseConfig, StorageError};

use crate::test_env::TestEnv;

fn config(env: &TestEnv) -> DatabaseConfig {
    DatabaseConfig {
        url: SecretString::from(env.db.direct_url()),
        pool_size: 1,
        pooler: whoop_storage::PoolerMode::Session,
    }
}

async fn sleep_in(database: &Database) -> Result<(), StorageError> {
    let mut conn = database.get().await?;
    Ok(conn.batch_execute("SELECT pg_sleep(0.3)").await?)
}

#[tokio::test]
async fn a_statement_over_the_timeout_is_cancelled_with_a_transient_error() {
    let env = TestEnv::new().await;
    let limit = Some(Duration::from_millis(50));
    let limited = Database::with_statement_timeout(&config(&env), limit).unwrap();
    let unlimited = Database::new(&config(&env)).unwrap();

    let error = sleep_in(&limited).await.unwrap_err();

    assert!(error.is_transient(), "{error:?}");
    sleep_in(&unlimited).await.unwrap();
}
