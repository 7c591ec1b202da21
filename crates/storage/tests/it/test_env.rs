//! Common setup of the tests: a database, a member and their records.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use whoop_core::{
    UserId,
    record::{Cycle, Recovery, RejectedRecord, Sleep, Workout},
};
use whoop_devkit::TestDb;
use whoop_storage::{
    Database, DatabaseConfig, PooledConnection, StorageError,
    page::{self, StoreCounts},
    table::{RecordTable, users},
};

/// WHOOP's id of every member in these tests.
pub(crate) const WHOOP_USER: i64 = 4711;

/// A database for one test, and the pool under test.
pub(crate) struct TestEnv {
    pub(crate) db: TestDb,
    pub(crate) database: Database,
}

/// Creates another pool for the same database, like a second process.
pub(crate) fn another_pool(db: &TestDb) -> Database {
    Database::new(&DatabaseConfig {
        url: SecretString::from(db.url()),
        pool_size: 8,
        pooler: db.pooler(),
    })
    .unwrap()
}

impl TestEnv {
    /// Creates a database with the current schema.
    pub(crate) async fn new() -> Self {
        Self::on(TestDb::new().await)
    }

    /// Creates an empty database.
    pub(crate) async fn empty() -> Self {
        Self::on(TestDb::empty().await)
    }

    fn on(db: TestDb) -> Self {
        let database = another_pool(&db);
        Self { db, database }
    }

    /// Creates the two roles that Supabase uses for external clients. Roles are shared by all
    /// databases of the server, so another test may create them at the same time.
    pub(crate) async fn create_supabase_roles(&self) {
        for role in ["anon", "authenticated"] {
            let sql = format!(
                "DO $$ BEGIN CREATE ROLE {role} NOLOGIN;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            );
            self.execute(&sql).await;
        }
    }

    /// Lists all objects in `public` that a migration could create or rename, one per line, without
    /// Diesel's own.
    pub(crate) async fn catalogue(&self) -> Vec<String> {
        let rows = self.rows(CATALOGUE).await;
        rows.into_iter()
            .map(|mut row| row.remove(0).unwrap())
            .collect()
    }

    pub(crate) async fn connection(&self) -> PooledConnection {
        self.database.get().await.unwrap()
    }

    /// Returns the rows of a query that selects only text columns.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let client = self.db.client().await;
        texts(&client, sql).await
    }

    /// Returns the only value that a query selects, as text.
    pub(crate) async fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).await.remove(0).remove(0)
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.client().await.batch_execute(sql).await.unwrap();
    }
}

const CATALOGUE: &str = "
    WITH ours AS (
        SELECT * FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%'
    ), line AS (
        SELECT format('%s %s %s rls=%s acl=%s', relkind, relname, relpersistence, relrowsecurity,
                      (SELECT string_agg(acl::text, ' ' ORDER BY acl::text) FROM unnest(relacl) acl)) AS line
        FROM ours
        UNION ALL
        SELECT format('column %s.%s %s null=%s default=%s generated=%s', o.relname, a.attname,
                      format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                      pg_get_expr(d.adbin, d.adrelid), a.attgenerated)
        FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
        WHERE o.relkind IN ('r', 'v', 'm')
        UNION ALL
        SELECT format('constraint %s %s %s', o.relname, c.conname, pg_get_constraintdef(c.oid))
        FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid
        UNION ALL
        SELECT pg_get_indexdef(o.oid) FROM ours o WHERE o.relkind = 'i'
        UNION ALL
        SELECT pg_get_triggerdef(t.oid) FROM ours o
        JOIN pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT format('policy %s %s %s %s %s', tablename, policyname, roles, cmd, qual)
        FROM pg_policies WHERE schemaname = 'public'
        UNION ALL
        SELECT format('function %s(%s) definer=%s %s acl=%s', proname,
                      pg_get_function_identity_arguments(oid), prosecdef, md5(prosrc),
                      -- A missing list is equivalent to the default list.
                      (SELECT string_agg(acl::text, ' ' ORDER BY acl::text)
                       FROM unnest(coalesce(proacl, acldefault('f', proowner))) acl))
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    )
    SELECT line FROM line ORDER BY line";

pub(crate) async fn texts(client: &tokio_postgres::Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap();
    messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Time at which the tests store records; no rule depends on it.
pub(crate) fn now() -> DateTime<Utc> {
    at("2026-06-01T12:00:00Z")
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

/// Creates a connected member with the WHOOP id [`WHOOP_USER`].
pub(crate) async fn connect(conn: &mut PooledConnection, name: &str) -> UserId {
    let member = users::NewUser {
        user_id: name.to_owned(),
        whoop_user_id: WHOOP_USER,
        status: "connected",
        status_detail: None,
        connected_at: now(),
        disconnected_at: None,
        updated_at: now(),
        unidentified_pair: None,
    };
    users::insert(conn, &member).await.unwrap();
    user(name)
}

/// Stores a page like a sync does, in a separate transaction.
pub(crate) async fn store<R: RecordTable>(
    conn: &mut PooledConnection,
    member: &UserId,
    records: &[R],
) -> StoreCounts {
    store_with(conn, member, records, &[]).await
}

pub(crate) async fn store_with<R: RecordTable>(
    conn: &mut PooledConnection,
    member: &UserId,
    records: &[R],
    rejected: &[RejectedRecord],
) -> StoreCounts {
    conn.transaction(async |conn| {
        let stored = page::store(conn, member, records, rejected, now()).await?;
        Ok::<_, StorageError>(stored)
    })
    .await
    .unwrap()
}

/// Runs a check with generated values on one database, with a new member for each value. A panic
/// counts as a counterexample.
pub(crate) fn for_any<S: Strategy>(
    cases: u32,
    values: S,
    check: impl AsyncFn(&TestEnv, &UserId, S::Value),
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let env = runtime.block_on(TestEnv::new());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let members = Cell::new(0_u32);
    TestRunner::new(config)
        .run(&values, |value| {
            runtime.block_on(async {
                members.set(members.get() + 1);
                let name = format!("member {}", members.get());
                let member = connect(&mut env.connection().await, &name).await;
                check(&env, &member, value).await;
            });
            Ok(())
        })
        .unwrap_or_else(|counterexample| panic!("{counterexample}"));
}

fn with_common(specific: Value, fields: Value) -> Value {
    let mut record = json!({
        "user_id": WHOOP_USER, "score_state": "SCORED",
        "created_at": "2026-05-02T06:30:00.000Z", "updated_at": "2026-05-02T06:30:00.000Z",
    });
    for part in [specific, fields] {
        record
            .as_object_mut()
            .unwrap()
            .extend(part.as_object().unwrap().clone());
    }
    record
}

/// Returns a night from 22:00 to 06:00 UTC; `fields` override its values.
pub(crate) fn sleep(id: &str, cycle: i64, fields: Value) -> Sleep {
    let specific = json!({
        "id": id, "cycle_id": cycle, "start": "2026-05-01T22:00:00.000Z",
        "end": "2026-05-02T06:00:00.000Z", "timezone_offset": "+00:00", "nap": false,
    });
    serde_json::from_value(with_common(specific, fields)).unwrap()
}

/// Returns a running cycle that began at 22:00 UTC; `fields` override its values.
pub(crate) fn cycle(id: i64, fields: Value) -> Cycle {
    let specific = json!({
        "id": id, "start": "2026-05-01T22:00:00.000Z", "timezone_offset": "+00:00",
    });
    serde_json::from_value(with_common(specific, fields)).unwrap()
}

pub(crate) fn recovery(cycle: i64, sleep: &str, fields: Value) -> Recovery {
    let specific = json!({"cycle_id": cycle, "sleep_id": sleep});
    serde_json::from_value(with_common(specific, fields)).unwrap()
}

/// Returns a workout of one hour from 17:00 UTC; `fields` override its values.
pub(crate) fn workout(id: &str, fields: Value) -> Workout {
    let specific = json!({
        "id": id, "start": "2026-05-02T17:00:00.000Z", "end": "2026-05-02T18:00:00.000Z",
        "timezone_offset": "+00:00", "sport_name": "rowing",
    });
    serde_json::from_value(with_common(specific, fields)).unwrap()
}
