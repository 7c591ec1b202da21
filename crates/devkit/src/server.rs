use std::sync::OnceLock;

use url::Url;
use whoop_storage::PoolerMode;

use crate::{Environment, PgBouncer, PostgresStartError, PrivatePostgres, sweep};

/// The server on which databases are created.
#[non_exhaustive]
pub enum DatabaseServer {
    Private(PrivatePostgres),
    /// An existing server, named by `DATABASE_URL`, which other processes may be using, too.
    Shared(Url),
}

impl DatabaseServer {
    /// Returns the server of `DATABASE_URL`, or starts a private one if that is not set.
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

    /// Returns the address of one of its databases.
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

    /// Drops test databases of killed runs that are more than a day old, and templates that were
    /// not used for 30 days.
    ///
    /// Each test process does this once on a shared server.
    pub async fn drop_leftovers(&self) -> Result<(), tokio_postgres::Error> {
        sweep::drop_leftovers(self).await
    }

    /// Returns the address of the database from which others are created and dropped.
    pub fn admin_url(&self) -> String {
        match self {
            Self::Private(postgres) => postgres.url("postgres"),
            Self::Shared(url) => url.as_str().to_owned(),
        }
    }
}

/// Returns this process' server. The first call starts it and blocks meanwhile.
///
/// # Panics
///
/// If it cannot be started. Every call then panics with the reason.
pub fn server() -> &'static DatabaseServer {
    static SERVER: OnceLock<Result<DatabaseServer, PostgresStartError>> = OnceLock::new();
    match SERVER.get_or_init(DatabaseServer::from_environment) {
        Ok(server) => server,
        Err(error) => panic_with_source(error),
    }
}

/// Returns the pooler that tests go through, if `TEST_POOLER=transaction` requests one. The first
/// call blocks while it starts.
///
/// # Panics
///
/// If it cannot be started. Every call then panics with the reason.
pub(crate) fn pooler() -> Option<&'static PgBouncer> {
    static POOLER: OnceLock<Result<Option<PgBouncer>, PostgresStartError>> = OnceLock::new();
    match POOLER.get_or_init(|| start_pooler(&Environment::from_process())) {
        Ok(pooler) => pooler.as_ref(),
        Err(error) => panic_with_source(error),
    }
}

/// Returns the pooler mode of [`TestDb`](crate::TestDb) addresses. The first call blocks while the
/// pooler starts.
///
/// # Panics
///
/// If a pooler is requested and cannot be started.
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
