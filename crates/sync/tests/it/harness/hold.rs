//! Stops a sync of the service at a point that the test chooses.

use std::time::Duration;

use whoop_core::DataType;

use super::{Member, Stage};

/// A lock on the row of a stored record.
///
/// A sync that reads this record again fetches the page and then waits, because its transaction
/// cannot store the record. It continues after `release`.
pub(crate) struct Hold(tokio_postgres::Client);

impl Hold {
    pub(crate) async fn row(stage: &Stage, member: &Member, data_type: DataType, id: &str) -> Self {
        let client = stage.db.client().await;
        client.batch_execute("BEGIN").await.unwrap();
        let user = member.user_id.as_str();
        let sql =
            format!("SELECT 1 FROM whoop_{data_type} WHERE user_id = $1 AND id = $2 FOR UPDATE");
        let held = client.execute(&sql, &[&user, &id]).await.unwrap();
        assert_eq!(held, 1, "no stored {data_type} has this id");
        Self(client)
    }

    pub(crate) async fn release(self) {
        self.0.batch_execute("COMMIT").await.unwrap();
    }
}

impl Stage {
    /// Waits until a transaction of the service is waiting for a lock.
    pub(crate) async fn until_a_transaction_waits(&self) {
        super::until("a transaction waits for a row", || async {
            let waiting = self
                .sql
                .query(
                    "SELECT 1 FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'",
                    &[],
                )
                .await
                .unwrap();
            if waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            !waiting.is_empty()
        })
        .await;
    }
}
