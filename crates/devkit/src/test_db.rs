use std::io;
use std::path::PathBuf;

use tokio::sync::OnceCell;
use tokio_postgres::{Client, Error};

use whoop_storage::PoolerMode;

use crate::server::pooler;
use crate::{DatabaseServer, admin, random, server, sweep, template};

/// A database for one test. Dropping the value drops the database.
pub struct TestDb {
    server: &'static DatabaseServer,
    name: String,
    url: String,
    pooled: Option<String>,
}

/// Error because of which a test got no database.
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
    /// Panics with the reason if the database cannot be created, because the test cannot continue
    /// without it.
    pub async fn new() -> Self {
        Self::unwrap_or_panic(Self::migrated().await)
    }

    /// Creates a database without any schema, for tests of the migrations themselves.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`TestDb::new`].
    pub async fn empty() -> Self {
        let server = started_server().await;
        Self::unwrap_or_panic(Self::copy_of(server, "template0".to_owned()).await)
    }

    /// Returns the address for the code under test: the pooler's address if tests connect through a
    /// pooler, otherwise PostgreSQL's.
    pub fn url(&self) -> &str {
        self.pooled.as_ref().unwrap_or(&self.url)
    }

    /// Returns PostgreSQL's own address, even if tests connect through a pooler.
    ///
    /// Some statements, such as LISTEN, do not work through a pooler.
    pub fn direct_url(&self) -> &str {
        &self.url
    }

    /// Returns the pooler mode that a client of [`TestDb::url`] has to use.
    pub fn pooler(&self) -> PoolerMode {
        match self.pooled {
            Some(_) => PoolerMode::Transaction,
            None => PoolerMode::Session,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a direct connection to PostgreSQL, with which a test checks or prepares data.
    ///
    /// # Panics
    ///
    /// Panics if PostgreSQL, which created the database a moment ago, cannot be reached.
    pub async fn client(&self) -> Client {
        match admin::connect(&self.url).await {
            Ok(client) => client,
            Err(error) => panic!("could not connect to {}: {error}", self.name),
        }
    }

    async fn migrated() -> Result<Self, TestDbError> {
        // The template is created once per process. An error is not stored, so that each test
        // reports it.
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
            // Errors are ignored. On a shared server, a later process drops the database, and a
            // private server is removed with all its databases.
            if let Ok(client) = admin::connect(&admin_url).await {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let _ = client.batch_execute(&statement).await;
            }
        };
        match self.server {
            // The drop takes 0.1 s if a connection is still open. It runs in the background,
            // because neither the next test nor the end of the process has to wait for it.
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
                // An error is ignored here. Its cause makes the next statement fail too, and that
                // error is reported.
                let _ = admin::run(sweep::drop_leftovers(server)).await;
            })
            .await;
    }
    server
}

async fn run_blocking<T: Send + 'static>(start: fn() -> T) -> T {
    match tokio::task::spawn_blocking(start).await {
        Ok(started) => started,
        // The task cannot have been cancelled, because a runtime is not shut down while a test runs
        // on it. So the task has panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Creates a database and returns its name, which contains the current date of the server's clock.
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
