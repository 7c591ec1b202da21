//! The change feed: changes of a member's records, numbered without gaps.

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

/// PostgreSQL notification channel for members with changes. The payload identifies the member; see
/// [`notify_payload`].
pub const NOTIFY_CHANNEL: &str = "whoop_change";

/// Returns the digest that identifies a member in notifications.
///
/// Every role of the database can listen to the notifications, so they must not contain ids. The
/// digest does not hide the member from a listener with a list of ids, because it can be computed
/// for every id.
pub fn notify_payload(user_id: &str) -> String {
    let digest = Sha256::digest(user_id.as_bytes());
    digest
        .iter()
        .take(16)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Notifies listeners about a change of a member when the caller's transaction commits.
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

/// One stored change of a record, without the record itself.
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

/// Returns at most `limit` changes of a member after the sequence number `since`, in ascending
/// order.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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

/// The latest and the oldest sequence number of a member's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct SequenceNumbers {
    /// Number of the latest change, even if that change is no longer stored.
    #[diesel(sql_type = BigInt)]
    pub latest: i64,
    /// Number of the oldest stored change; `None` if none is stored.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub oldest: Option<i64>,
    /// Time at which the numbering started. It starts again if the member is erased and connects
    /// again, or if the operator restarts it.
    #[diesel(sql_type = Timestamptz)]
    pub counted_since: DateTime<Utc>,
}

impl SequenceNumbers {
    /// Returns whether all changes after the sequence number `since` are still stored. Returns
    /// `false` for a number that was never assigned.
    pub fn retains_all_after(&self, since: i64) -> bool {
        let oldest_stored = self.oldest.unwrap_or(self.latest + 1);
        (oldest_stored - 1..=self.latest).contains(&since)
    }
}

/// Returns the sequence numbers of a member; `None` for a member who never connected.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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

/// Amount by which a restart increases the sequence number of every member.
///
/// After the database was restored from a backup, an app may have received higher numbers than the
/// database contains. The amount is larger than any such difference.
const RESTART_GAP: i64 = 1_000_000;

/// Restarts the numbering of all members, so that every app has to read all records again.
///
/// Returns the number of members.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn restart_sequences(conn: &mut PgConnection) -> Result<u64, StorageError> {
    // The rows of the members are locked before their changes are deleted. Code that writes a
    // change takes the locks in the same order.
    let members = prepared(
        "UPDATE whoop_users SET change_seq = change_seq + $1, created_at = clock_timestamp()",
    )
    .bind::<BigInt, _>(RESTART_GAP)
    .execute(conn)
    .await?;
    prepared("DELETE FROM whoop_change").execute(conn).await?;
    Ok(u64::try_from(members).unwrap_or(u64::MAX))
}

/// Latest sequence number and connection status of a member, for readers of the change feed.
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

/// Returns the feed states of these members. Members who never connected or were erased are
/// omitted.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
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

/// Delays in seconds between a change at WHOOP and the time at which the change could be read from
/// this service.
#[derive(Debug, Clone, Copy, PartialEq, QueryableByName)]
pub struct DelayPercentiles {
    #[diesel(sql_type = BigInt)]
    pub changes: i64,
    #[diesel(sql_type = Nullable<diesel::sql_types::Double>)]
    pub median: Option<f64>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Double>)]
    pub p95: Option<f64>,
}

/// Computes the delays of the changes since the time `since`, of one member or of all members.
///
/// Changes that WHOOP made before the member connected are excluded, because their age is not a
/// delay of this service.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn delay_percentiles(
    conn: &mut PgConnection,
    user_id: Option<&UserId>,
    since: DateTime<Utc>,
) -> Result<DelayPercentiles, StorageError> {
    // One member and all members need different statements, because the two cases use different
    // indexes.
    let condition = match user_id {
        Some(_) => "c.user_id = $1 AND c.changed_at >= $2",
        None => "$1 IS NULL AND c.changed_at >= $2",
    };
    Ok(prepared(format!(
        "WITH took AS ( \
             SELECT greatest(0, extract(epoch FROM c.changed_at - c.updated_at))::float8 AS seconds \
             FROM whoop_change c JOIN whoop_users u ON u.user_id = c.user_id \
             WHERE {condition} AND c.updated_at >= u.connected_at \
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

/// Deletes the changes of all members from before the time `before`, and returns the number of
/// deleted changes.
///
/// The sequence numbers of the remaining changes of each member have no gaps.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn purge(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StorageError> {
    let deleted = prepared(
        "DELETE FROM whoop_change c USING ( \
             SELECT user_id, max(seq) AS seq FROM whoop_change WHERE changed_at < $1 \
             GROUP BY user_id \
         ) AS old WHERE c.user_id = old.user_id AND c.seq <= old.seq",
    )
    .bind::<Timestamptz, _>(before)
    .execute(conn)
    .await?;
    Ok(deleted as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_changes_after_a_number_are_retained_if_the_next_one_is_stored() {
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
        // The sequence number 6 was never assigned. It is from before an erasure, or invented.
        assert!(!numbers(Some(1), 5).retains_all_after(6));
        assert!(numbers(None, 0).retains_all_after(0));
    }
}
