use std::{fmt, time::Duration};

use deadpool::managed::{Object, PoolError, Timeouts};
use diesel::{ConnectionError, QueryableByName, sql_types::Integer};
use diesel_async::{
    RunQueryDsl, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool,
    },
};
use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    PgConnection, StorageError,
    connect::{ServerAddress, ServerVerification},
};

/// A connection from the pool. It returns to the pool when it is dropped.
pub type PooledConnection = Object<AsyncDieselConnectionManager<PgConnection>>;

/// Timeout for each step of getting a connection: waiting for a free one, opening a new one, and
/// checking a used one.
///
/// After the timeout, [`Database::get`] fails with [`StorageError::Unavailable`].
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the connections to PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Address as `postgres://…`, with optional `sslmode` and `sslrootcert`.
    pub url: SecretString,
    /// Maximum number of connections in the pool of this process.
    pub pool_size: usize,
    pub pooler: PoolerMode,
}

/// Mode of the connection pooler between this process and PostgreSQL, as set by `DATABASE_POOLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolerMode {
    /// No pooler, or a pooler that assigns a server connection to a client until the client
    /// disconnects.
    Session,
    /// A pooler that assigns a server connection to a client for one transaction only. Prepared
    /// statements and `LISTEN` do not work through it.
    Transaction,
}

impl PoolerMode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

/// Numbers of connections in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    pub in_use: usize,
    pub idle: usize,
    /// Number of callers that wait for a connection.
    pub waiting: usize,
    pub max: usize,
}

/// Connection pool for the PostgreSQL database with the members' data.
#[derive(Clone)]
pub struct Database {
    pool: Pool<PgConnection>,
    address: ServerAddress,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Creates the pool. The first connection is opened when it is needed.
    ///
    /// # Errors
    ///
    /// [`StorageError::Config`] if the address is invalid.
    pub fn new(config: &DatabaseConfig) -> Result<Self, StorageError> {
        Self::with_statement_timeout(config, None)
    }

    /// Creates the pool like [`Database::new`], and lets PostgreSQL cancel each statement that runs
    /// longer than `statement_timeout`.
    ///
    /// Behind a pooler in transaction mode the timeout is not set, because it would also apply to
    /// other clients of the same server connection. In this case, set `statement_timeout` for the
    /// database role instead.
    ///
    /// # Errors
    ///
    /// The same as [`Database::new`].
    pub fn with_statement_timeout(
        config: &DatabaseConfig,
        statement_timeout: Option<Duration>,
    ) -> Result<Self, StorageError> {
        let limit = statement_timeout
            .filter(|_| config.pooler == PoolerMode::Session)
            .map(|limit| format!("SET statement_timeout = {}", limit.as_millis()));
        let address = ServerAddress::parse(config.url.expose_secret(), config.pooler)?;
        let mut manager = ManagerConfig::default();
        // With `Fast`, the pool sends no test query when it hands out a connection. A test query
        // would double the number of round trips of a single read.
        manager.recycling_method = RecyclingMethod::Fast;
        let server = address.clone();
        manager.custom_setup = Box::new(move |_| {
            let (server, limit) = (server.clone(), limit.clone());
            async move {
                let mut conn = server.establish().await?;
                if let Some(limit) = limit {
                    conn.batch_execute(&limit)
                        .await
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(conn)
            }
            .boxed()
        });
        // The manager requires a URL, but the setup function above does not use it.
        let manager = AsyncDieselConnectionManager::new_with_config("postgres://", manager);
        let pool = Pool::builder(manager)
            .max_size(config.pool_size.max(1))
            .timeouts(Timeouts {
                wait: Some(CONNECTION_TIMEOUT),
                create: Some(CONNECTION_TIMEOUT),
                recycle: Some(CONNECTION_TIMEOUT),
            })
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| StorageError::Config(error.to_string()))?;
        Ok(Self { pool, address })
    }

    /// Checks an address without connecting to the server: the parts of the address, and the file
    /// with the root certificate if the address names one.
    ///
    /// # Errors
    ///
    /// The reason, which contains no part of the password.
    pub fn check_address(url: &str) -> Result<(), String> {
        match ServerAddress::parse(url, PoolerMode::Session) {
            Ok(_) => Ok(()),
            Err(StorageError::Config(reason)) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns whether, and by which `sslmode`, connections verify the server's identity.
    pub fn server_verification(&self) -> ServerVerification {
        self.address.verification()
    }

    /// Returns the current numbers of connections in the pool.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
            max: status.max_size,
        }
    }

    /// Returns the maximum number of connections in the pool of this process.
    pub fn max_connections(&self) -> usize {
        self.pool.status().max_size
    }

    /// Takes a connection from the pool, and waits at most five seconds for a free one.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable, or every connection is in use.
    pub async fn get(&self) -> Result<PooledConnection, StorageError> {
        self.pool.get().await.map_err(|error| {
            StorageError::Unavailable(match error {
                PoolError::Backend(error) => error.into(),
                other => other.into(),
            })
        })
    }

    /// Opens a connection outside the pool, such as for migrations.
    pub(crate) async fn connect_dedicated(&self) -> Result<PgConnection, StorageError> {
        self.address
            .establish()
            .await
            .map_err(|error| StorageError::Unavailable(error.into()))
    }

    /// Returns whether two client connections share one server connection, which shows that a
    /// pooler in transaction mode is in use.
    ///
    /// `false` is not certain: a pooler in transaction mode may have assigned a second free server
    /// connection.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn shares_connections(&self) -> Result<bool, StorageError> {
        let (mut one, mut other) = (
            self.connect_dedicated().await?,
            self.connect_dedicated().await?,
        );
        Ok(backend_of(&mut one).await? == backend_of(&mut other).await?)
    }

    /// Checks that PostgreSQL is reachable and has every migration of this build.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unreachable or a migration is missing; the error distinguishes the two.
    pub async fn check(&self) -> Result<(), StorageError> {
        let mut conn = self.get().await?;
        diesel::sql_query("SELECT 1").execute(&mut conn).await?;
        crate::migrate::check_applied(&mut conn).await
    }
}

#[derive(QueryableByName)]
struct BackendPidRow {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

async fn backend_of(conn: &mut PgConnection) -> Result<i32, StorageError> {
    let backend: BackendPidRow = diesel::sql_query("SELECT pg_backend_pid() AS pid")
        .get_result(conn)
        .await?;
    Ok(backend.pid)
}
