//! Executes Diesel's statements on a PostgreSQL connection.
//!
//! The connection type of `diesel-async` prepares every statement under a name and sends the values
//! separately. A pooler in transaction mode may send the two parts to different server connections,
//! and the second one does not know the name. The connection type of this module either caches a
//! prepared statement, if the pooler allows this, or sends the statement together with its values.

mod error;
mod row;
mod statement;

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use diesel::{
    ConnectionError, ConnectionResult, QueryResult,
    connection::{CacheSize, Instrumentation, InstrumentationEvent},
    pg::{Pg, PgNotification},
    query_builder::{AsQuery, QueryFragment, QueryId},
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection,
    TransactionManager, pooled_connection::PoolableConnection,
};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::AbortHandle,
    time::Instant,
};
use tokio_postgres::{AsyncMessage, Client, RowStream, Statement};

use self::{
    error::to_diesel_error,
    row::{PgRow, RowBuilder},
    statement::BoundStatement,
};
use crate::{PoolerMode, connect::ServerAddress};

/// Duration above which a statement is logged as slow.
const SLOW_STATEMENT: Duration = Duration::from_millis(500);

/// Maximum number of characters of a statement in the log.
const LONGEST_SHOWN: usize = 200;

/// A connection to PostgreSQL on which Diesel's queries run.
pub struct PgConnection {
    client: Client,
    /// Prepared statements by their text; `None` if the pooler does not allow prepared statements.
    statement_cache: Option<Mutex<HashMap<String, Statement>>>,
    transactions: AnsiTransactionManager,
    notifications: mpsc::UnboundedReceiver<PgNotification>,
    /// Handle of the task that reads and writes the socket.
    driver: AbortHandle,
    instrumentation: NoInstrumentation,
}

impl PgConnection {
    pub(crate) async fn from_client<S, T>(
        client: Client,
        connection: tokio_postgres::Connection<S, T>,
        pooler: PoolerMode,
    ) -> ConnectionResult<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, notifications) = mpsc::unbounded_channel();
        let driver = tokio::spawn(drive(connection, sender)).abort_handle();
        let conn = Self {
            client,
            statement_cache: new_statement_cache(pooler == PoolerMode::Session),
            transactions: AnsiTransactionManager::default(),
            notifications,
            driver,
            instrumentation: NoInstrumentation,
        };
        // Poolers remember this setting of a client and apply it to each server connection that
        // they assign to the client.
        conn.client
            .batch_execute("SET TIME ZONE 'UTC'")
            .await
            .map_err(|error| ConnectionError::CouldntSetupConfiguration(to_diesel_error(error)))?;
        Ok(conn)
    }

    /// Waits for the next notification; returns `None` when the connection is lost.
    pub(crate) async fn next_notification(&mut self) -> Option<PgNotification> {
        self.notifications.recv().await
    }

    async fn run_statement(&self, bound: BoundStatement) -> QueryResult<RowStream> {
        let BoundStatement {
            sql,
            types,
            values,
            is_cacheable,
        } = bound;
        tracing::trace!(statement = one_line(&sql), "executing statement");
        let started = Instant::now();
        let rows = match &self.statement_cache {
            Some(cache) if is_cacheable => {
                let cached = cache
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&sql)
                    .filter(|cached| cached.params() == types)
                    .cloned();
                let statement = match cached {
                    Some(statement) => statement,
                    None => {
                        let prepared = self.client.prepare_typed(&sql, &types).await;
                        let prepared = prepared.map_err(to_diesel_error)?;
                        cache
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(sql.clone(), prepared.clone());
                        prepared
                    }
                };
                self.client.query_raw(&statement, values).await
            }
            _ => {
                let values = values.into_iter().zip(types);
                self.client.query_typed_raw(&sql, values).await
            }
        };
        log_if_slow(&sql, started.elapsed());
        rows.map_err(to_diesel_error)
    }

    fn load_rows(
        &self,
        bound: QueryResult<BoundStatement>,
    ) -> BoxFuture<'_, QueryResult<PgRowStream>> {
        async move {
            let mut builder = RowBuilder::default();
            let row_stream = self.run_statement(bound?).await?;
            Ok(row_stream
                .map(move |row| row.map(|row| builder.build(row)).map_err(to_diesel_error))
                .boxed())
        }
        .boxed()
    }

    fn affected_rows(
        &self,
        bound: QueryResult<BoundStatement>,
    ) -> BoxFuture<'_, QueryResult<usize>> {
        async move {
            let mut row_stream = pin!(self.run_statement(bound?).await?);
            while row_stream
                .try_next()
                .await
                .map_err(to_diesel_error)?
                .is_some()
            {}
            let count = row_stream.rows_affected().unwrap_or_default();
            usize::try_from(count)
                .map_err(|error| diesel::result::Error::DeserializationError(error.into()))
        }
        .boxed()
    }
}

/// Logs the text of a slow statement, without its values.
fn log_if_slow(sql: &str, elapsed: Duration) {
    if elapsed < SLOW_STATEMENT {
        return;
    }
    let statement: String = one_line(sql).chars().take(LONGEST_SHOWN).collect();
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(millis, statement, "slow statement, or a wait for a lock");
}

fn one_line(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words.join(" ")
}

type PgRowStream = BoxStream<'static, QueryResult<PgRow>>;

fn new_statement_cache(is_enabled: bool) -> Option<Mutex<HashMap<String, Statement>>> {
    is_enabled.then(Mutex::default)
}

/// Reads and writes the socket until the connection ends, and forwards notifications.
async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    sender: mpsc::UnboundedSender<PgNotification>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    // An error ends the loop; later statements on this connection then fail.
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(notification) = message {
            // Sending fails if the receiver was dropped, and most connections listen to no channel.
            let _ = sender.send(PgNotification {
                process_id: notification.process_id(),
                channel: notification.channel().to_owned(),
                payload: notification.payload().to_owned(),
            });
        }
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        // The task has to be aborted. Otherwise a statement that waits for a lock would continue to
        // wait after the client is dropped, and its transaction would stay open.
        self.driver.abort();
    }
}

/// Instrumentation that ignores Diesel's reports about statements.
struct NoInstrumentation;

impl Instrumentation for NoInstrumentation {
    fn on_connection_event(&mut self, _: InstrumentationEvent<'_>) {}
}

impl SimpleAsyncConnection for PgConnection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.client
            .batch_execute(query)
            .await
            .map_err(to_diesel_error)
    }
}

impl SimpleAsyncConnection for &PgConnection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.client
            .batch_execute(query)
            .await
            .map_err(to_diesel_error)
    }
}

impl AsyncConnectionCore for PgConnection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = PgRowStream;
    type Row<'conn, 'query> = PgRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        self.load_rows(BoundStatement::from_query(&source.as_query()))
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.affected_rows(BoundStatement::from_query(&source))
    }
}

/// Runs several statements concurrently on a shared connection. The statements are sent together in
/// one round trip.
impl<'a> AsyncConnectionCore for &'a PgConnection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'a, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'a, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = PgRowStream;
    type Row<'conn, 'query> = PgRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        self.load_rows(BoundStatement::from_query(&source.as_query()))
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.affected_rows(BoundStatement::from_query(&source))
    }
}

impl AsyncConnection for PgConnection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(url: &str) -> ConnectionResult<Self> {
        let address = ServerAddress::parse(url, PoolerMode::Session)
            .map_err(|error| ConnectionError::InvalidConnectionUrl(error.to_string()))?;
        address.establish().await
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.instrumentation
    }

    fn set_instrumentation(&mut self, _: impl Instrumentation) {}

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.statement_cache = new_statement_cache(!matches!(size, CacheSize::Disabled));
    }
}

impl PoolableConnection for PgConnection {
    fn is_broken(&mut self) -> bool {
        AnsiTransactionManager::is_broken_transaction_manager(self) || self.client.is_closed()
    }
}
