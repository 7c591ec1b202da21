use std::sync::OnceLock;

use url::Url;

use crate::{Environment, PrivatePostgres, StartError, sweep};

/// The server that databases are made on.
#[non_exhaustive]
pub enum Server {
    Private(PrivatePostgres),
    /// Somebody's server, named by `DATABASE_URL`; others may be using it too.
    Shared(Url),
}

impl Server {
    /// The server of `DATABASE_URL`, or a private one where that is not set.
    pub fn from_environment() -> Result<Self, StartError> {
        Self::from(&Environment::from_process())
    }

    pub fn from(environment: &Environment) -> Result<Self, StartError> {
        let Some(url) = &environment.database_url else {
            return PrivatePostgres::start_in(environment, None).map(Self::Private);
        };
        Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
            .map(Self::Shared)
            .ok_or(StartError::DatabaseUrl)
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
    pub async fn sweep(&self) -> Result<(), tokio_postgres::Error> {
        sweep::leftovers(self).await
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
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Result<Server, StartError>> = OnceLock::new();
    match SERVER.get_or_init(Server::from_environment) {
        Ok(server) => server,
        Err(error) => match std::error::Error::source(error) {
            Some(source) => panic!("{error}: {source}"),
            None => panic!("{error}"),
        },
    }
}
