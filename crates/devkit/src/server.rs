use std::sync::OnceLock;

use url::Url;
use whoop_storage::PoolerMode;

use crate::{Environment, PgBouncer, PostgresStartError, PrivatePostgres, sweep};

/// The server that databases are made on.
#[non_exhaustive]
pub enum DatabaseServer {
    Private(PrivatePostgres),
    /// Somebody's server, named by `DATABASE_URL`; others may be using it too.
    Shared(Url),
}

impl DatabaseServer {
    /// The server of `DATABASE_URL`, or a private one where that is not set.
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

    /// The address of one of its databases.
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

    /// Drops the databases that killed runs left here long ago.
    ///
    /// Tests do it once a process on a shared server.
    pub async fn drop_leftovers(&self) -> Result<(), tokio_postgres::Error> {
        sweep::drop_leftovers(self).await
    }

    /// The address of the database from which others are made and dropped.
    pub fn admin_url(&self) -> String {
        match self {
            Self::Private(postgres) => postgres.url("postgres"),
            Self::Shared(url) => url.as_str().to_owned(),
        }
    }
}

/// This process' server, started by whoever asks first. Blocks while it starts.
///
/// # Panics
///
/// If there can be none, each caller with the reason.
pub fn server() -> &'static DatabaseServer {
    static SERVER: OnceLock<Result<DatabaseServer, PostgresStartError>> = OnceLock::new();
    match SERVER.get_or_init(DatabaseServer::from_environment) {
        Ok(server) => server,
        Err(error) => panic_with_source(error),
    }
}

/// The pooler that tests go through, if they are to: `TEST_POOLER=transaction`.
/// Blocks while it starts.
///
/// # Panics
///
/// If there can be none, each caller with the reason.
pub(crate) fn pooler() -> Option<&'static PgBouncer> {
    static POOLER: OnceLock<Result<Option<PgBouncer>, PostgresStartError>> = OnceLock::new();
    match POOLER.get_or_init(|| start_pooler(&Environment::from_process())) {
        Ok(pooler) => pooler.as_ref(),
        Err(error) => panic_with_source(error),
    }
}

/// What stands in front of the address of a [`TestDb`](crate::TestDb). Blocks as that does.
///
/// # Panics
///
/// If there is to be a pooler and can be none.
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
