//! Applies, reverts and reapplies `migrations/`, with one migrator or several.

use std::{fs, path::Path};

use whoop_storage::{StorageError, migrate};

use crate::stand::{Stand, another_pool};

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
async fn down_leaves_nothing_of_ours_and_up_brings_the_same_again() {
    let stand = Stand::empty().await;
    // The roles are created first, because the migrations grant privileges only to existing roles.
    stand.create_supabase_roles().await;
    let empty = stand.catalogue().await;

    let first = migrate::apply(&stand.database).await.unwrap();
    assert_eq!(first.migrations, folders());
    assert_eq!(first.renamed_objects, []);
    let migrated = stand.catalogue().await;
    assert!(migrated.len() > 100, "the listing sees the tables");

    let down = migrate::revert_all(&stand.database).await.unwrap();
    assert_eq!(down.migrations.len(), folders().len());
    assert_eq!(stand.catalogue().await, empty);

    migrate::apply(&stand.database).await.unwrap();
    assert_eq!(stand.catalogue().await, migrated);
}

#[tokio::test]
async fn the_scripts_do_the_same_without_diesel() {
    let (stand, with_diesel) = (Stand::empty().await, Stand::empty().await);
    stand.create_supabase_roles().await;
    migrate::apply(&with_diesel.database).await.unwrap();
    let empty = stand.catalogue().await;
    let client = stand.db.client().await;

    for folder in folders() {
        client
            .batch_execute(&script(&folder, "up.sql"))
            .await
            .unwrap();
    }
    assert_eq!(stand.catalogue().await, with_diesel.catalogue().await);

    for folder in folders().iter().rev() {
        client
            .batch_execute(&script(folder, "down.sql"))
            .await
            .unwrap();
    }
    assert_eq!(stand.catalogue().await, empty);
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let stand = Stand::new().await;

    let again = migrate::apply(&stand.database).await.unwrap();

    assert_eq!(again, migrate::MigrationReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_migrators_at_once_apply_each_migration_once() {
    let stand = Stand::empty().await;
    let migrators: Vec<_> = (0..8)
        .map(|_| {
            let database = another_pool(&stand.db);
            tokio::spawn(async move { migrate::apply(&database).await.unwrap().migrations })
        })
        .collect();

    let mut applied = Vec::new();
    for migrator in migrators {
        applied.push(migrator.await.unwrap());
    }

    assert_eq!(applied.concat(), folders());
    assert_eq!(applied.iter().filter(|names| !names.is_empty()).count(), 1);
    stand.database.check().await.unwrap();
}

#[tokio::test]
async fn a_check_says_what_the_database_lacks() {
    let stand = Stand::empty().await;
    let lacks = async || match stand.database.check().await {
        Err(StorageError::NotMigrated(what)) => Some(what),
        Ok(()) => None,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(lacks().await.as_deref(), Some("none is applied"));

    migrate::apply(&stand.database).await.unwrap();
    assert_eq!(lacks().await, None);

    // The database has a migration of a newer build; this build accepts that.
    stand
        .execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231235959')")
        .await;
    assert_eq!(lacks().await, None);

    // The database lacks a migration of this build.
    let last = folders().pop().unwrap();
    let version = last.split('_').next().unwrap();
    stand
        .execute(&format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"
        ))
        .await;
    assert_eq!(lacks().await, Some(last));
}

#[tokio::test]
async fn a_migration_that_is_refused_leaves_the_database_as_it_was() {
    let stand = Stand::empty().await;
    // A type with a name that the third migration uses and that the first one does not rename.
    stand
        .execute("CREATE TYPE whoop_cycle AS (anything TEXT)")
        .await;
    let before = stand.catalogue().await;

    let refused = migrate::apply(&stand.database).await;

    assert!(
        matches!(refused, Err(StorageError::Migration(_))),
        "{refused:?}"
    );
    let left = stand.catalogue().await;
    assert!(
        left.iter().all(|line| !line.contains("whoop_workout")),
        "{left:?}"
    );
    stand.execute("DROP TYPE whoop_cycle").await;
    migrate::apply(&stand.database).await.unwrap();
    assert_ne!(stand.catalogue().await, before);
}

#[tokio::test]
async fn every_table_and_function_says_what_it_is_for() {
    let stand = Stand::new().await;

    let silent = stand
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

    assert!(silent.is_empty(), "{silent:?}");
}
