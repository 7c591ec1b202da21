//! Reads the data of the legacy service from its tables, which the first migration renamed to
//! `predecessor_…`.
//!
//! The columns of these tables differ between installations. Therefore rows are read as JSON, and a
//! missing column is treated as null. The tables are never written to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use secrecy::SecretString;
use serde_json::Value;
use whoop_core::DataType;

use crate::{Database, PgConnection, StorageError};

const USERS: &str = "predecessor_whoop_users";
const TOKENS: &str = "predecessor_whoop_oauth_tokens";

/// Legacy tables that may contain complete WHOOP records, and the data type of these records. The
/// data type is `None` for a table with records of several data types.
const RECORD_TABLES: [(&str, Option<DataType>); 6] = [
    ("predecessor_whoop_cycle", Some(DataType::Cycle)),
    ("predecessor_whoop_sleep", Some(DataType::Sleep)),
    ("predecessor_whoop_recovery", Some(DataType::Recovery)),
    ("predecessor_whoop_workout", Some(DataType::Workout)),
    ("predecessor_whoop_data", None),
    ("predecessor_whoop_raw_data", None),
];

/// A member in the tables of the legacy service.
#[derive(Debug, Clone)]
pub struct LegacyAccount {
    /// The app's id of the member: the Supabase user's id if the row contains one, otherwise the id
    /// of the row.
    pub user_id: String,
    pub whoop_user_id: Option<i64>,
    pub access_token: Option<SecretString>,
    pub refresh_token: Option<SecretString>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Granted scopes in WHOOP's format, separated by spaces.
    pub scope: Option<String>,
    /// `false` if the member had disconnected from the legacy service, or if only records of the
    /// member exist.
    pub is_active: bool,
}

/// The content of the `raw_data` column in one row of a legacy table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRecord {
    /// Data type of the record; `None` if the table contains several data types.
    pub data_type: Option<DataType>,
    /// JSON text of the record; `None` if the column is null or missing.
    pub text: Option<String>,
}

/// The legacy tables that exist, each with its columns.
#[derive(Debug, Clone, Default)]
pub struct LegacyTables(BTreeMap<String, BTreeSet<String>>);

#[derive(QueryableByName)]
struct LegacyColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct LegacyJsonRow {
    #[diesel(sql_type = Text)]
    row: String,
}

#[derive(QueryableByName)]
struct LegacyOwnerRow {
    #[diesel(sql_type = Text)]
    owner: String,
}

#[derive(QueryableByName)]
struct LegacyRawRow {
    #[diesel(sql_type = Nullable<Text>)]
    raw: Option<String>,
}

#[derive(QueryableByName)]
struct LegacyRowCount {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Returns whether any table of the legacy service exists.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub(crate) async fn exists(conn: &mut PgConnection) -> Result<bool, StorageError> {
    let tables: LegacyRowCount = diesel::sql_query(
        "SELECT count(*) AS rows FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'predecessor\\_whoop\\_%'",
    )
    .get_result(conn)
    .await?;
    Ok(tables.rows > 0)
}

impl LegacyTables {
    /// Finds the tables of the legacy service that `migrate` has renamed. The result is empty if
    /// there are none.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn find(database: &Database) -> Result<Self, StorageError> {
        let mut conn = database.get().await?;
        let columns: Vec<LegacyColumnRow> = diesel::sql_query(
            "SELECT c.relname::text AS table_name, a.attname::text AS name \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') \
               AND c.relname LIKE 'predecessor\\_whoop\\_%' AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .load(&mut conn)
        .await?;
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for column in columns {
            tables
                .entry(column.table_name)
                .or_default()
                .insert(column.name);
        }
        Ok(Self(tables))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_column(&self, table: &str, column: &str) -> bool {
        self.0
            .get(table)
            .is_some_and(|columns| columns.contains(column))
    }

    /// Returns the legacy tables with records that exist.
    ///
    /// For each table, returns the name, the data type of the records, and whether there is a
    /// column with the app's user id.
    fn record_tables(&self) -> impl Iterator<Item = (&'static str, Option<DataType>, bool)> {
        RECORD_TABLES
            .into_iter()
            .filter(|(table, _)| self.0.contains_key(*table))
            .map(|(table, data_type)| (table, data_type, self.has_column(table, "user_id")))
    }

    /// Returns the name of the column with WHOOP's JSON in a table; `None` if the table has no such
    /// column.
    fn raw_column(&self, table: &str) -> Option<&'static str> {
        ["raw_data", "records"]
            .into_iter()
            .find(|column| self.has_column(table, column))
    }

    /// Returns all members of the legacy service, ordered by the app's id: members with an account,
    /// and members of whom only records exist.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn accounts(&self, database: &Database) -> Result<Vec<LegacyAccount>, StorageError> {
        let mut conn = database.get().await?;
        let users = self.rows(&mut conn, USERS).await?;
        let tokens = self.rows(&mut conn, TOKENS).await?;
        let mut accounts = accounts_of(&users, &tokens);
        for (table, _, _) in self
            .record_tables()
            .filter(|(_, _, has_user_id)| *has_user_id)
        {
            let owners: Vec<LegacyOwnerRow> = diesel::sql_query(format!(
                "SELECT DISTINCT user_id::text AS owner FROM {table} WHERE user_id IS NOT NULL"
            ))
            .load(&mut conn)
            .await?;
            for LegacyOwnerRow { owner } in owners {
                accounts
                    .entry(owner.clone())
                    .or_insert_with(|| LegacyAccount {
                        user_id: owner,
                        whoop_user_id: None,
                        access_token: None,
                        refresh_token: None,
                        expires_at: None,
                        scope: None,
                        is_active: false,
                    });
            }
        }
        Ok(accounts.into_values().collect())
    }

    /// Returns the rows of a table as JSON. Returns no rows if the table does not exist.
    async fn rows(&self, conn: &mut PgConnection, table: &str) -> Result<Vec<Value>, StorageError> {
        if !self.0.contains_key(table) {
            return Ok(Vec::new());
        }
        let rows: Vec<LegacyJsonRow> =
            diesel::sql_query(format!("SELECT to_jsonb(t)::text AS row FROM {table} t"))
                .load(conn)
                .await?;
        let parsed = rows.iter().map(|row| serde_json::from_str(&row.row));
        Ok(parsed.filter_map(Result::ok).collect())
    }

    /// Returns all records of one member from the `raw_data` columns of the legacy tables.
    ///
    /// Rows are found by the app's user id. If the table has no such column, they are found by
    /// WHOOP's user id.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn raw_records(
        &self,
        database: &Database,
        user_id: &str,
        whoop_user_id: Option<i64>,
    ) -> Result<Vec<LegacyRecord>, StorageError> {
        let mut conn = database.get().await?;
        let mut found = Vec::new();
        for (table, data_type, has_user_id) in self.record_tables() {
            let column = self.raw_column(table);
            let raw = column.map_or("NULL::text".to_owned(), |column| format!("{column}::text"));
            let (condition, value) = match (has_user_id, whoop_user_id, column) {
                (true, _, _) => ("user_id::text = $1".to_owned(), user_id.to_owned()),
                (false, Some(number), _) if self.has_column(table, "whoop_user_id") => {
                    ("whoop_user_id::text = $1".to_owned(), number.to_string())
                }
                // The pattern finds WHOOP's `user_id` in the JSON text of the record, as PostgreSQL
                // formats it.
                (false, Some(number), Some(column)) => (
                    format!("{column}::text ~ $1"),
                    format!("\"user_id\": \"?{number}[\",}}]"),
                ),
                (false, _, _) => continue,
            };
            let rows: Vec<LegacyRawRow> = diesel::sql_query(format!(
                "SELECT {raw} AS raw FROM {table} WHERE {condition}"
            ))
            .bind::<Text, _>(value)
            .load(&mut conn)
            .await?;
            found.extend(rows.into_iter().map(|row| LegacyRecord {
                data_type,
                text: row.raw,
            }));
        }
        Ok(found)
    }

    /// Counts the records that name no owner, in the tables that have a column with the app's user
    /// id.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn count_ownerless_rows(&self, database: &Database) -> Result<i64, StorageError> {
        let mut conn = database.get().await?;
        let mut rows = 0;
        for (table, _, _) in self
            .record_tables()
            .filter(|(_, _, has_user_id)| *has_user_id)
        {
            let count: LegacyRowCount = diesel::sql_query(format!(
                "SELECT count(*) AS rows FROM {table} WHERE user_id IS NULL"
            ))
            .get_result(&mut conn)
            .await?;
            rows += count.rows;
        }
        Ok(rows)
    }
}

/// Reads the accounts from both table layouts: tokens in the user's row, or in a separate table.
/// The keys of the result are the app's user ids.
fn accounts_of(users: &[Value], tokens: &[Value]) -> BTreeMap<String, LegacyAccount> {
    let mut accounts = BTreeMap::new();
    for user in users {
        let Some(row_id) = text(user, "id").or_else(|| text(user, "user_id")) else {
            continue;
        };
        let user_id = text(user, "user_id").unwrap_or_else(|| row_id.clone());
        let token_row = tokens
            .iter()
            .filter(|row| {
                let row_user_id = text(row, "user_id");
                row_user_id.as_deref() == Some(&row_id) || row_user_id.as_deref() == Some(&user_id)
            })
            // If several token pairs are stored, only the one that expires last is valid.
            .max_by_key(|row| time_field(row, "expires_at"));
        let (tokens, scope) = match token_row {
            Some(row) if text(user, "access_token").is_none() => (row, text(row, "scope")),
            _ => (user, None),
        };
        let secret = |name| text(tokens, name).map(SecretString::from);
        accounts.insert(
            user_id.clone(),
            LegacyAccount {
                whoop_user_id: number(user, "whoop_user_id"),
                access_token: secret("access_token"),
                refresh_token: secret("refresh_token"),
                expires_at: time_field(tokens, "token_expires_at")
                    .or_else(|| time_field(tokens, "expires_at")),
                scope: scope.or_else(|| scopes(user)),
                is_active: user
                    .get("is_active")
                    .and_then(Value::as_bool)
                    .unwrap_or(true),
                user_id,
            },
        );
    }
    accounts
}

fn text(row: &Value, name: &str) -> Option<String> {
    let text = row.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(row: &Value, name: &str) -> Option<i64> {
    let value = row.get(name)?;
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// Parses a time with or without an offset. The legacy service wrote times without an offset in
/// UTC.
fn time_field(row: &Value, name: &str) -> Option<DateTime<Utc>> {
    let text = text(row, name)?;
    let with_offset = DateTime::parse_from_rfc3339(&text).map(|at| at.with_timezone(&Utc));
    with_offset.ok().or_else(|| {
        let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f");
        naive.ok().map(|at| at.and_utc())
    })
}

fn scopes(user: &Value) -> Option<String> {
    let names: Vec<&str> = match user.get("scopes")? {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        Value::String(names) => names
            .split([' ', ','])
            .filter(|name| !name.is_empty())
            .collect(),
        _ => return None,
    };
    (!names.is_empty()).then(|| names.join(" "))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_table_layouts_are_read() {
        let newer = json!({"id": "row-1", "user_id": "mara", "whoop_user_id": "4711", "access_token": "a",
                           "refresh_token": "r", "token_expires_at": "2025-01-02T03:04:05.5+00:00",
                           "scopes": ["offline", "read:sleep"], "is_active": false});
        let older = json!({"id": "ada", "email": "ada@mail.example"});
        let tokens = [
            json!({"user_id": "ada", "access_token": "old", "expires_at": "2024-01-01T00:00:00"}),
            json!({"user_id": "ada", "access_token": "new", "expires_at": "2025-01-01T00:00:00", "scope": "offline"}),
            json!({"user_id": "nobody", "access_token": "x"}),
        ];

        let accounts = accounts_of(&[newer, older, json!({"id": null})], &tokens);

        assert_eq!(accounts.keys().collect::<Vec<_>>(), ["ada", "mara"]);
        let mara = &accounts["mara"];
        assert_eq!((mara.whoop_user_id, mara.is_active), (Some(4711), false));
        assert_eq!(mara.scope.as_deref(), Some("offline read:sleep"));
        assert!(mara.expires_at.is_some());
        let ada = &accounts["ada"];
        assert_eq!(ada.access_token.as_ref().unwrap().expose_secret(), "new");
        assert_eq!(ada.scope.as_deref(), Some("offline"));
        assert!(ada.is_active);
    }
}
