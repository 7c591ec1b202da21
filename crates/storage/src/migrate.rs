//! Applies `migrations/`; the one place that changes the schema.
//!
//! Several migrators at once take turns through an advisory lock that belongs
//! to a transaction, so it works behind every pooler and goes with its holder.

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

/// "whoop" in ASCII: any number that nobody else picks.
const ADVISORY_LOCK_KEY: i64 = 0x77_68_6f_6f_70;

/// Waiting happens here and not in PostgreSQL: a waiter inside a blocking lock
/// holds a snapshot, and building an index concurrently would wait for it.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What a run of [`apply`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Names of the migrations applied just now, in order.
    pub migrations: Vec<String>,
    /// Tables and functions of an older service that were renamed, as
    /// `(before, after)`; told at every run until they are gone.
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

/// Brings the schema up to this build; does nothing where it already is.
///
/// # Errors
///
/// The server is away, or a migration was refused (it is rolled back whole).
pub async fn apply(database: &Database) -> Result<MigrationReport, StorageError> {
    run(database, MigrationDirection::Up).await
}

/// Takes every migration back, newest first. The members' records go with it.
///
/// # Errors
///
/// As [`apply`].
pub async fn revert_all(database: &Database) -> Result<MigrationReport, StorageError> {
    run(database, MigrationDirection::Down).await
}

#[derive(Clone, Copy)]
enum MigrationDirection {
    Up,
    Down,
}

/// A transaction that nobody else who changes the schema is in; it ends with
/// its connection.
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
        // Waiters inside a transaction would keep a pooler's connections, of which
        // whoever has the lock needs one more.
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
    // Diesel's harness blocks, and panics on a current-thread runtime unless it
    // stands on a thread that may block.
    let migrations = tokio::task::spawn_blocking(move || {
        let _runtime = runtime.enter();
        run_steps(&mut AsyncMigrationHarness::new(worker), direction)
    })
    .await
    .map_err(|error| StorageError::Migration(error.to_string()))?
    .map_err(|error| migration_error(error.to_string()))?;

    let set_aside = match direction {
        MigrationDirection::Up => list_renamed_objects(&mut lock).await?,
        MigrationDirection::Down => Vec::new(),
    };
    lock.batch_execute("COMMIT").await?;
    Ok(MigrationReport {
        migrations: migration_names(&migrations),
        renamed_objects: set_aside,
    })
}

/// Applies or reverts one migration after the other, each in a transaction of its own.
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

/// Repeats a step while other transactions hold the tables that it changes. A failed attempt is
/// rolled back whole.
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

/// The type of the harness' error is private to it, so the code in its text decides.
fn is_lock_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    let text = error.to_string();
    let mut lines = text.lines().filter_map(sqlstate::code_of);
    lines.any(sqlstate::is_lock_conflict)
}

/// The migrations of this build, each with a limit on its wait for a lock.
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

/// What Diesel's harness says is a text, and may be of the pooler's doing.
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
        .map(|one| (one.original, one.renamed))
        .collect())
}

/// Diesel reports versions; people read names.
fn migration_names(versions: &[String]) -> Vec<String> {
    versions
        .iter()
        .map(|version| {
            known_migrations()
                .into_iter()
                .find(|(known, _)| known == version)
                .map_or_else(|| version.clone(), |(_, name)| name)
        })
        .collect()
}

/// Version and name of every migration of this build.
fn known_migrations() -> Vec<(String, String)> {
    MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .unwrap_or_default()
        .iter()
        .map(|one| (one.name().version().to_string(), one.name().to_string()))
        .collect()
}

/// Whether every migration of this build is there.
///
/// One more than this build knows is fine: an older binary serves on while a
/// newer schema rolls out.
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
    let lacking: Vec<String> = known_migrations()
        .into_iter()
        .filter(|(version, _)| !applied.iter().any(|one| &one.version == version))
        .map(|(_, name)| name)
        .collect();
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(StorageError::NotMigrated(lacking.join(", ")))
    }
}
