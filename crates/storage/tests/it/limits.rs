//! The statement timeout cancels slow statements, but only if it was configured.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use secrecy::SecretString;
use whoop_storage::{Database, DatabaseConfig, StorageError};

use crate::stand::Stand;

fn config(stand: &Stand) -> DatabaseConfig {
    DatabaseConfig {
        url: SecretString::from(stand.db.direct_url()),
        pool_size: 1,
        pooler: whoop_storage::PoolerMode::Session,
    }
}

async fn sleep_in(database: &Database) -> Result<(), StorageError> {
    let mut conn = database.get().await?;
    Ok(conn.batch_execute("SELECT pg_sleep(0.3)").await?)
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_may_be_tried_again() {
    let stand = Stand::new().await;
    let limit = Some(Duration::from_millis(50));
    let hurried = Database::with_statement_timeout(&config(&stand), limit).unwrap();
    let patient = Database::new(&config(&stand)).unwrap();

    let error = sleep_in(&hurried).await.unwrap_err();

    assert!(error.is_transient(), "{error:?}");
    sleep_in(&patient).await.unwrap();
}
