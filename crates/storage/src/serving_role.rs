//! The database role of the running service: it can read and write every row, but cannot change the
//! schema.

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Bool, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::{
    Database, PgConnection, StorageError,
    lock_retry::{LockRetry, SET_LOCK_TIMEOUT},
    migrate,
};

/// A database role with the privileges that the running service needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingRole {
    pub name: String,
    /// Warning for the operator, if the role can change the schema although it should not: the
    /// reason and the remedy.
    pub warning: Option<String>,
}

#[derive(QueryableByName)]
struct RoleNameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct RolePrivilegesRow {
    #[diesel(sql_type = Bool)]
    owns: bool,
    #[diesel(sql_type = Bool)]
    creates: bool,
}

/// Checks that a database role exists. The caller checks this before it changes anything for the
/// role.
///
/// # Errors
///
/// [`StorageError::NoSuchRole`], or PostgreSQL is unavailable.
pub async fn check_exists(database: &Database, role: &str) -> Result<(), StorageError> {
    let mut conn = database.get().await?;
    let found: Option<RoleNameRow> =
        diesel::sql_query("SELECT rolname::text AS name FROM pg_roles WHERE rolname = $1")
            .bind::<Text, _>(role)
            .get_result(&mut conn)
            .await
            .optional()?;
    match found {
        Some(_) => Ok(()),
        None => Err(StorageError::NoSuchRole(role.to_owned())),
    }
}

/// Grants a role the privileges to run the service, adds missing grants to all existing serving
/// roles, and returns all of these roles.
///
/// Existing roles get access to tables that a migration has added. A table is locked only if a
/// row-level security policy is missing.
///
/// # Errors
///
/// [`StorageError::NoSuchRole`], or the current role does not own the tables.
pub async fn grant_serving(
    database: &Database,
    role: Option<&str>,
) -> Result<Vec<ServingRole>, StorageError> {
    let mut conn = migrate::lock_schema(database).await?;
    let mut names: Vec<String> = diesel::sql_query(
        "SELECT DISTINCT r.rolname::text AS name FROM pg_policy p, unnest(p.polroles) AS of_role \
         JOIN pg_roles r ON r.oid = of_role \
         WHERE p.polname LIKE 'whoop\\_serves\\_%' ORDER BY 1",
    )
    .load::<RoleNameRow>(&mut conn)
    .await?
    .into_iter()
    .map(|row| row.name)
    .collect();
    if let Some(role) = role
        && !names.iter().any(|name| name == role)
    {
        names.push(role.to_owned());
    }
    let tables: Vec<RoleNameRow> = diesel::sql_query("SELECT whoop_serving_tables() AS name")
        .load(&mut conn)
        .await?;
    // This connection is a second one, because the connection with the schema lock has an open
    // transaction, and each table is locked in a separate transaction.
    let mut worker = database.connect_dedicated().await?;
    let mut serving = Vec::with_capacity(names.len());
    for name in names {
        let warning = privilege_warning(&mut conn, &name).await?;
        for table in &tables {
            grant_serving_on_table(&mut worker, &name, &table.name).await?;
        }
        // The remaining grants take no table lock.
        diesel::sql_query("SELECT whoop_let_serve($1)")
            .bind::<Text, _>(&name)
            .execute(&mut worker)
            .await?;
        serving.push(ServingRole { name, warning });
    }
    conn.batch_execute("COMMIT").await?;
    Ok(serving)
}

/// Grants a role its privileges and its row-level security policy on one table.
///
/// A new policy needs a table lock. The transaction is short and holds no other lock, so it cannot
/// deadlock.
async fn grant_serving_on_table(
    conn: &mut PgConnection,
    role: &str,
    table: &str,
) -> Result<(), StorageError> {
    let mut retry = LockRetry::default();
    loop {
        conn.batch_execute("BEGIN").await?;
        conn.batch_execute(SET_LOCK_TIMEOUT).await?;
        let granted = diesel::sql_query("SELECT whoop_let_serve_table($1, $2)")
            .bind::<Text, _>(role)
            .bind::<Text, _>(table)
            .execute(conn)
            .await
            .map_err(StorageError::from);
        let error = match granted {
            Ok(_) => return Ok(conn.batch_execute("COMMIT").await?),
            Err(error) => error,
        };
        conn.batch_execute("ROLLBACK").await?;
        let pause = retry
            .next_pause()
            .filter(|_| matches!(error, StorageError::Busy(_)));
        let Some(pause) = pause else {
            return Err(error);
        };
        tracing::info!(role, table, ?pause, "migration waits for a table lock");
        tokio::time::sleep(pause).await;
    }
}

async fn privilege_warning(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<String>, StorageError> {
    let privileges: Option<RolePrivilegesRow> = diesel::sql_query(
        "SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER') AS owns, \
                has_schema_privilege(r.oid, 'public', 'CREATE') AS creates \
         FROM pg_roles r, pg_class c \
         WHERE r.rolname = $1 AND c.oid = 'public.whoop_users'::regclass",
    )
    .bind::<Text, _>(name)
    .get_result(conn)
    .await
    .optional()?;
    let Some(privileges) = privileges else {
        return Err(StorageError::NoSuchRole(name.to_owned()));
    };
    Ok(if privileges.owns {
        Some(format!(
            "{name} is a superuser or owns the tables, so it can change the schema; \
             use another role for the service"
        ))
    } else if privileges.creates {
        Some(format!(
            "{name} can create tables in the schema; prevent this with: \
             REVOKE CREATE ON SCHEMA public FROM PUBLIC, {name}"
        ))
    } else {
        None
    })
}
