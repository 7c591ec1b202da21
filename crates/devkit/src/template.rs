use tokio_postgres::{Client, Error};

use crate::{DatabaseServer, TestDbError, admin, migrate};

/// Comment that marks a template database as complete. In the database, the date of the last use
/// follows it.
pub(crate) const TEMPLATE_COMMENT: &str = "whoop-devkit template, used ";

/// Advisory lock that a process holds while it creates a template. The number is "whoop" in ASCII.
const TEMPLATE_LOCK_ID: i64 = 0x77_68_6f_6f_70;

/// Ensures that the template database with the newest schema exists, and returns its name.
///
/// The name depends on the migrations, so that other processes on the same server find the
/// template. A comment marks the template as complete. If a process is killed while it migrates the
/// template, the comment is missing, and the next process creates the template again.
pub(crate) async fn ensure(server: &DatabaseServer) -> Result<String, TestDbError> {
    let name = format!("whoop_tpl_{}", migrate::fingerprint()?);
    let client = admin::connect(&server.admin_url())
        .await
        .map_err(TestDbError::Connect)?;
    // The lock is released when the connection closes. An advisory lock belongs to one database, so
    // it excludes all processes that have the same DATABASE_URL.
    client
        .execute("SELECT pg_advisory_lock($1)", &[&TEMPLATE_LOCK_ID])
        .await
        .map_err(TestDbError::Template)?;
    if !is_finished(&client, &name)
        .await
        .map_err(TestDbError::Template)?
    {
        build_template(&client, server, &name).await?;
    }
    mark_used(&client, &name)
        .await
        .map_err(TestDbError::Template)?;
    Ok(name)
}

async fn is_finished(client: &Client, name: &str) -> Result<bool, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (
                 SELECT FROM pg_database
                 WHERE datname = $1
                   AND starts_with(shobj_description(oid, 'pg_database'), $2))",
            &[&name, &TEMPLATE_COMMENT],
        )
        .await?;
    Ok(row.get(0))
}

async fn build_template(
    client: &Client,
    server: &DatabaseServer,
    name: &str,
) -> Result<(), TestDbError> {
    // Each statement is sent separately, because neither of them may run inside a transaction.
    for statement in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
    ] {
        client
            .batch_execute(&statement)
            .await
            .map_err(TestDbError::Create)?;
    }
    migrate::apply(&server.url(name)).await?;
    // PostgreSQL cannot copy a database with an open connection, so connections to the template are
    // forbidden.
    client
        .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        .await
        .map_err(TestDbError::Template)
}

async fn mark_used(client: &Client, name: &str) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "DO $$ BEGIN
                 EXECUTE format('COMMENT ON DATABASE {name} IS %L', '{TEMPLATE_COMMENT}' ||
                     to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'));
             END $$"
        ))
        .await
}
