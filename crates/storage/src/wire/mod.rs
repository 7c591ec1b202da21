//! Diesel's statements on their way to PostgreSQL and back.
//!
//! `diesel-async` has a connection as well, but names every statement and sends
//! it apart from its values. A pooler in transaction mode may hand the two to two
//! servers, of which the second has never heard of the name. Here a statement
//! is either prepared and kept, or it travels whole.

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

/// A statement that takes longer is named in the log.
const SLOW_STATEMENT: Duration = Duration::from_millis(500);

/// Of its text so many characters.
const LONGEST_SHOWN: usize = 200;

/// A connection to PostgreSQL, as Diesel's queries are run on.
pub struct PgConnection {
    client: Client,
    /// What is prepared, by its text; `None` where nothing can be kept.
    statement_cache: Option<Mutex<HashMap<String, Statement>>>,
    transactions: AnsiTransactionManager,
    notifications: mpsc::UnboundedReceiver<PgNotification>,
    /// Reads and writes the socket.
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
        let (heard, notifications) = mpsc::unbounded_channel();
        let driver = tokio::spawn(drive(connection, heard)).abort_handle();
        let conn = Self {
            client,
            statement_cache: new_statement_cache(pooler == PoolerMode::Session),
            transactions: AnsiTransactionManager::default(),
            notifications,
            driver,
            instrumentation: NoInstrumentation,
        };
        // Poolers know this setting and take it along from server to server.
        conn.client
            .batch_execute("SET TIME ZONE 'UTC'")
            .await
            .map_err(|error| ConnectionError::CouldntSetupConfiguration(to_diesel_error(error)))?;
        Ok(conn)
    }

    /// The next notification; `None` once the connection is lost.
    pub(crate) async fn next_notification(&mut self) -> Option<PgNotification> {
        self.notifications.recv().await
    }

    async fn run_statement(&self, whole: BoundStatement) -> QueryResult<RowStream> {
        let BoundStatement {
            sql,
            types,
            values,
            is_cacheable: is_always_the_same,
        } = whole;
        tracing::trace!(statement = one_line(&sql), "asks");
        let began = Instant::now();
        let rows = match &self.statement_cache {
            Some(kept) if is_always_the_same => {
                let known = kept
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&sql)
                    .filter(|known| known.params() == types)
                    .cloned();
                let statement = match known {
                    Some(statement) => statement,
                    None => {
                        let new = self.client.prepare_typed(&sql, &types).await;
                        let new = new.map_err(to_diesel_error)?;
                        kept.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(sql.clone(), new.clone());
                        new
                    }
                };
                self.client.query_raw(&statement, values).await
            }
            _ => {
                let values = values.into_iter().zip(types);
                self.client.query_typed_raw(&sql, values).await
            }
        };
        log_if_slow(&sql, began.elapsed());
        rows.map_err(to_diesel_error)
    }

    fn load_rows(
        &self,
        whole: QueryResult<BoundStatement>,
    ) -> BoxFuture<'_, QueryResult<PgRowStream>> {
        async move {
            let mut rows = RowBuilder::default();
            let answer = self.run_statement(whole?).await?;
            Ok(answer
                .map(move |row| row.map(|row| rows.build(row)).map_err(to_diesel_error))
                .boxed())
        }
        .boxed()
    }

    fn affected_rows(
        &self,
        whole: QueryResult<BoundStatement>,
    ) -> BoxFuture<'_, QueryResult<usize>> {
        async move {
            let mut answer = pin!(self.run_statement(whole?).await?);
            while answer.try_next().await.map_err(to_diesel_error)?.is_some() {}
            let count = answer.rows_affected().unwrap_or_default();
            usize::try_from(count)
                .map_err(|error| diesel::result::Error::DeserializationError(error.into()))
        }
        .boxed()
    }
}

/// Names a statement that kept somebody waiting; its values stay unnamed.
fn log_if_slow(sql: &str, took: Duration) {
    if took < SLOW_STATEMENT {
        return;
    }
    let statement: String = one_line(sql).chars().take(LONGEST_SHOWN).collect();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(
        millis,
        statement,
        "a statement was slow, or waited for a lock"
    );
}

fn one_line(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words.join(" ")
}

type PgRowStream = BoxStream<'static, QueryResult<PgRow>>;

fn new_statement_cache(keeps: bool) -> Option<Mutex<HashMap<String, Statement>>> {
    keeps.then(Mutex::default)
}

/// Serves the socket until it ends, and passes on what is heard.
async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    heard: mpsc::UnboundedSender<PgNotification>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    // An error ends it, and whoever asks something after that is told.
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(one) = message {
            // Most connections listen to nothing, and nobody reads here.
            let _ = heard.send(PgNotification {
                process_id: one.process_id(),
                channel: one.channel().to_owned(),
                payload: one.payload().to_owned(),
            });
        }
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        // The client alone would let a statement that waits for a lock wait on,
        // with its transaction open.
        self.driver.abort();
    }
}

/// Diesel reports each statement to somebody; here it is nobody.
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

/// Several questions at once: they travel together, and so do the answers.
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
