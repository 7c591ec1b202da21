use std::sync::OnceLock;

use url::Url;
use whoop_storage::PoolerMode;

use crate::{Environment, PgBouncer, PostgresStartError, PrivatePostgres, sweep};

/// The PostgreSQL server on which this process creates databases.
#[non_exhaustive]
pub enum DatabaseServer {
    Private(PrivatePostgres),
    /// An existing server, named by `DATABASE_URL`. Other processes may use it at the same time.
    Shared(Url),
}

impl DatabaseServer {
    /// Returns the server that `DATABASE_URL` names, or starts a private server if the variable is
    /// not set.
    pub fn from_environment() -> Result<Self, PostgresStartError> {
        Self::from(&Environment::from_process())
    }

    pub fn from(environment: &Environment) -> Result<Self, PostgresStartError> {
        let Some(url) = &environment.database_url else {
            return PrivatePostgres::start_in(environment, None).map(Self::Private);
        };
        Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
            .map(Self::Shared)
            .ok_or(PostgresStartError::DatabaseUrl)
    }

    /// Returns the address of one of the server's databases.
    pub fn url(&self, database: &str) -> String {
        match self {
            Self::Private(postgres) => postgres.url(database),
            Self::Shared(url) => {
                let mut url = url.clone();
                url.set_path(database);
                url.into()
            }
        }
    }

    /// Drops old databases of this crate: test databases that are more than a day old, and
    /// templates that were not used for 30 days.
    ///
    /// A test database is still there after a day only if its process was killed. On a shared
    /// server, each test process calls this once.
    pub async fn drop_leftovers(&self) -> Result<(), tokio_postgres::Error> {
        sweep::drop_leftovers(self).await
    }

    /// Returns the address of the database to which this crate connects to create and drop other
    /// databases.
    pub fn admin_url(&self) -> String {
        match self {
            Self::Private(postgres) => postgres.url("postgres"),
            Self::Shared(url) => url.as_str().to_owned(),
        }
    }
}

/// Returns the PostgreSQL server of this process. The first call starts the server and blocks until
/// the server is ready.
///
/// # Panics
///
/// Panics if the server cannot be started. All later calls then panic with the same reason.
pub fn server() -> &'static DatabaseServer {
    static SERVER: OnceLock<Result<DatabaseServer, PostgresStartError>> = OnceLock::new();
    match SERVER.get_or_init(DatabaseServer::from_environment) {
        Ok(server) => server,
        Err(error) => panic_with_source(error),
    }
}

/// Returns the pooler through which tests connect if `TEST_POOLER=transaction` is set, otherwise
/// `None`.
///
/// The first call starts the pooler and blocks until the pooler is ready.
///
/// # Panics
///
/// Panics if the pooler cannot be started. All later calls then panic with the same reason.
pub(crate) fn pooler() -> Option<&'static PgBouncer> {
    static POOLER: OnceLock<Result<Option<PgBouncer>, PostgresStartError>> = OnceLock::new();
    match POOLER.get_or_init(|| start_pooler(&Environment::from_process())) {
        Ok(pooler) => pooler.as_ref(),
        Err(error) => panic_with_source(error),
    }
}

/// Returns the pooler mode that fits the addresses of [`TestDb`](crate::TestDb).
///
/// If tests connect through a pooler, the first call starts it and blocks until it is ready.
///
/// # Panics
///
/// Panics if a pooler is requested and cannot be started.
pub fn pooler_mode() -> PoolerMode {
    match pooler() {
        Some(_) => PoolerMode::Transaction,
        None => PoolerMode::Session,
    }
}

fn start_pooler(environment: &Environment) -> Result<Option<PgBouncer>, PostgresStartError> {
    match environment.test_pooler.as_deref() {
        None => Ok(None),
        Some("transaction") => {
            let url = server().admin_url().parse();
            PgBouncer::start(
                environment,
                &url.map_err(|_| PostgresStartError::DatabaseUrl)?,
            )
            .map(Some)
        }
        Some(other) => Err(PostgresStartError::TestPooler(other.to_owned())),
    }
}

fn panic_with_source(error: &PostgresStartError) -> ! {
    match std::error::Error::source(error) {
        Some(source) => panic!("{error}: {source}"),
        None => panic!("{error}"),
    }
}
