//! Applies, reverts and reapplies `migrations/`, with one migrator or several.

use std::{fs, path::Path};

use whoop_storage::{StorageError, migrate};

use crate::test_env::{TestEnv, another_pool};

/// Returns the folders of `migrations/`, the oldest first.
fn folders() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn script(folder: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    fs::read_to_string(path.join(folder).join(name)).unwrap()
}

#[tokio::test]
async fn reverting_removes_everything_and_applying_again_restores_the_same() {
    let env = TestEnv::empty().await;
    // The roles are created first, because the migrations grant privileges only to existing roles.
    env.create_supabase_roles().await;
    let empty = env.catalogue().await;

    let first = migrate::apply(&env.database).await.unwrap();
    assert_eq!(first.migrations, folders());
    assert_eq!(first.renamed_objects, []);
    let migrated = env.catalogue().await;
    assert!(migrated.len() > 100, "the catalogue contains the tables");

    let down = migrate::revert_all(&env.database).await.unwrap();
    assert_eq!(down.migrations.len(), folders().len());
    assert_eq!(env.catalogue().await, empty);

    migrate::apply(&env.database).await.unwrap();
    assert_eq!(env.catalogue().await, migrated);
}

#[tokio::test]
async fn the_scripts_do_the_same_without_the_migrator() {
    let (env, with_diesel) = (TestEnv::empty().await, TestEnv::empty().await);
    env.create_supabase_roles().await;
    migrate::apply(&with_diesel.database).await.unwrap();
    let empty = env.catalogue().await;
    let client = env.db.client().await;

    for folder in folders() {
        client
            .batch_execute(&script(&folder, "up.sql"))
            .await
            .unwrap();
    }
    assert_eq!(env.catalogue().await, with_diesel.catalogue().await);

    for folder in folders().iter().rev() {
        client
            .batch_execute(&script(folder, "down.sql"))
            .await
            .unwrap();
    }
    assert_eq!(env.catalogue().await, empty);
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let env = TestEnv::new().await;

    let again = migrate::apply(&env.database).await.unwrap();

    assert_eq!(again, migrate::MigrationReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_migrators_at_once_apply_each_migration_once() {
    let env = TestEnv::empty().await;
    let migrators: Vec<_> = (0..8)
        .map(|_| {
            let database = another_pool(&env.db);
            tokio::spawn(async move { migrate::apply(&database).await.unwrap().migrations })
        })
        .collect();

    let mut applied = Vec::new();
    for migrator in migrators {
        applied.push(migrator.await.unwrap());
    }

    assert_eq!(applied.concat(), folders());
    assert_eq!(applied.iter().filter(|names| !names.is_empty()).count(), 1);
    env.database.check().await.unwrap();
}

#[tokio::test]
async fn a_check_names_the_missing_migrations() {
    let env = TestEnv::empty().await;
    let missing_migrations = async || match env.database.check().await {
        Err(StorageError::NotMigrated(missing)) => Some(missing),
        Ok(()) => None,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(
        missing_migrations().await.as_deref(),
        Some("none is applied")
    );

    migrate::apply(&env.database).await.unwrap();
    assert_eq!(missing_migrations().await, None);

    // The database has a migration of a newer build; this build accepts that.
    env.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231235959')")
        .await;
    assert_eq!(missing_migrations().await, None);

    // The database lacks a migration of this build.
    let last = folders().pop().unwrap();
    let version = last.split('_').next().unwrap();
    env.execute(&format!(
        "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"
    ))
    .await;
    assert_eq!(missing_migrations().await, Some(last));
}

#[tokio::test]
async fn a_failed_migration_is_rolled_back() {
    let env = TestEnv::empty().await;
    // A type with a name that the third migration uses and that the first one does not rename.
    env.execute("CREATE TYPE whoop_cycle AS (anything TEXT)")
        .await;
    let before = env.catalogue().await;

    let refused = migrate::apply(&env.database).await;

    assert!(
        matches!(refused, Err(StorageError::Migration(_))),
        "{refused:?}"
    );
    let after = env.catalogue().await;
    assert!(
        after.iter().all(|line| !line.contains("whoop_workout")),
        "{after:?}"
    );
    env.execute("DROP TYPE whoop_cycle").await;
    migrate::apply(&env.database).await.unwrap();
    assert_ne!(env.catalogue().await, before);
}

#[tokio::test]
async fn every_table_and_function_has_a_comment() {
    let env = TestEnv::new().await;

    let undocumented = env
        .rows(
            "SELECT relname FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               AND relname <> '__diesel_schema_migrations'
               AND obj_description(oid, 'pg_class') IS NULL
             UNION ALL
             SELECT proname FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace
               AND obj_description(oid, 'pg_proc') IS NULL",
        )
        .await;

    assert!(undocumented.is_empty(), "{undocumented:?}");
}
