//! Calls to WHOOP for one member's app requests, counted over 24 hours.

use diesel::{
    QueryableByName,
    sql_types::{Bool, Double, Integer, Text},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    is_counted: bool,
    #[diesel(sql_type = Double)]
    resets_in_s: f64,
}

/// Counts a call. Returns the seconds until the count starts again if the member has made `limit` calls already; then
/// the call is not counted.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn count_call(
    conn: &mut PgConnection,
    user_id: &UserId,
    limit: u32,
) -> Result<Option<f64>, StorageError> {
    let counted: Vec<Row> = prepared(
        "UPDATE whoop_users u SET \
             interactive_calls = CASE WHEN k.goes_on THEN least(u.interactive_calls + 1, $2 + 1) ELSE 1 END, \
             interactive_calls_since = CASE WHEN k.goes_on THEN u.interactive_calls_since ELSE now() END \
         FROM (SELECT user_id, coalesce(interactive_calls_since BETWEEN now() - interval '1 day' AND now(), false) AS goes_on \
               FROM whoop_users WHERE user_id = $1) k \
         WHERE u.user_id = $1 AND k.user_id = u.user_id \
         RETURNING u.interactive_calls <= $2 AS is_counted, \
             extract(epoch FROM u.interactive_calls_since + interval '1 day' - now())::double precision AS resets_in_s",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Integer, _>(i32::try_from(limit).unwrap_or(i32::MAX - 1))
    .load(conn)
    .await?;
    let row = counted.into_iter().next();
    Ok(row.filter(|row| !row.is_counted).map(|row| row.resets_in_s))
}
