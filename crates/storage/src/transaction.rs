use std::ops::{Deref, DerefMut};

use diesel_async::{AsyncConnection, TransactionManager};

use crate::{Database, PgConnection, PooledConnection, StorageError};

type PgTransactionManager = <PgConnection as AsyncConnection>::TransactionManager;

/// A transaction: committed by [`Transaction::commit`], otherwise rolled back.
///
/// Dropped without either, as when its task is cancelled, the connection is
/// closed instead of going back to the pool, and PostgreSQL rolls back.
pub struct Transaction(Option<PooledConnection>);

const CONNECTION_PRESENT: &str =
    "only commit, rollback and drop take it, and nothing comes after them";

impl Database {
    /// Opens a transaction on a connection of the pool.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away, or every connection is taken.
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        let mut transaction = Transaction(Some(self.get().await?));
        PgTransactionManager::begin_transaction(&mut *transaction).await?;
        Ok(transaction)
    }
}

impl Transaction {
    /// Makes everything done through it last.
    ///
    /// # Errors
    ///
    /// PostgreSQL refused or is gone; then nothing was done.
    pub async fn commit(mut self) -> Result<(), StorageError> {
        PgTransactionManager::commit_transaction(&mut *self).await?;
        self.0 = None;
        Ok(())
    }

    /// Undoes everything done through it, and gives the connection back.
    ///
    /// # Errors
    ///
    /// PostgreSQL is gone; then nothing was done either.
    pub async fn rollback(mut self) -> Result<(), StorageError> {
        PgTransactionManager::rollback_transaction(&mut *self).await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // The pool looks at a connection only when somebody wants it again. Until
        // then it would keep the transaction open, and the member's turn with it.
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
