//! What changed of a member's records, numbered without a gap.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};
use whoop_core::{UserId, day::ConnectionStatus};

use crate::{
    PgConnection, StorageError, prepared::prepared, schema::whoop_change,
    table::users::parse_status,
};

/// Channel on which PostgreSQL announces that a member changed. The payload is [`signal_of`] the member.
pub const NOTIFY_CHANNEL: &str = "whoop_change";

/// Digest that stands for a member in PostgreSQL's notifications, which any role of the database
/// may listen to. It keeps ids out of them, but can be computed from the list of ids.
pub fn notify_payload(user_id: &str) -> String {
    let digest = Sha256::digest(user_id.as_bytes());
    digest
        .iter()
        .take(16)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Lets listeners look at a member again; when the caller's transaction commits.
pub(crate) async fn notify_change(
    conn: &mut PgConnection,
    user_id: &str,
) -> Result<(), StorageError> {
    prepared("SELECT pg_notify('whoop_change', $1)")
        .bind::<Text, _>(notify_payload(user_id))
        .execute(conn)
        .await?;
    Ok(())
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = whoop_change, check_for_backend(diesel::pg::Pg))]
pub struct ChangeRow {
    pub seq: i64,
    pub data_type: String,
    pub record_id: String,
    pub local_date: NaiveDate,
    pub previous_date: Option<NaiveDate>,
    pub op: String,
    pub changed_at: DateTime<Utc>,
}

/// A member's changes after a number, the oldest first.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn list_after(
    conn: &mut PgConnection,
    user_id: &UserId,
    since: i64,
    limit: i64,
) -> Result<Vec<ChangeRow>, StorageError> {
    Ok(whoop_change::table
        .filter(whoop_change::user_id.eq(user_id.as_str()))
        .filter(whoop_change::seq.gt(since))
        .order(whoop_change::seq)
        .limit(limit)
        .select(ChangeRow::as_select())
        .load(conn)
        .await?)
}

/// Which of a member's numbers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct SequenceNumbers {
    /// Of the latest change, kept or not.
    #[diesel(sql_type = BigInt)]
    pub latest: i64,
    /// Of the oldest that is kept.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub oldest: Option<i64>,
    /// Since when they are counted: erased and connected again, a member's numbers
    /// begin anew.
    #[diesel(sql_type = Timestamptz)]
    pub counted_since: DateTime<Utc>,
}

impl SequenceNumbers {
    /// Whether all that came after a number is still there to be told.
    pub fn retains_all_after(&self, since: i64) -> bool {
        let kept_from = self.oldest.unwrap_or(self.latest + 1);
        (kept_from - 1..=self.latest).contains(&since)
    }
}

/// The numbers of a member; `None` for one who never connected.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn sequence_numbers(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<SequenceNumbers>, StorageError> {
    Ok(prepared(
        "SELECT u.change_seq AS latest, u.created_at AS counted_since, \
                (SELECT min(c.seq) FROM whoop_change c WHERE c.user_id = $1) AS oldest \
         FROM whoop_users u WHERE u.user_id = $1",
    )
    .bind::<Text, _>(user_id.as_str())
    .get_result(conn)
    .await
    .optional()?)
}

/// Numbers far beyond those that an app can have been told.
const RESTART_GAP: i64 = 1_000_000;

/// Lets the changes of every member be counted anew, so that whoever has a copy is told to
/// begin again. Returns how many members that are.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn restart_sequences(conn: &mut PgConnection) -> Result<u64, StorageError> {
    // The members first, as whoever writes a change does.
    let members = prepared(
        "UPDATE whoop_users SET change_seq = change_seq + $1, created_at = clock_timestamp()",
    )
    .bind::<BigInt, _>(RESTART_GAP)
    .execute(conn)
    .await?;
    prepared("DELETE FROM whoop_change").execute(conn).await?;
    Ok(u64::try_from(members).unwrap_or(u64::MAX))
}

/// How a member stands for whoever follows them.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct MemberFeedState {
    #[diesel(sql_type = Text)]
    pub user_id: String,
    #[diesel(sql_type = BigInt)]
    pub latest: i64,
    #[diesel(sql_type = Text)]
    status: String,
}

impl MemberFeedState {
    pub fn connection(&self) -> ConnectionStatus {
        parse_status(&self.status)
    }
}

/// How these members stand; whoever is not there never connected, or was erased.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn list_feed_states(
    conn: &mut PgConnection,
    user_ids: &[String],
) -> Result<Vec<MemberFeedState>, StorageError> {
    Ok(prepared(
        "SELECT user_id, change_seq AS latest, status FROM whoop_users WHERE user_id = ANY($1)",
    )
    .bind::<Array<Text>, _>(user_ids)
    .load(conn)
    .await?)
}

/// How long changes took from WHOOP until they could be read here, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, QueryableByName)]
pub struct DelayPercentiles {
    #[diesel(sql_type = BigInt)]
    pub changes: i64,
    #[diesel(sql_type = Nullable<diesel::sql_types::Double>)]
    pub median: Option<f64>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Double>)]
    pub p95: Option<f64>,
}

/// The delays of changes since an instant, of one member or of all, without what is
/// older than the connection: history says nothing of them.
///
/// # Errors
///
/// PostgreSQL refused or is gone.
pub async fn delay_percentiles(
    conn: &mut PgConnection,
    user_id: Option<&UserId>,
    since: DateTime<Utc>,
) -> Result<DelayPercentiles, StorageError> {
    // Two statements: each has its own index.
    let whose = match user_id {
        Some(_) => "c.user_id = $1 AND c.changed_at >= $2",
        None => "$1 IS NULL AND c.changed_at >= $2",
    };
    Ok(prepared(format!(
        "WITH took AS ( \
             SELECT greatest(0, extract(epoch FROM c.changed_at - c.updated_at))::float8 AS seconds \
             FROM whoop_change c JOIN whoop_users u ON u.user_id = c.user_id \
             WHERE {whose} AND c.updated_at >= u.connected_at \
         ) \
         SELECT count(*) AS changes, \
                percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median, \
                percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95 \
         FROM took"
    ))
    .bind::<Nullable<Text>, _>(user_id.map(UserId::as_str))
    .bind::<Timestamptz, _>(since)
    .get_result(conn)
    .await?)
}

/// Forgets changes that could be read before an instant, of all members; what is
/// left of each is still without a gap.
///
/// # Errors
///
/// PostgreSQL is away.
pub async fn purge(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StorageError> {
    let trimmed = prepared(
        "DELETE FROM whoop_change c USING ( \
             SELECT user_id, max(seq) AS seq FROM whoop_change WHERE changed_at < $1 \
             GROUP BY user_id \
         ) AS old WHERE c.user_id = old.user_id AND c.seq <= old.seq",
    )
    .bind::<Timestamptz, _>(before)
    .execute(conn)
    .await?;
    Ok(trimmed as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_reach_back_to_where_the_next_one_is_kept() {
        let numbers = |oldest, latest| SequenceNumbers {
            latest,
            oldest,
            counted_since: DateTime::UNIX_EPOCH,
        };
        assert!(numbers(Some(1), 5).retains_all_after(0));
        assert!(numbers(Some(4), 5).retains_all_after(3));
        assert!(!numbers(Some(4), 5).retains_all_after(2));
        assert!(numbers(None, 5).retains_all_after(5));
        assert!(!numbers(None, 5).retains_all_after(4));
        // Of an earlier life of the member, or made up.
        assert!(!numbers(Some(1), 5).retains_all_after(6));
        assert!(numbers(None, 0).retains_all_after(0));
    }
}
