//! The tables of the legacy service: a migration renames them without changes, reports them and
//! revokes access to them; reverting it restores them exactly.

use std::collections::BTreeMap;

use serde_json::json;
use whoop_storage::migrate;

use crate::test_env::{self, TestEnv, connect, store};

const MEMBER: &str = "0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11";

/// Tables of both legacy layouts: records with a primary key of their own and rounded scores.
const RECORDS: &str = "
    CREATE FUNCTION update_updated_at_column() RETURNS TRIGGER LANGUAGE plpgsql
        AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
    CREATE TABLE whoop_recovery (
        id TEXT PRIMARY KEY, user_id UUID NOT NULL, cycle_id TEXT,
        recovery_score INTEGER CHECK (recovery_score BETWEEN 0 AND 100),
        hrv_rmssd NUMERIC(5,2), raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now(),
        updated_at TIMESTAMPTZ DEFAULT now());
    CREATE INDEX whoop_recovery_user_id_local_date_idx ON whoop_recovery (user_id, fetched_at DESC);
    CREATE TABLE whoop_sleep (
        id TEXT PRIMARY KEY, user_id UUID NOT NULL, cycle_id INTEGER, sleep_performance INTEGER,
        raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now());
    CREATE UNIQUE INDEX whoop_sleep_user_id_cycle_id_idx ON whoop_sleep (user_id, id)
        WHERE sleep_performance > 0;
    CREATE TABLE whoop_workout (
        id TEXT PRIMARY KEY, user_id UUID NOT NULL, calories_burned NUMERIC(8,2), raw_data JSONB);
    CREATE TABLE whoop_cycle (
        id TEXT PRIMARY KEY, user_id UUID NOT NULL, end_time TIMESTAMPTZ NOT NULL,
        day_strain NUMERIC(5,2), CONSTRAINT whoop_cycle_day_strain_check CHECK (day_strain >= 0));
    CREATE TABLE whoop_sync_log (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID, sync_status TEXT
            CHECK (sync_status IN ('success', 'partial', 'failed')), last_sync_at TIMESTAMPTZ);
    CREATE TRIGGER touch BEFORE UPDATE ON whoop_recovery
        FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
    ALTER TABLE whoop_recovery ENABLE ROW LEVEL SECURITY;
    CREATE POLICY whoop_recovery_own_rows ON whoop_recovery FOR SELECT TO authenticated
        USING (user_id::text = current_setting('request.jwt.claims', TRUE)::jsonb ->> 'sub');
    GRANT SELECT ON whoop_recovery TO authenticated;
    GRANT ALL ON whoop_sleep TO anon;
    INSERT INTO whoop_recovery (id, user_id, recovery_score, hrv_rmssd, raw_data) VALUES
        ('a', '0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', 71, 48.19, '{\"score\": {\"hrv\": 48.192837}}'),
        ('b', '0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', NULL, NULL, NULL);
    INSERT INTO whoop_sleep (id, user_id, cycle_id, sleep_performance)
        VALUES ('s', '0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', 12, 80);
    INSERT INTO whoop_workout VALUES ('w', '0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', 1511.25, '[]');
    INSERT INTO whoop_cycle VALUES ('c', '0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', '2025-01-02', 9.87);
    INSERT INTO whoop_sync_log (user_id, sync_status) VALUES (NULL, 'partial');
    CREATE FUNCTION get_daily_summary(p_user_id UUID, p_date DATE)
        RETURNS TABLE (recovery_score INTEGER, total_calories NUMERIC)
        LANGUAGE sql SECURITY DEFINER
        AS $$ SELECT 71, 1511.25 WHERE p_user_id IS NOT NULL $$;
    GRANT EXECUTE ON FUNCTION get_daily_summary(UUID, DATE) TO authenticated, anon;
    CREATE FUNCTION get_latest_recovery(p_user_id UUID) RETURNS INTEGER
        LANGUAGE sql SECURITY DEFINER AS $$ SELECT 71 $$;
    CREATE FUNCTION is_whoop_connected(p_user_id UUID) RETURNS BOOLEAN
        LANGUAGE sql SECURITY DEFINER AS $$ SELECT TRUE $$;
    REVOKE ALL ON FUNCTION is_whoop_connected(UUID) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION is_whoop_connected(UUID) TO authenticated;
    CREATE FUNCTION cleanup_expired_oauth_states() RETURNS INTEGER LANGUAGE sql AS $$ SELECT 0 $$;";

/// The newer legacy layout: tokens in the user's row, with the id of the Supabase user.
const NEWER: &str = "
    CREATE SCHEMA auth;
    CREATE TABLE auth.users (id UUID PRIMARY KEY);
    INSERT INTO auth.users VALUES ('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11');
    CREATE TABLE whoop_users (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        user_id UUID UNIQUE REFERENCES auth.users (id) ON DELETE CASCADE, whoop_user_id TEXT UNIQUE,
        access_token TEXT, refresh_token TEXT, token_expires_at TIMESTAMPTZ, scopes TEXT[],
        is_active BOOLEAN DEFAULT TRUE);
    CREATE INDEX whoop_users_whoop_user_id_idx ON whoop_users (whoop_user_id);
    INSERT INTO whoop_users (user_id, whoop_user_id, access_token, refresh_token, scopes)
        VALUES ('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', '4711', 'in the clear', 'this too', '{offline}');
    CREATE TABLE whoop_oauth_states (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(), state TEXT, code_verifier TEXT);";

/// The older legacy layout: tokens in a separate table, and the JSON table of an even older
/// version.
const OLDER: &str = "
    CREATE TABLE whoop_users (id UUID PRIMARY KEY, email TEXT,
        CONSTRAINT whoop_users_user_id_check CHECK (email LIKE '%@%'));
    INSERT INTO whoop_users VALUES ('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', 'mara@mail.example');
    CREATE TABLE whoop_oauth_tokens (
        id BIGSERIAL PRIMARY KEY, user_id UUID REFERENCES whoop_users (id) ON DELETE CASCADE,
        access_token TEXT, refresh_token TEXT, expires_at TIMESTAMPTZ, scope TEXT);
    INSERT INTO whoop_oauth_tokens (user_id, access_token)
        VALUES ('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11', 'in the clear');
    CREATE TABLE whoop_data (id SERIAL PRIMARY KEY, raw_data JSONB);
    CREATE TABLE whoop_raw_data (id SERIAL PRIMARY KEY, raw_data JSONB);
    CREATE TABLE whoop_sync_jobs (id SERIAL, state TEXT);
    INSERT INTO whoop_data (raw_data) VALUES ('{\"a\": 1}'), ('{\"b\": [2.50]}');
    CREATE VIEW whoop_change AS SELECT id, raw_data FROM whoop_data;";

async fn with_legacy_tables(shape: &str) -> TestEnv {
    let env = TestEnv::empty().await;
    env.create_supabase_roles().await;
    env.execute(shape).await;
    env.execute(RECORDS).await;
    env
}

/// Returns the rows of every relation in `public` as one text per relation.
async fn rows(env: &TestEnv) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let relations = env
        .rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'v') AND relname NOT LIKE '\\_\\_diesel%'",
        )
        .await;
    for mut relation in relations {
        let relation = relation.remove(0).unwrap();
        let sql = format!(
            "SELECT count(*) || ': ' || coalesce(string_agg(r::text, ' ' ORDER BY r::text), '')
             FROM {relation} r"
        );
        all.insert(relation, env.value(&sql).await.unwrap());
    }
    all
}

async fn assert_renamed_and_restored(shape: &str) {
    let env = with_legacy_tables(shape).await;
    let rows_before = rows(&env).await;
    let catalogue_before = env.catalogue().await;

    let applied = migrate::apply(&env.database).await.unwrap();

    let rows_after = rows(&env).await;
    for (name, content) in &rows_before {
        let renamed = format!("predecessor_{name}");
        assert_eq!(rows_after.get(&renamed), Some(content), "{name}");
        assert!(
            applied.renamed_objects.contains(&(name.clone(), renamed)),
            "{name} is not reported"
        );
    }
    let renamed_function = (
        "get_daily_summary".to_owned(),
        "predecessor_get_daily_summary".to_owned(),
    );
    assert!(applied.renamed_objects.contains(&renamed_function));

    migrate::revert_all(&env.database).await.unwrap();

    assert_eq!(env.catalogue().await, catalogue_before);
    assert_eq!(rows(&env).await, rows_before);
}

#[tokio::test]
async fn the_newer_layout_is_renamed_and_restored_exactly() {
    assert_renamed_and_restored(NEWER).await;
}

#[tokio::test]
async fn the_older_layout_is_renamed_and_restored_exactly() {
    assert_renamed_and_restored(OLDER).await;
}

#[tokio::test]
async fn renamed_tables_are_reported_at_every_run_and_renamed_once() {
    let env = with_legacy_tables(NEWER).await;
    let first = migrate::apply(&env.database).await.unwrap();
    let catalogue = env.catalogue().await;

    let second = migrate::apply(&env.database).await.unwrap();

    assert_eq!(second.migrations, Vec::<String>::new());
    assert_eq!(second.renamed_objects, first.renamed_objects);
    assert_eq!(env.catalogue().await, catalogue);
}

#[tokio::test]
async fn our_tables_are_the_same_with_and_without_legacy_tables() {
    let env = with_legacy_tables(OLDER).await;
    migrate::apply(&env.database).await.unwrap();
    let without_legacy = TestEnv::empty().await;
    without_legacy.create_supabase_roles().await;
    migrate::apply(&without_legacy.database).await.unwrap();

    let ours = env.catalogue().await;
    for line in without_legacy.catalogue().await {
        assert!(ours.contains(&line), "{line}");
    }
    let member = connect(&mut env.connection().await, MEMBER).await;
    let stored = store(
        &mut env.connection().await,
        &member,
        &[test_env::cycle(5, json!({}))],
    )
    .await;
    assert_eq!(stored.inserted, 1);
}

#[tokio::test]
async fn the_legacy_functions_can_no_longer_be_called() {
    let env = with_legacy_tables(NEWER).await;
    let calls = [
        "get_daily_summary('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11'::uuid, '2025-01-01'::date)",
        "get_latest_recovery('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11'::uuid)",
        "is_whoop_connected('0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11'::uuid)",
    ];
    let client = env.db.client().await;
    client
        .batch_execute("SET ROLE authenticated")
        .await
        .unwrap();
    for call in calls {
        let before = client.simple_query(&format!("SELECT * FROM {call}")).await;
        assert!(before.is_ok(), "{call} could not be called before");
    }

    migrate::apply(&env.database).await.unwrap();

    for role in ["authenticated", "anon"] {
        client
            .batch_execute(&format!("RESET ROLE; SET ROLE {role}"))
            .await
            .unwrap();
        for call in calls {
            for name in [call.to_owned(), format!("predecessor_{call}")] {
                let after = client.simple_query(&format!("SELECT * FROM {name}")).await;
                assert!(after.is_err(), "{role} can still call {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_policies_and_triggers_of_the_legacy_tables_are_kept() {
    let env = with_legacy_tables(NEWER).await;
    migrate::apply(&env.database).await.unwrap();

    let catalogue = env.catalogue().await;

    let has = |text: &str| catalogue.iter().any(|line| line.contains(text));
    assert!(has(
        "policy predecessor_whoop_recovery whoop_recovery_own_rows {authenticated}"
    ));
    assert!(has(
        "TRIGGER touch BEFORE UPDATE ON public.predecessor_whoop_recovery"
    ));
    assert!(
        !catalogue
            .iter()
            .any(|line| line.contains("TRIGGER") && !line.contains("predecessor"))
    );
}
