//! Applies the migrations in `migrations/`. No other module changes the schema.
//!
//! Processes that migrate at the same time exclude each other through an advisory lock. The lock
//! belongs to a transaction. Therefore it works behind every pooler, and is released when the
//! connection of its holder ends.

use std::time::Duration;

use diesel::{
    QueryableByName,
    connection::BoxableConnection,
    migration::{
        self, Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion,
    },
    pg::Pg,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{
    Database, PgConnection, StorageError,
    lock_retry::{LockRetry, SET_LOCK_TIMEOUT},
    sqlstate,
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Key of the advisory lock: "whoop" in ASCII, which other applications are unlikely to use.
const ADVISORY_LOCK_KEY: i64 = 0x77_68_6f_6f_70;

/// Interval between two attempts to take the advisory lock.
///
/// This process polls, because a session that waits for the lock inside PostgreSQL holds a
/// snapshot. `CREATE INDEX CONCURRENTLY` in a migration of the lock's holder would wait until that
/// snapshot is released.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Result of [`apply`] and of [`revert_all`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations that this run applied or reverted, in order.
    pub migrations: Vec<String>,
    /// Renamed tables and functions of the legacy service as `(before, after)`. Every run of
    /// [`apply`] reports all of them; [`revert_all`] reports none.
    pub renamed_objects: Vec<(String, String)>,
}

#[derive(QueryableByName)]
struct AdvisoryLockRow {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct MigrationVersionRow {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct RenamedObjectRow {
    #[diesel(sql_type = Text)]
    original: String,
    #[diesel(sql_type = Text)]
    renamed: String,
}

/// Applies all missing migrations of this build.
///
/// # Errors
///
/// PostgreSQL is unavailable, or a migration failed (it is rolled back completely).
pub async fn apply(database: &Database) -> Result<MigrationReport, StorageError> {
    run(database, MigrationDirection::Up).await
}

/// Reverts every migration, the newest first. This deletes the members' records.
///
/// # Errors
///
/// The same as [`apply`].
pub async fn revert_all(database: &Database) -> Result<MigrationReport, StorageError> {
    run(database, MigrationDirection::Down).await
}

#[derive(Clone, Copy)]
enum MigrationDirection {
    Up,
    Down,
}

/// Opens a transaction that holds the advisory lock for schema changes. The lock is released when
/// the returned connection is closed.
pub(crate) async fn lock_schema(database: &Database) -> Result<PgConnection, StorageError> {
    let mut lock = database.connect_dedicated().await?;
    loop {
        lock.batch_execute("BEGIN").await?;
        let taken: AdvisoryLockRow = diesel::sql_query(format!(
            "SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK_KEY}) AS locked"
        ))
        .get_result(&mut lock)
        .await?;
        if taken.locked {
            return Ok(lock);
        }
        // The transaction is ended before the pause. Behind a pooler, an open transaction occupies
        // a server connection. Waiting migrators could occupy all server connections, although the
        // holder of the lock needs one more.
        lock.batch_execute("ROLLBACK").await?;
        tokio::time::sleep(LOCK_POLL_INTERVAL).await;
    }
}

async fn run(
    database: &Database,
    direction: MigrationDirection,
) -> Result<MigrationReport, StorageError> {
    let mut lock = lock_schema(database).await?;
    let worker = database.connect_dedicated().await?;
    let runtime = tokio::runtime::Handle::current();
    // Diesel's migration harness blocks its thread. It panics on a current-thread runtime unless it
    // runs on a blocking thread.
    let migrations = tokio::task::spawn_blocking(move || {
        let _runtime = runtime.enter();
        run_steps(&mut AsyncMigrationHarness::new(worker), direction)
    })
    .await
    .map_err(|error| StorageError::Migration(error.to_string()))?
    .map_err(|error| migration_error(error.to_string()))?;

    let renamed_objects = match direction {
        MigrationDirection::Up => list_renamed_objects(&mut lock).await?,
        MigrationDirection::Down => Vec::new(),
    };
    lock.batch_execute("COMMIT").await?;
    Ok(MigrationReport {
        migrations: migration_names(&migrations),
        renamed_objects,
    })
}

/// Applies or reverts the migrations one by one, each in its own transaction.
fn run_steps(
    harness: &mut AsyncMigrationHarness<PgConnection>,
    direction: MigrationDirection,
) -> migration::Result<Vec<String>> {
    let mut done = Vec::new();
    match direction {
        MigrationDirection::Up => {
            for migration in harness.pending_migrations(WithLockTimeout(MIGRATIONS))? {
                let version = retry_while_locked(|| harness.run_migration(&*migration))?;
                done.push(version.to_string());
            }
        }
        MigrationDirection::Down => {
            let migrations = WithLockTimeout(MIGRATIONS).migrations()?;
            for version in harness.applied_migrations()? {
                let Some(migration) = migrations.iter().find(|m| m.name().version() == version)
                else {
                    continue;
                };
                let version = retry_while_locked(|| harness.revert_migration(&**migration))?;
                done.push(version.to_string());
            }
        }
    }
    Ok(done)
}

/// Runs a step, and repeats it while other transactions hold locks on the tables that the step
/// changes. A failed attempt is rolled back completely.
fn retry_while_locked(
    mut step: impl FnMut() -> migration::Result<MigrationVersion<'static>>,
) -> migration::Result<MigrationVersion<'static>> {
    let mut retry = LockRetry::default();
    loop {
        let error = match step() {
            Ok(version) => return Ok(version),
            Err(error) => error,
        };
        let pause = retry.next_pause().filter(|_| is_lock_conflict(&*error));
        let Some(pause) = pause else {
            return Err(error);
        };
        tracing::info!(error = %error, ?pause, "migration waits for a table lock");
        std::thread::sleep(pause);
    }
}

/// Returns whether the error is a lock conflict. The error type of Diesel's harness is private, so
/// the SQLSTATE code in the text of the error decides.
fn is_lock_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    let text = error.to_string();
    let mut lines = text.lines().filter_map(sqlstate::code_of);
    lines.any(sqlstate::is_lock_conflict)
}

/// Wrapper around the migrations of this build, which sets a lock timeout before each migration.
struct WithLockTimeout<T>(T);

impl MigrationSource<Pg> for WithLockTimeout<EmbeddedMigrations> {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        let migrations = self.0.migrations()?.into_iter();
        Ok(migrations
            .map(|one| Box::new(WithLockTimeout(one)) as Box<dyn Migration<Pg>>)
            .collect())
    }
}

impl Migration<Pg> for WithLockTimeout<Box<dyn Migration<Pg>>> {
    fn run(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        conn.batch_execute(SET_LOCK_TIMEOUT)?;
        self.0.run(conn)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        conn.batch_execute(SET_LOCK_TIMEOUT)?;
        self.0.revert(conn)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.0.metadata()
    }

    fn name(&self) -> &dyn MigrationName {
        self.0.name()
    }
}

/// Converts an error text of Diesel's harness into a [`StorageError`].
///
/// If the text contains a code for a prepared statement of another connection, a pooler in
/// transaction mode caused the error.
fn migration_error(reason: String) -> StorageError {
    let mut codes = reason.lines().filter_map(sqlstate::code_of);
    match codes.any(sqlstate::is_foreign_statement) {
        true => StorageError::TransactionPooler(reason),
        false => StorageError::Migration(reason),
    }
}

async fn list_renamed_objects(
    conn: &mut PgConnection,
) -> Result<Vec<(String, String)>, StorageError> {
    let renamed: Vec<RenamedObjectRow> = diesel::sql_query(
        "SELECT original, renamed FROM predecessor_set_aside \
         WHERE kind NOT IN ('constraint', 'index') ORDER BY position",
    )
    .load(conn)
    .await?;
    Ok(renamed
        .into_iter()
        .map(|row| (row.original, row.renamed))
        .collect())
}

/// Converts the versions that Diesel reports into the names of the migrations.
fn migration_names(versions: &[String]) -> Vec<String> {
    versions
        .iter()
        .map(|version| {
            known_migrations()
                .into_iter()
                .find(|(known_version, _)| known_version == version)
                .map_or_else(|| version.clone(), |(_, name)| name)
        })
        .collect()
}

/// Returns the version and the name of every migration of this build.
fn known_migrations() -> Vec<(String, String)> {
    MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .unwrap_or_default()
        .iter()
        .map(|one| (one.name().version().to_string(), one.name().to_string()))
        .collect()
}

/// Checks that every migration of this build was applied.
///
/// Additional migrations in the database are accepted. An older binary therefore continues to serve
/// while a newer version is deployed.
pub(crate) async fn check_applied(conn: &mut PgConnection) -> Result<(), StorageError> {
    let applied: Vec<MigrationVersionRow> =
        diesel::sql_query("SELECT version FROM __diesel_schema_migrations")
            .load(conn)
            .await
            .map_err(|error| match StorageError::from(error) {
                StorageError::NotMigrated(_) | StorageError::Query(_) => {
                    StorageError::NotMigrated("none is applied".to_owned())
                }
                other => other,
            })?;
    let missing: Vec<String> = known_migrations()
        .into_iter()
        .filter(|(version, _)| !applied.iter().any(|row| &row.version == version))
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(StorageError::NotMigrated(missing.join(", ")))
    }
}
