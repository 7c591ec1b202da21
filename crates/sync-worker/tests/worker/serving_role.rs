//! Two roles: one owns the tables and migrates, the other is the role of the service.

use url::Url;

use crate::house::{Ended, House, bare_worker, ended, plenty};

/// A role that can log in. Roles belong to the whole server, so its name contains that of its
/// database.
struct Role<'h> {
    house: &'h House,
    name: String,
}

impl<'h> Role<'h> {
    async fn new(house: &'h House) -> Self {
        let name = format!("{}_serves", house.db.name());
        house
            .execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'serving-word'"))
            .await;
        Self { house, name }
    }

    fn url(&self) -> String {
        let mut url: Url = self.house.db.url().parse().unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some("serving-word")).unwrap();
        url.into()
    }

    async fn worker(&self, args: &[&str]) -> Ended {
        let mut command = self.house.command(args);
        ended(command.env("DATABASE_URL", self.url()).spawn().unwrap()).await
    }

    async fn drop_role(self) {
        let name = &self.name;
        let sql = format!("DROP OWNED BY {name}; DROP ROLE {name}");
        self.house.execute(&sql).await;
    }
}

#[tokio::test]
async fn a_serving_role_can_run_the_worker_and_can_change_no_table() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    let role = Role::new(&house).await;
    let url = house.db.url();
    // Before the grant, the run is refused with an error and does not crash.
    let early = role.worker(&["run", "--slot=night"]).await;
    early.expect_code(1).expect_in_stderr("--serving-role");

    let args = [
        "migrate",
        "--json",
        "--database-url",
        url,
        "--serving-role",
        &role.name,
    ];
    let migrated = bare_worker(&args).await.expect_code(0).json();
    assert_eq!(migrated["serving_roles"][0]["role"], role.name);
    assert_eq!(
        migrated["serving_roles"][0]["warning"],
        serde_json::Value::Null
    );

    let run = role.worker(&["run", "--slot=night", "--json"]).await;
    assert_eq!(run.expect_code(0).json()["synced"], 1, "{run:#?}");
    role.worker(&["keys", "rotate"]).await.expect_code(0);

    let client = tokio_postgres::connect(&role.url(), tokio_postgres::NoTls).await;
    let (client, connection) = client.unwrap();
    let connection = tokio::spawn(connection);
    for forbidden in [
        "CREATE TABLE own_object (id INT)",
        "CREATE FUNCTION own_object() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE whoop_users ADD COLUMN own_object INT",
        "ALTER TABLE whoop_tokens DISABLE ROW LEVEL SECURITY",
        "DROP TABLE whoop_sleep",
        "TRUNCATE whoop_sleep",
        "CREATE POLICY own_object ON whoop_sleep FOR ALL TO PUBLIC USING (TRUE)",
        "DROP POLICY whoop_sleep_own_rows ON whoop_sleep",
        "CREATE INDEX own_object ON whoop_sleep (nap)",
        "GRANT SELECT ON whoop_sleep TO PUBLIC",
        "DELETE FROM __diesel_schema_migrations",
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('1')",
        "SELECT * FROM predecessor_set_aside",
        "SELECT whoop_let_serve('postgres')",
        "CREATE ROLE own_object",
        "CREATE SCHEMA own_object",
    ] {
        let done = client
            .batch_execute(&format!("BEGIN; {forbidden}; ROLLBACK"))
            .await;
        // A GRANT of a privilege that the role does not have is only a warning and has no effect.
        assert!(
            done.is_err() || forbidden.starts_with("GRANT"),
            "{forbidden}"
        );
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    let granted = "SELECT count(*) FROM information_schema.role_table_grants \
                   WHERE grantee = 'PUBLIC' AND table_name LIKE 'whoop%'";
    assert_eq!(house.count(granted).await, 0);
    drop(client);
    connection.await.unwrap().unwrap();
    role.drop_role().await;
}

#[tokio::test]
async fn a_later_migration_grants_the_serving_role_its_new_tables() {
    let house = House::new(plenty()).await;
    let role = Role::new(&house).await;
    let url = house.db.url();
    let first = [
        "migrate",
        "--database-url",
        url,
        "--serving-role",
        &role.name,
    ];
    bare_worker(&first).await.expect_code(0);
    // A table as a later version could add it.
    house
        .execute(
            "CREATE TABLE whoop_later (user_id TEXT PRIMARY KEY); \
                  ALTER TABLE whoop_later ENABLE ROW LEVEL SECURITY",
        )
        .await;

    let again = bare_worker(&["migrate", "--database-url", url]).await;

    again.expect_code(0);
    assert!(
        again
            .stdout
            .contains(&format!("role {}: may read and write the rows", role.name)),
        "{again:#?}"
    );
    let name = &role.name;
    for privilege in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
        let sql = format!(
            "SELECT has_table_privilege('{name}', 'whoop_later', '{privilege}')::int::bigint"
        );
        assert_eq!(house.count(&sql).await, 1, "{privilege}");
    }
    role.drop_role().await;
}

#[tokio::test]
async fn a_missing_role_is_refused_and_an_owner_gets_a_warning() {
    let house = House::new(plenty()).await;
    let url = house.db.url();

    let missing = bare_worker(&[
        "migrate",
        "--database-url",
        url,
        "--serving-role=nobody-here",
    ])
    .await;
    missing.expect_code(1).expect_in_stderr("CREATE ROLE");

    let owner = house.texts("SELECT current_user::text").await.remove(0);
    let args = [
        "migrate",
        "--json",
        "--database-url",
        url,
        "--serving-role",
        &owner,
    ];
    let migrated = bare_worker(&args).await.expect_code(0).json();
    let warning = migrated["serving_roles"][0]["warning"].as_str().unwrap();
    assert!(warning.contains("owns the tables"), "{warning}");
}

#[tokio::test]
async fn row_level_security_on_the_table_of_migrations_does_not_hide_them() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    let role = Role::new(&house).await;
    // Some database hosts do this with an event trigger.
    house
        .execute("ALTER TABLE __diesel_schema_migrations ENABLE ROW LEVEL SECURITY")
        .await;
    let url = house.db.url();
    let args = [
        "migrate",
        "--database-url",
        url,
        "--serving-role",
        &role.name,
    ];
    bare_worker(&args).await.expect_code(0);

    let run = role.worker(&["run", "--slot=night", "--json"]).await;

    assert_eq!(run.expect_code(0).json()["synced"], 1, "{run:#?}");
    role.drop_role().await;
}
