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

/// A connection out of the pool; back in it when dropped.
pub type PooledConnection = Object<AsyncDieselConnectionManager<PgConnection>>;

/// How long a caller waits for a connection before it is told to come back.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `postgres://…`; `sslmode` and `sslrootcert` are honoured.
    pub url: SecretString,
    /// Connections this process may hold.
    pub pool_size: usize,
    pub pooler: PoolerMode,
}

/// What stands in front of PostgreSQL; its name is what `DATABASE_POOLER` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolerMode {
    /// Nothing, or a pooler that leaves a connection to whoever opened it.
    Session,
    /// A pooler that gives it to somebody else after each transaction: nothing is
    /// prepared on it, and nothing is listened to.
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

/// How many connections are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    pub in_use: usize,
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
    pub max: usize,
}

/// The pool of connections to the members' PostgreSQL.
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
    /// Makes the pool; connects only when it is first used.
    ///
    /// # Errors
    ///
    /// [`StorageError::Config`] for an address that cannot be one.
    pub fn new(config: &DatabaseConfig) -> Result<Self, StorageError> {
        Self::with_statement_timeout(config, None)
    }

    /// The same, whose statements PostgreSQL ends after so long. Behind a pooler in
    /// transaction mode nothing is set, as it would be others' as well: there it is
    /// the role's own setting.
    ///
    /// # Errors
    ///
    /// As for [`Database::new`].
    pub fn with_statement_timeout(
        config: &DatabaseConfig,
        statement_timeout: Option<Duration>,
    ) -> Result<Self, StorageError> {
        let limit = statement_timeout
            .filter(|_| config.pooler == PoolerMode::Session)
            .map(|limit| format!("SET statement_timeout = {}", limit.as_millis()));
        let address = ServerAddress::parse(config.url.expose_secret(), config.pooler)?;
        let mut manager = ManagerConfig::default();
        // A test query at each checkout would double the round trips of a read.
        manager.recycling_method = RecyclingMethod::Fast;
        let to = address.clone();
        manager.custom_setup = Box::new(move |_| {
            let (to, limit) = (to.clone(), limit.clone());
            async move {
                let mut conn = to.establish().await?;
                if let Some(limit) = limit {
                    conn.batch_execute(&limit)
                        .await
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(conn)
            }
            .boxed()
        });
        // The manager wants a URL; the setup above does not read it.
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

    /// Checks an address without connecting: its parts, and the root certificate that it
    /// names.
    ///
    /// # Errors
    ///
    /// The reason, without a part of the password.
    pub fn check_address(url: &str) -> Result<(), String> {
        match ServerAddress::parse(url, PoolerMode::Session) {
            Ok(_) => Ok(()),
            Err(StorageError::Config(reason)) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Verification of the server's identity by connections.
    pub fn server_verification(&self) -> ServerVerification {
        self.address.verification()
    }

    /// How the pool stands at this moment.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
            max: status.max_size,
        }
    }

    /// Connections that this process may hold.
    pub fn max_connections(&self) -> usize {
        self.pool.status().max_size
    }

    /// A connection, or [`StorageError::Unavailable`] after a bounded wait.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away, or every connection is taken.
    pub async fn get(&self) -> Result<PooledConnection, StorageError> {
        self.pool.get().await.map_err(|error| {
            StorageError::Unavailable(match error {
                PoolError::Backend(error) => error.into(),
                other => other.into(),
            })
        })
    }

    /// A connection outside the pool, for migrations.
    pub(crate) async fn connect_dedicated(&self) -> Result<PgConnection, StorageError> {
        self.address
            .establish()
            .await
            .map_err(|error| StorageError::Unavailable(error.into()))
    }

    /// Whether what is two connections here is one to PostgreSQL, because a pooler in
    /// transaction mode stands between. `false` may be luck: it had another one free.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn shares_connections(&self) -> Result<bool, StorageError> {
        let (mut one, mut other) = (
            self.connect_dedicated().await?,
            self.connect_dedicated().await?,
        );
        Ok(backend_of(&mut one).await? == backend_of(&mut other).await?)
    }

    /// Whether PostgreSQL answers and has every migration of this build.
    ///
    /// # Errors
    ///
    /// It does not; the error says which of the two.
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
