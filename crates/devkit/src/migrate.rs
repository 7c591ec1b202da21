use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use whoop_storage::{Database, DatabaseConfig, PoolerMode};

use crate::{TestDbError, random};

/// Migrates an empty database to the newest schema, as `sync-worker migrate` does.
pub(crate) async fn apply(url: &str) -> Result<(), TestDbError> {
    let database = Database::new(&DatabaseConfig {
        url: SecretString::from(url),
        pool_size: 1,
        pooler: PoolerMode::Session,
    })
    .map_err(TestDbError::Migrate)?;
    whoop_storage::migrate::apply(&database)
        .await
        .map_err(TestDbError::Migrate)?;
    Ok(())
}

/// Returns a hash of all migrations, which changes whenever one of them changes.
pub(crate) fn fingerprint() -> Result<String, TestDbError> {
    let mut digest = Sha256::new();
    for (name, sql) in migration_scripts()? {
        for part in [name, sql] {
            digest.update(part);
            digest.update([0]);
        }
    }
    Ok(random::to_hex(&digest.finalize()[..8]))
}

fn migration_scripts() -> Result<Vec<(String, String)>, TestDbError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    read_scripts(&folder).map_err(|source| TestDbError::ReadMigrations { folder, source })
}

fn read_scripts(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut migrations = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    migrations.retain(|migration| migration.join("up.sql").is_file());
    migrations.sort();
    migrations
        .into_iter()
        .map(|migration| {
            let name = migration
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            fs::read_to_string(migration.join("up.sql")).map(|sql| (name, sql))
        })
        .collect()
}
