//! Upgrades from the state of every released version: the data is kept, the resulting schema equals
//! a new one, and writes of an older process still work.

use std::{fs, path::PathBuf};

use futures::{StreamExt, stream};
use whoop_storage::migrate;

use crate::test_env::TestEnv;

/// Returns the name and the SQL of each migration, in order.
fn migrations() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let read = |name: &String| fs::read_to_string(folder.join(name).join("up.sql")).unwrap();
    names
        .iter()
        .map(|name| (name.clone(), read(name)))
        .collect()
}

/// Creates a database in which only these migrations were applied and recorded.
async fn at_state(migrations: &[(String, String)]) -> TestEnv {
    let env = TestEnv::empty().await;
    env.create_supabase_roles().await;
    env.execute(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
                 run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )
    .await;
    for (name, sql) in migrations {
        env.execute(sql).await;
        let version = name.split('_').next().unwrap();
        let record_version =
            format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')");
        env.execute(&record_version).await;
    }
    env
}

/// Rows of a member as a process of the first version writes them: the table and the values.
fn rows_of_first_version(user: &str) -> [(&'static str, String); 7] {
    let when = "'2026-01-02 03:04:05.678+00'";
    let common = format!("'{user}', '9', '2026-01-02', '+01:00', 'SCORED', {when}, {when}, {when}");
    let columns =
        "(user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at";
    [
        (
            "whoop_users",
            format!(
                "(user_id, whoop_user_id, status, connected_at, updated_at) VALUES ('{user}', 7, 'connected', {when}, {when})"
            ),
        ),
        (
            "whoop_tokens",
            format!(
                "(user_id, sealed, key_id, scope, expires_at, refreshed_at) VALUES ('{user}', '\\x01', 'k1', 'offline read:sleep', {when}, {when})"
            ),
        ),
        (
            "whoop_cycle",
            format!(
                "{columns}, start_time, day_strain, kilojoule) VALUES ({common}, {when}, 12.970561234, 8000.25)"
            ),
        ),
        (
            "whoop_recovery",
            format!(
                "{columns}, cycle_id, sleep_id, recovery_score) VALUES ({common}, '9', 's', 66)"
            ),
        ),
        (
            "whoop_sleep",
            format!(
                "{columns}, cycle_id, start_time, end_time, nap, total_rem_sleep_time_milli) VALUES ({common}, '9', {when}, {when}, FALSE, 5400000)"
            ),
        ),
        (
            "whoop_workout",
            format!(
                "{columns}, sport_name, start_time, end_time) VALUES ({common}, 'running', {when}, {when})"
            ),
        ),
        (
            "whoop_sync_log",
            format!(
                "(user_id, data_type, sync_status, last_sync_at, records_synced) VALUES ('{user}', 'sleep', 'success', {when}, 41)"
            ),
        ),
    ]
}

async fn write(env: &TestEnv, user: &str) -> Vec<&'static str> {
    let mut written = Vec::new();
    for (table, row) in rows_of_first_version(user) {
        let exists = format!("SELECT to_regclass('public.{table}')::text");
        if env.value(&exists).await.is_some() {
            env.execute(&format!("INSERT INTO {table} {row}")).await;
            written.push(table);
        }
    }
    written
}

/// Returns the row of a member with only the given columns, which existed before the upgrade.
async fn row_of(env: &TestEnv, table: &str, user: &str, columns: &str) -> String {
    let sql = format!("SELECT concat_ws(' | ', {columns}) FROM {table} WHERE user_id = '{user}'");
    env.value(&sql).await.unwrap()
}

async fn columns_of(env: &TestEnv, table: &str) -> String {
    let sql = format!(
        "SELECT string_agg(format('coalesce(%I::text, ''null'')', attname), ', ' ORDER BY attname)
         FROM pg_attribute WHERE attrelid = 'public.{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    );
    env.value(&sql).await.unwrap()
}

#[tokio::test]
async fn every_earlier_state_can_be_upgraded_while_older_processes_write() {
    let all = migrations();
    let fresh = TestEnv::empty().await;
    fresh.create_supabase_roles().await;
    migrate::apply(&fresh.database).await.unwrap();
    let expected = fresh.catalogue().await;

    // Each state uses a separate database. The upgrades run concurrently, because PostgreSQL does
    // most of the work.
    stream::iter(1..all.len())
        .map(|state| assert_upgrade(&all, state, &expected))
        .buffer_unordered(4)
        .collect::<()>()
        .await;
}

async fn assert_upgrade(all: &[(String, String)], state: usize, expected: &[String]) {
    let name = &all[state - 1].0;
    let env = at_state(&all[..state]).await;
    let mut before = Vec::new();
    for table in write(&env, "mara").await {
        let columns = columns_of(&env, table).await;
        let row = row_of(&env, table, "mara", &columns).await;
        before.push((table, columns, row));
    }

    let applied = migrate::apply(&env.database).await.unwrap();

    assert_eq!(applied.migrations.len(), all.len() - state, "after {name}");
    assert_eq!(env.catalogue().await, *expected, "after {name}");
    for (table, columns, row) in before {
        assert_eq!(
            row_of(&env, table, "mara", &columns).await,
            row,
            "{table} of {name}"
        );
    }
    // A process of the earlier version continues to write: its columns are still there, and new
    // columns need no value.
    assert_eq!(write(&env, "noa").await.len(), 7, "after {name}");
    assert!(env.database.check().await.is_ok());
}

/// A history that was closed wrongly because of a single 404 is repaired: spans that were closed
/// without evidence are read again.
#[tokio::test]
async fn spans_that_were_closed_without_evidence_are_reopened() {
    let all = migrations();
    let before = all
        .iter()
        .position(|(name, _)| name.ends_with("absence_needs_proof"))
        .unwrap();
    let env = at_state(&all[..before]).await;
    env
        .execute(
            "INSERT INTO whoop_users (user_id, whoop_user_id, status, connected_at, updated_at)
             VALUES ('mara', 7, 'connected', now(), now());
             INSERT INTO whoop_cycle (user_id, id, local_date, score_state, created_at, updated_at,
                 synced_at, start_time)
             SELECT 'mara', day::text, '2026-01-01'::date + day, 'SCORED', now(), now(), now(),
                 '2026-01-01T00:00:00Z'::timestamptz + day * interval '1 day'
             FROM generate_series(0, 100) AS day WHERE day NOT BETWEEN 31 AND 49;
             INSERT INTO whoop_workout (user_id, id, local_date, score_state, created_at, updated_at,
                 synced_at, start_time)
             SELECT 'mara', day::text, '2026-01-01'::date + day, 'SCORED', now(), now(), now(),
                 '2026-01-01T00:00:00Z'::timestamptz + day * interval '1 day'
             FROM generate_series(0, 100, 14) AS day;
             INSERT INTO whoop_sync_log (user_id, data_type, sync_status, last_sync_at, covered_from,
                 covered_until, whole_history)
             SELECT 'mara', data_type, 'success', '2026-04-12T00:00:00Z', '2025-01-01T00:00:00Z',
                 '2026-04-12T00:00:00Z', TRUE
             FROM unnest(ARRAY['cycle', 'workout', 'sleep']) AS data_type",
        )
        .await;

    migrate::apply(&env.database).await.unwrap();

    let repaired = env
        .rows(
            "SELECT data_type, (covered_from AT TIME ZONE 'UTC')::date::text, whole_history::text
             FROM whoop_sync_log ORDER BY data_type",
        )
        .await;
    let row = |data_type: &str, from: &str| {
        [data_type, from, "false"]
            .map(|text| Some(text.to_owned()))
            .to_vec()
    };
    assert_eq!(
        repaired,
        [
            // No record is stored between 31 January and 20 February.
            row("cycle", "2026-02-20"),
            // A data type without records has no evidence for the end of the history.
            row("sleep", "2026-04-12"),
            // Two weeks without a workout do not count as a gap.
            row("workout", "2026-01-01"),
        ]
    );
}
