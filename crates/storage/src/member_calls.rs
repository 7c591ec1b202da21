//! Counts the calls to WHOOP for app requests of one member, per period of 24 hours.

use diesel::{
    QueryableByName,
    sql_types::{Bool, Double, Integer, Text},
};
use diesel_async::RunQueryDsl;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared};

#[derive(QueryableByName)]
struct MemberCallsRow {
    #[diesel(sql_type = Bool)]
    is_counted: bool,
    #[diesel(sql_type = Double)]
    resets_in_s: f64,
}

/// Counts a call to WHOOP for an app request of a member, unless the member's limit is reached.
///
/// Returns `None` if the call may be made. If `limit` calls were already counted in the current
/// period of 24 hours, the call is not counted, and the seconds until the end of the period are
/// returned.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn count_call(
    conn: &mut PgConnection,
    user_id: &UserId,
    limit: u32,
) -> Result<Option<f64>, StorageError> {
    let counted: Vec<MemberCallsRow> = prepared(
        // Executions of this statement for the same member wait for each other's row lock. Each one
        // then sees the updated values and a later `clock_timestamp()`.
        "UPDATE whoop_users SET \
             interactive_calls = CASE \
                 WHEN interactive_calls_since BETWEEN clock_timestamp() - interval '1 day' AND clock_timestamp() \
                 THEN least(interactive_calls + 1, $2 + 1) ELSE 1 END, \
             interactive_calls_since = CASE \
                 WHEN interactive_calls_since BETWEEN clock_timestamp() - interval '1 day' AND clock_timestamp() \
                 THEN interactive_calls_since ELSE clock_timestamp() END \
         WHERE user_id = $1 \
         RETURNING interactive_calls <= $2 AS is_counted, \
             extract(epoch FROM interactive_calls_since + interval '1 day' - clock_timestamp())::double precision AS resets_in_s",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Integer, _>(i32::try_from(limit).unwrap_or(i32::MAX - 1))
    .load(conn)
    .await?;
    let row = counted.into_iter().next();
    Ok(row.filter(|row| !row.is_counted).map(|row| row.resets_in_s))
}
