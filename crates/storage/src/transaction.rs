use std::ops::{Deref, DerefMut};

use diesel_async::{AsyncConnection, AsyncPgConnection, TransactionManager};

use crate::{Connection, Database, StorageError};

type Manager = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// A transaction: committed by [`Transaction::commit`], otherwise rolled back.
///
/// Dropped without either, as when its task is cancelled, the connection is
/// closed instead of going back to the pool, and PostgreSQL rolls back.
pub struct Transaction(Connection);

impl Database {
    /// Opens a transaction on a connection of the pool.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away, or every connection is taken.
    pub async fn begin(&self) -> Result<Transaction, StorageError> {
        let mut conn = self.get().await?;
        Manager::begin_transaction(&mut *conn).await?;
        Ok(Transaction(conn))
    }
}

impl Transaction {
    /// Makes everything done through it last.
    ///
    /// # Errors
    ///
    /// PostgreSQL refused or is gone; then nothing was done.
    pub async fn commit(mut self) -> Result<(), StorageError> {
        Ok(Manager::commit_transaction(&mut *self.0).await?)
    }

    /// Undoes everything done through it, and gives the connection back.
    ///
    /// # Errors
    ///
    /// PostgreSQL is gone; then nothing was done either.
    pub async fn rollback(mut self) -> Result<(), StorageError> {
        Ok(Manager::rollback_transaction(&mut *self.0).await?)
    }
}

impl Deref for Transaction {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.0
    }
}
