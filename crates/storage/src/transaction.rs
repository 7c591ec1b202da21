use std::ops::{Deref, DerefMut};

use diesel_async::{AsyncConnection, TransactionManager};

use crate::{Database, PgConnection, PooledConnection, StorageError};

type PgTransactionManager = <PgConnection as AsyncConnection>::TransactionManager;

/// A transaction that is committed by [`Transaction::commit`] and otherwise rolled back.
///
/// A transaction may be dropped without a commit or rollback, such as when its task is cancelled.
/// In this case its connection is closed instead of being returned to the pool, and PostgreSQL
/// rolls back the transaction.
pub struct Transaction(Option<PooledConnection>);

const CONNECTION_PRESENT: &str =
    "only commit, rollback and drop take the connection, and they end the transaction";

impl Database {
    /// Opens a transaction on a connection from the pool.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable, or every connection is in use.
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        let mut transaction = Transaction(Some(self.get().await?));
        PgTransactionManager::begin_transaction(&mut *transaction).await?;
        Ok(transaction)
    }
}

impl Transaction {
    /// Commits all changes of the transaction.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable or rejects the commit; no change is stored then.
    pub async fn commit(mut self) -> Result<(), StorageError> {
        PgTransactionManager::commit_transaction(&mut *self).await?;
        self.0 = None;
        Ok(())
    }

    /// Rolls back all changes of the transaction and returns the connection to the pool.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. In this case no change is stored either.
    pub async fn rollback(mut self) -> Result<(), StorageError> {
        PgTransactionManager::rollback_transaction(&mut *self).await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // The connection is closed, because the pool checks a returned connection only when it
        // hands it out again. Until then, the transaction would stay open and hold its locks, such
        // as the member's row lock.
        if let Some(conn) = self.0.take() {
            drop(PooledConnection::take(conn));
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect(CONNECTION_PRESENT)
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect(CONNECTION_PRESENT)
    }
}
