use std::io;
use std::path::PathBuf;

use tokio::sync::OnceCell;
use tokio_postgres::{Client, Error};

use whoop_storage::PoolerMode;

use crate::server::pooler;
use crate::{DatabaseServer, admin, random, server, sweep, template};

/// A database for one test, dropped at the end of the test.
pub struct TestDb {
    server: &'static DatabaseServer,
    name: String,
    url: String,
    pooled: Option<String>,
}

/// Reason why a test got no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestDbError {
    #[error(
        "could not connect to the server; a server in DATABASE_URL has to accept connections \
         without TLS (`sslmode=disable` or `prefer`), because tests do not use TLS"
    )]
    Connect(#[source] Error),
    #[error("could not create a database; the role in DATABASE_URL needs CREATEDB")]
    Create(#[source] Error),
    #[error("could not prepare the migrated template database")]
    Template(#[source] Error),
    #[error("the migrations could not be applied")]
    Migrate(#[source] whoop_storage::StorageError),
    #[error("could not read the migrations in {}", folder.display())]
    ReadMigrations { folder: PathBuf, source: io::Error },
}

impl TestDb {
    /// Creates a database with the newest schema and no rows.
    ///
    /// # Panics
    ///
    /// With the reason, if the database cannot be created, because a test cannot continue without
    /// it.
    pub async fn new() -> Self {
        Self::unwrap_or_panic(Self::migrated().await)
    }

    /// Creates an empty database, for tests of the migrations themselves.
    ///
    /// # Panics
    ///
    /// Like [`TestDb::new`].
    pub async fn empty() -> Self {
        let server = started_server().await;
        Self::unwrap_or_panic(Self::copy_of(server, "template0".to_owned()).await)
    }

    /// Returns the address for the code under test: that of the pooler if tests go through one.
    pub fn url(&self) -> &str {
        self.pooled.as_ref().unwrap_or(&self.url)
    }

    /// Returns the address without a pooler, for statements that a pooler does not support, such as
    /// LISTEN.
    pub fn direct_url(&self) -> &str {
        &self.url
    }

    /// Returns the mode of the pooler in front of [`TestDb::url`].
    pub fn pooler(&self) -> PoolerMode {
        match self.pooled {
            Some(_) => PoolerMode::Transaction,
            None => PoolerMode::Session,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a connection for statements with which a test checks or prepares data; never through a
    /// pooler.
    ///
    /// # Panics
    ///
    /// If the server that created the database a moment ago cannot be reached.
    pub async fn client(&self) -> Client {
        match admin::connect(&self.url).await {
            Ok(client) => client,
            Err(error) => panic!("could not connect to {}: {error}", self.name),
        }
    }

    async fn migrated() -> Result<Self, TestDbError> {
        // Done once per process. A failure is not stored, so that each test reports it.
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();

        let server = started_server().await;
        let template = TEMPLATE
            .get_or_try_init(|| admin::run(template::ensure(server)))
            .await?;
        Self::copy_of(server, template.clone()).await
    }

    async fn copy_of(
        server: &'static DatabaseServer,
        template: String,
    ) -> Result<Self, TestDbError> {
        let name = admin::run(create_database(server, template)).await?;
        let url = server.url(&name);
        let pooled = run_blocking(pooler).await.map(|pooler| pooler.url(&url));
        Ok(Self {
            server,
            name,
            url,
            pooled,
        })
    }

    fn unwrap_or_panic(outcome: Result<Self, TestDbError>) -> Self {
        outcome.unwrap_or_else(|error| match std::error::Error::source(&error) {
            Some(source) => panic!("{error}: {}", error_chain(source)),
            None => panic!("{error}"),
        })
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let admin_url = self.server.admin_url();
        let name = std::mem::take(&mut self.name);
        let drop_database = async move {
            // Errors are ignored: on a shared server a later sweep drops the database, and a
            // private server is removed with all its databases.
            if let Ok(client) = admin::connect(&admin_url).await {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let _ = client.batch_execute(&statement).await;
            }
        };
        match self.server {
            // PostgreSQL takes 0.1 s if a connection is still open. Neither the next test nor the
            // end of the process has to wait for that.
            DatabaseServer::Private(_) => admin::spawn(drop_database),
            DatabaseServer::Shared(_) => admin::block_on(drop_database),
        }
    }
}

async fn started_server() -> &'static DatabaseServer {
    static SWEPT: OnceCell<()> = OnceCell::const_new();

    let server = run_blocking(server).await;
    if matches!(server, DatabaseServer::Shared(_)) {
        SWEPT
            .get_or_init(|| async {
                // The next statement reports whatever makes this fail.
                let _ = admin::run(sweep::drop_leftovers(server)).await;
            })
            .await;
    }
    server
}

async fn run_blocking<T: Send + 'static>(start: fn() -> T) -> T {
    match tokio::task::spawn_blocking(start).await {
        Ok(started) => started,
        // The runtime shuts down only when no test runs on it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Creates a database with the current date of the server's clock in its name.
async fn create_database(server: &DatabaseServer, template: String) -> Result<String, TestDbError> {
    let client = admin::connect(&server.admin_url())
        .await
        .map_err(TestDbError::Connect)?;
    let row = client
        .query_one("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')", &[])
        .await
        .map_err(TestDbError::Create)?;
    let day: &str = row.get(0);
    let name = format!("whoop_test_{day}_{}", random::hex::<8>());
    client
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
        .await
        .map_err(TestDbError::Create)?;
    Ok(name)
}

fn error_chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", error_chain(source)),
        None => error.to_string(),
    }
}
