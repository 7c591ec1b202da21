//! The audit trail. The service only inserts and reads rows. Two SQL functions in the database
//! change and delete rows.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use whoop_core::UserId;

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_audit};

/// Maximum length of the detail of an entry, in characters. Longer details are cut.
const LONGEST_DETAIL: usize = 500;

/// Maximum length of the name of a service key or user in an entry, in characters. Longer names are
/// cut.
const LONGEST_NAME: usize = 80;

/// The caller that performs an action, and the id of the HTTP request that causes it, if there is
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    caller: String,
    request_id: Option<String>,
}

impl Actor {
    /// Returns the actor for a member who acts on their own account.
    pub fn member() -> Self {
        Self::of("member".to_owned())
    }

    /// Returns the actor for actions that a callback from WHOOP completes.
    pub fn whoop() -> Self {
        Self::of("whoop".to_owned())
    }

    /// Returns the actor for a service key.
    pub fn key(name: &str) -> Self {
        Self::of(format!("key:{}", sanitize_name(name)))
    }

    /// Returns the actor for a user of the operating system who runs a command.
    pub fn cli(user: &str) -> Self {
        Self::of(format!("cli:{}", sanitize_name(user)))
    }

    fn of(caller: String) -> Self {
        Self {
            caller,
            request_id: None,
        }
    }

    /// Sets the id of the HTTP request. An empty id is ignored.
    pub fn in_request(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        self
    }

    /// Returns the value of the column `caller`: `member`, `whoop`, `key:NAME` or `cli:USER`.
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// Creates an audit entry for an action of this actor.
    pub fn entry(&self, action: &'static str, at: DateTime<Utc>) -> AuditEntry {
        AuditEntry {
            at,
            caller: self.caller.clone(),
            action,
            user_id: None,
            request_id: self.request_id.clone(),
            detail: None,
        }
    }
}

/// Removes control characters from a name and limits its length.
fn sanitize_name(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_NAME)
        .collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// A new row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    at: DateTime<Utc>,
    caller: String,
    action: &'static str,
    user_id: Option<String>,
    request_id: Option<String>,
    detail: Option<String>,
}

impl AuditEntry {
    /// Sets the id or the pseudonym of the member whom the action concerns.
    pub fn about(mut self, user_id: &str) -> Self {
        self.user_id = Some(user_id.to_owned());
        self
    }

    /// Sets the detail, cut to 500 characters.
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.chars().take(LONGEST_DETAIL).collect());
        self
    }
}

/// A stored row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize)]
#[diesel(table_name = whoop_audit, check_for_backend(diesel::pg::Pg))]
pub struct AuditRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub caller: String,
    pub action: String,
    pub user_id: Option<String>,
    pub request_id: Option<String>,
    pub detail: Option<String>,
}

/// Inserts all entries or none.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn insert(conn: &mut PgConnection, entries: &[AuditEntry]) -> Result<(), StorageError> {
    let values = |column: fn(&AuditEntry) -> Option<&str>| -> Vec<Option<&str>> {
        entries.iter().map(column).collect()
    };
    let at: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.at).collect();
    prepared(
        "INSERT INTO whoop_audit (at, caller, action, user_id, request_id, detail) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
    )
    .bind::<Array<Timestamptz>, _>(at)
    .bind::<Array<Nullable<Text>>, _>(values(|entry| Some(&entry.caller)))
    .bind::<Array<Nullable<Text>>, _>(values(|entry| Some(entry.action)))
    .bind::<Array<Nullable<Text>>, _>(values(|entry| entry.user_id.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(values(|entry| entry.request_id.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(values(|entry| entry.detail.as_deref()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Conditions for the rows to list. A row has to meet all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Ids and pseudonyms of one member; empty for all members.
    pub user_ids: Vec<String>,
    pub since: Option<DateTime<Utc>>,
    /// A complete caller (`key:backend`) or a kind of caller (`key`).
    pub caller: Option<String>,
}

/// Returns at most `limit` rows that meet the filter, the newest first.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list(
    conn: &mut PgConnection,
    filter: &AuditFilter,
    limit: i64,
) -> Result<Vec<AuditRow>, StorageError> {
    let mut query = whoop_audit::table
        .order((whoop_audit::at.desc(), whoop_audit::id.desc()))
        .limit(limit)
        .select(AuditRow::as_select())
        .into_boxed();
    if !filter.user_ids.is_empty() {
        query = query.filter(whoop_audit::user_id.eq_any(filter.user_ids.clone()));
    }
    if let Some(since) = filter.since {
        query = query.filter(whoop_audit::at.ge(since));
    }
    if let Some(caller) = &filter.caller {
        let escaped = caller
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        let has_kind = whoop_audit::caller.like(format!("{escaped}:%"));
        query = query.filter(whoop_audit::caller.eq(caller.clone()).or(has_kind));
    }
    Ok(query.load(conn).await?)
}

#[derive(QueryableByName)]
struct AuditRowCount {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Deletes the rows from before the time `before`, and returns the number of deleted rows. Rows of
/// the last 30 days are never deleted.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn purge(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<i64, StorageError> {
    let purged: AuditRowCount =
        prepared("SELECT whoop_audit_purge(least($1, now() - interval '30 days')) AS rows")
            .bind::<Timestamptz, _>(before)
            .get_result(conn)
            .await?;
    Ok(purged.rows)
}

/// Replaces the id of an erased member by a pseudonym, and returns the number of changed rows.
///
/// # Errors
///
/// The member is still stored, or PostgreSQL is unavailable or rejects a query.
pub async fn pseudonymise(
    conn: &mut PgConnection,
    user_id: &str,
    pseudonym: &str,
) -> Result<i64, StorageError> {
    let changed: AuditRowCount = prepared("SELECT whoop_audit_pseudonymise($1, $2) AS rows")
        .bind::<Text, _>(user_id)
        .bind::<Text, _>(pseudonym)
        .get_result(conn)
        .await?;
    Ok(changed.rows)
}

#[derive(QueryableByName)]
struct UserIdRow {
    #[diesel(sql_type = Text)]
    user_id: String,
}

/// Returns at most `limit` member ids that belong to no stored member, from rows before the time
/// `before`.
///
/// Such rows are from attempts to connect a WHOOP account that were never completed, from requests
/// about unknown ids, and from erasures.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn list_unknown_member_ids(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>, StorageError> {
    let found: Vec<UserIdRow> = prepared(
        "SELECT DISTINCT a.user_id FROM whoop_audit a \
         WHERE a.user_id IS NOT NULL AND a.user_id !~ '^erased:[0-9a-f]{32}' AND a.at < $1 \
           AND NOT EXISTS (SELECT 1 FROM whoop_users u WHERE u.user_id = a.user_id) LIMIT $2",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|one| one.user_id).collect())
}

/// Returns at most `limit` rows about a member after a position, the oldest first. The export uses
/// this function.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub(crate) async fn list_after(
    conn: &mut PgConnection,
    user_id: &UserId,
    position: Option<(DateTime<Utc>, i64)>,
    limit: i64,
) -> Result<Vec<AuditRow>, StorageError> {
    let mut query = whoop_audit::table
        .filter(whoop_audit::user_id.eq(user_id.as_str()))
        .order((whoop_audit::at, whoop_audit::id))
        .limit(limit)
        .select(AuditRow::as_select())
        .into_boxed();
    if let Some((at, id)) = position {
        let later = whoop_audit::at.gt(at);
        let same = whoop_audit::at.eq(at).and(whoop_audit::id.gt(id));
        query = query.filter(later.or(same));
    }
    Ok(query.load(conn).await?)
}
