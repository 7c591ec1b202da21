use tokio_postgres::Error;

use crate::template::TEMPLATE_COMMENT;
use crate::{DatabaseServer, admin};

/// Query for databases of this crate that are certainly no longer used.
///
/// A test database has its creation date in its name, and no test runs longer than a day. A
/// template has the date of its last use in its comment. All dates are from the server's clock, so
/// the clocks of the clients do not matter.
const LEFTOVERS_QUERY: &str = "
    WITH day AS (
        SELECT to_char((now() AT TIME ZONE 'UTC') - interval '1 day', 'YYYYMMDD') AS yesterday,
               to_char((now() AT TIME ZONE 'UTC') - interval '30 days', 'YYYYMMDD') AS month_ago
    )
    SELECT datname::text
    FROM pg_database, day
    WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = pg_database.oid)
      AND (   datname ~ '^whoop_test_[0-9]{8}_[0-9a-f]{16}$'
              AND substring(datname, 12, 8) < yesterday
           OR datname ~ '^whoop_tpl_[0-9a-f]{16}$'
              AND starts_with(shobj_description(pg_database.oid, 'pg_database'), $1)
              AND right(shobj_description(pg_database.oid, 'pg_database'), 8) < month_ago)";

/// Drops old databases on a shared server that a killed process could not drop.
pub(crate) async fn drop_leftovers(server: &DatabaseServer) -> Result<(), Error> {
    let client = admin::connect(&server.admin_url()).await?;
    for row in client.query(LEFTOVERS_QUERY, &[&TEMPLATE_COMMENT]).await? {
        let name: String = row.get(0);
        // The statement does not have `FORCE`, so that a database with an open connection is kept.
        // Errors are ignored, because another process may have dropped the database, or another
        // role may own it.
        let _ = client
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))
            .await;
    }
    Ok(())
}
