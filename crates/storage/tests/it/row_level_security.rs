//! Law 11 for clients that access the tables without the API: a member can read only their own rows
//! and write none, and an anonymous caller can read nothing.

use serde_json::json;
use tokio_postgres::Client;
use whoop_storage::{
    migrate,
    table::{
        oauth_states, sync_log, sync_run,
        tokens::{self, OAuthTokens},
    },
};

use crate::test_env::{self, TestEnv, connect, now, store_with, texts};

/// Tables in which a member may read their own rows.
const READABLE: [&str; 7] = [
    "whoop_change",
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_sync_log",
    "whoop_users",
    "whoop_workout",
];

/// Creates a database like Supabase: both roles exist, and by default get all privileges on every
/// new object.
async fn supabase() -> TestEnv {
    let env = TestEnv::empty().await;
    env.create_supabase_roles().await;
    env
        .execute(
            "GRANT USAGE ON SCHEMA public TO anon, authenticated;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated;",
        )
        .await;
    migrate::apply(&env.database).await.unwrap();
    env
}

/// Creates two members with a row in every table that has rows of members.
async fn with_two_members(env: &TestEnv) {
    let keys = secrecy::SecretString::from("k:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    let keys = whoop_storage::seal::TokenKeys::parse(&keys).unwrap();
    let mut conn = env.connection().await;
    for name in ["mara", "noa"] {
        let member = connect(&mut conn, name).await;
        let scored = json!({"score": {"recovery_score": 50.0}});
        let foreign_workout = test_env::workout("of somebody else", json!({"user_id": 1}));
        store_with(
            &mut conn,
            &member,
            &[test_env::sleep("s", 5, json!({}))],
            &[],
        )
        .await;
        store_with(&mut conn, &member, &[test_env::cycle(5, json!({}))], &[]).await;
        store_with(
            &mut conn,
            &member,
            &[test_env::recovery(5, "s", scored)],
            &[],
        )
        .await;
        store_with(
            &mut conn,
            &member,
            &[test_env::workout("w", json!({})), foreign_workout],
            &[],
        )
        .await;
        sync_log::begin(&mut conn, &member, whoop_core::DataType::Sleep, now())
            .await
            .unwrap();
        let pair = OAuthTokens {
            access_token: "a".into(),
            refresh_token: None,
            scope: String::new(),
            expires_at: now(),
        };
        tokens::upsert(&mut conn, &keys, &member, &pair, now())
            .await
            .unwrap();
        let pending = oauth_states::PendingConnect {
            user_id: name.to_owned(),
            return_to: None,
            consent: None,
            created_at: now(),
        };
        oauth_states::insert(&mut conn, name, &pending)
            .await
            .unwrap();
    }
    sync_run::begin(
        &mut conn,
        None,
        "manual",
        now(),
        std::time::Duration::from_secs(60),
    )
    .await
    .unwrap();
}

/// Opens a connection like Supabase's gateway does for a signed-in member.
async fn signed_in(env: &TestEnv, claims: &str) -> Client {
    let client = env.db.client().await;
    client
        .batch_execute(&format!(
            "SET ROLE authenticated; SELECT set_config('request.jwt.claims', '{claims}', FALSE)"
        ))
        .await
        .unwrap();
    client
}

/// Returns every table in the schema `public`, including Diesel's.
async fn our_tables(env: &TestEnv) -> Vec<String> {
    let rows = env
        .rows(
            "SELECT table_name FROM information_schema.tables
             WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name",
        )
        .await;
    rows.into_iter()
        .map(|mut row| row.remove(0).unwrap())
        .collect()
}

async fn members_in(client: &Client, table: &str) -> Vec<String> {
    let sql = format!("SELECT DISTINCT user_id FROM {table} ORDER BY user_id");
    let rows = texts(client, &sql).await;
    rows.into_iter()
        .map(|mut row| row.remove(0).unwrap())
        .collect()
}

#[tokio::test]
async fn a_member_can_read_only_their_own_rows() {
    let env = supabase().await;
    with_two_members(&env).await;

    let mara = signed_in(&env, r#"{"sub": "mara", "role": "authenticated"}"#).await;
    let stranger = signed_in(&env, r#"{"sub": "somebody new"}"#).await;

    for table in READABLE {
        assert_eq!(members_in(&mara, table).await, ["mara"], "{table}");
        assert!(members_in(&stranger, table).await.is_empty(), "{table}");
        // The table really contains rows of both members.
        let all = env
            .value(&format!("SELECT count(DISTINCT user_id) FROM {table}"))
            .await;
        assert_eq!(all.as_deref(), Some("2"), "{table}");
    }
}

#[tokio::test]
async fn a_member_cannot_read_tokens_connects_runs_and_rejected_records() {
    let env = supabase().await;
    with_two_members(&env).await;
    let mara = signed_in(&env, r#"{"sub": "mara"}"#).await;

    for table in our_tables(&env).await {
        let read = mara.simple_query(&format!("SELECT * FROM {table}")).await;
        let is_readable = READABLE.contains(&table.as_str());
        assert_eq!(read.is_ok(), is_readable, "{table}");
    }
}

#[tokio::test]
async fn neither_a_member_nor_an_anonymous_caller_can_write() {
    let env = supabase().await;

    for table in our_tables(&env).await {
        for role in ["anon", "authenticated"] {
            for privilege in [
                "INSERT",
                "UPDATE",
                "DELETE",
                "TRUNCATE",
                "REFERENCES",
                "TRIGGER",
            ] {
                let has_privilege = env
                    .value(&format!(
                        "SELECT has_table_privilege('{role}', '{table}', '{privilege}')"
                    ))
                    .await;
                assert_eq!(
                    has_privilege.as_deref(),
                    Some("f"),
                    "{role} has {privilege} on {table}"
                );
            }
        }
    }
    with_two_members(&env).await;
    let mara = signed_in(&env, r#"{"sub": "mara"}"#).await;
    for table in READABLE {
        for attempt in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET user_id = 'mara'"),
            format!("INSERT INTO {table} (user_id) VALUES ('mara')"),
        ] {
            assert!(mara.batch_execute(&attempt).await.is_err(), "{attempt}");
        }
    }
}

#[tokio::test]
async fn only_the_owner_can_grant_serving_to_a_role() {
    let env = supabase().await;

    for role in ["anon", "authenticated"] {
        let sql =
            format!("SELECT has_function_privilege('{role}', 'whoop_let_serve(text)', 'EXECUTE')");
        assert_eq!(env.value(&sql).await.as_deref(), Some("f"), "{role}");
    }
}

#[tokio::test]
async fn an_anonymous_caller_can_read_nothing() {
    let env = supabase().await;
    with_two_members(&env).await;
    let anon = env.db.client().await;
    anon.batch_execute("SET ROLE anon; SELECT set_config('whoop.user_id', 'mara', FALSE)")
        .await
        .unwrap();

    for table in our_tables(&env).await {
        let read = anon.simple_query(&format!("SELECT 1 FROM {table}")).await;
        assert!(read.is_err(), "{table}");
    }
    let summary = anon
        .simple_query("SELECT * FROM get_daily_summary('mara', '2026-05-02')")
        .await;
    assert!(summary.is_err());
}

#[tokio::test]
async fn the_summary_of_another_member_is_empty() {
    let env = supabase().await;
    with_two_members(&env).await;
    let mara = signed_in(&env, r#"{"sub": "mara"}"#).await;
    let summary = async |member: &str| {
        let sql = format!("SELECT * FROM get_daily_summary('{member}', '2026-05-02')");
        let mut rows = texts(&mara, &sql).await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    };

    let own = summary("mara").await;
    assert_eq!(
        (own[0].as_deref(), own[7].as_deref()),
        (Some("50"), Some("1"))
    );

    let others = summary("noa").await;
    let (workouts, values) = others.split_last().unwrap();
    assert!(values.iter().all(Option::is_none), "{others:?}");
    assert_eq!(workouts.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_session_setting_never_overrides_the_token() {
    let env = supabase().await;
    with_two_members(&env).await;
    let claims = [
        (r#"{"sub": "mara"}"#, vec!["mara".to_owned()]),
        // A token without a member's id gives access to no rows.
        (r#"{"role": "authenticated"}"#, vec![]),
        (r#"{"sub": null}"#, vec![]),
        (r#"{"sub": ""}"#, vec![]),
    ];
    for (claims, expected) in claims {
        let client = signed_in(&env, claims).await;
        client
            .batch_execute(
                "SELECT set_config('whoop.user_id', 'noa', FALSE),
                        set_config('request.jwt.claim.sub', 'noa', FALSE)",
            )
            .await
            .unwrap();

        assert_eq!(
            members_in(&client, "whoop_sleep").await,
            expected,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn a_token_of_a_third_party_client_reads_nothing_unless_the_client_is_listed() {
    let env = supabase().await;
    with_two_members(&env).await;
    let visible_members = async |claims: &str| {
        let client = signed_in(&env, claims).await;
        let mut members = Vec::new();
        for table in READABLE {
            members.extend(members_in(&client, table).await);
        }
        members.dedup();
        members
    };

    for claims in [
        r#"{"sub": "mara", "client_id": "partner"}"#,
        r#"{"sub": "mara", "client_id": ""}"#,
        r#"{"sub": "mara", "client_id": 7}"#,
        r#"{"sub": "mara", "client_id": ["partner"]}"#,
        r#"{"sub": "mara", "client_id": false}"#,
    ] {
        assert_eq!(visible_members(claims).await, [""; 0], "{claims}");
    }
    assert_eq!(
        visible_members(r#"{"sub": "mara", "client_id": null}"#).await,
        ["mara"]
    );

    env.execute(
        "CREATE OR REPLACE FUNCTION whoop_accepted_client_ids() RETURNS TEXT[] LANGUAGE sql STABLE
             AS $$ SELECT ARRAY['partner', 'other'] $$",
    )
    .await;
    assert_eq!(
        visible_members(r#"{"sub": "mara", "client_id": "partner"}"#).await,
        ["mara"]
    );
    assert_eq!(
        visible_members(r#"{"sub": "mara", "client_id": "stranger"}"#).await,
        [""; 0]
    );
}

#[tokio::test]
async fn the_claims_of_an_older_gateway_have_the_same_effect() {
    let env = supabase().await;
    with_two_members(&env).await;
    let client = signed_in(&env, "").await;
    let set = async |name: &str, value: &str| {
        let sql = format!("SELECT set_config('request.jwt.claim.{name}', '{value}', FALSE)");
        client.batch_execute(&sql).await.unwrap();
    };

    set("sub", "mara").await;
    assert_eq!(members_in(&client, "whoop_sleep").await, ["mara"]);
    set("client_id", "partner").await;
    assert_eq!(members_in(&client, "whoop_sleep").await, [""; 0]);
}

#[tokio::test]
async fn only_the_owner_can_list_third_party_clients() {
    let env = supabase().await;
    let mara = signed_in(&env, r#"{"sub": "mara", "client_id": "partner"}"#).await;

    let replaced = mara
        .batch_execute(
            "CREATE OR REPLACE FUNCTION whoop_accepted_client_ids() RETURNS TEXT[] LANGUAGE sql STABLE
             AS $$ SELECT ARRAY['partner'] $$",
        )
        .await;

    assert!(replaced.is_err());
}

#[tokio::test]
async fn invalid_claims_read_nothing() {
    let env = supabase().await;
    with_two_members(&env).await;

    for claims in ["", "{}", "[]", "null", "not json", "\"mara\""] {
        let client = signed_in(&env, claims).await;

        let read = client.simple_query("SELECT user_id FROM whoop_sleep").await;

        let rows = read.map_or(0, |messages| {
            let rows = messages.iter();
            rows.filter(|one| matches!(one, tokio_postgres::SimpleQueryMessage::Row(_)))
                .count()
        });
        assert_eq!(rows, 0, "{claims:?}");
    }
}

#[tokio::test]
async fn on_plain_postgresql_a_reader_sees_only_the_member_that_is_set() {
    let env = TestEnv::new().await;
    with_two_members(&env).await;
    // Roles are shared by all databases of the server, so the name contains this database's name.
    let role = format!("{}_reader", env.db.name());
    let reader = env.db.client().await;
    reader
        .batch_execute(&format!(
            "CREATE ROLE {role} NOLOGIN; GRANT SELECT ON whoop_sleep TO {role}; SET ROLE {role}"
        ))
        .await
        .unwrap();

    assert!(members_in(&reader, "whoop_sleep").await.is_empty());
    reader
        .batch_execute("SET whoop.user_id = 'noa'")
        .await
        .unwrap();
    assert_eq!(members_in(&reader, "whoop_sleep").await, ["noa"]);

    reader
        .batch_execute(&format!(
            "RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn every_table_of_ours_has_row_level_security() {
    let env = TestEnv::new().await;

    let unprotected = env
        .rows(
            "SELECT c.relname FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
               AND NOT c.relrowsecurity AND c.relname <> '__diesel_schema_migrations'",
        )
        .await;

    assert!(unprotected.is_empty(), "{unprotected:?}");
}

#[tokio::test]
async fn every_table_of_member_data_has_the_member_first_in_its_key() {
    let env = TestEnv::new().await;

    let rows = env
        .rows(
            "SELECT c.table_name, (
                 SELECT a.attname FROM pg_index i JOIN pg_attribute a
                   ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = format('%I', c.table_name)::regclass AND i.indisprimary)
             FROM information_schema.columns c
             WHERE c.table_schema = 'public' AND c.column_name = 'user_id'
             ORDER BY c.table_name",
        )
        .await;

    for row in &rows {
        let [Some(table), Some(first)] = row.as_slice() else {
            panic!("{row:?} has no primary key");
        };
        // A pending connect is looked up by the state that WHOOP sends back.
        let expected = match table.as_str() {
            "whoop_oauth_states" => "state_hash",
            // Some rows concern no member.
            "whoop_audit" => "id",
            _ => "user_id",
        };
        assert_eq!(first, expected, "{table}");
    }
    assert!(rows.len() >= READABLE.len(), "{rows:?}");
}
