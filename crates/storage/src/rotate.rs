//! Seals (encrypts) stored tokens again with the first key of `TOKEN_KEYS`, while the service runs.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bytea, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::{
    Database, StorageError,
    seal::{SealError, SealedText, TokenKeys},
};

/// Tables with sealed tokens, each with the column that contains the owner for which a row is
/// sealed.
const SEALED_TABLES: [(&str, &str); 3] = [
    ("whoop_tokens", "user_id"),
    ("whoop_revocation", "id"),
    ("whoop_unconfirmed_connect", "user_id"),
];

/// Maximum number of rows that [`list_outdated`] returns at a time.
pub const BATCH: usize = 100;

/// Number of rows that [`list_unopenable`] loads at a time to test whether a key opens them.
const OPEN_TEST_BATCH: usize = 1_000;

/// A row with sealed tokens that is not sealed with the first key, or that the key named in the row
/// does not open.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct OutdatedRow {
    /// Name of the row's table.
    #[diesel(sql_type = Text)]
    pub table_name: String,
    /// The owner for which the row is sealed: the id of a member, or of a pending revocation.
    #[diesel(sql_type = Text)]
    pub owner: String,
}

/// Result of [`reseal`] for one row.
#[derive(Debug, PartialEq, Eq)]
pub enum ResealOutcome {
    Done,
    /// The row was deleted, or a refresh has already sealed it with the first key.
    NotNeeded,
    /// No key of `TOKEN_KEYS` opens the row, so the row was not changed.
    DoesNotOpen(SealError),
    /// Another transaction held the row's lock for more than 15 seconds. The caller can try the row
    /// again.
    RowLocked,
}

#[derive(QueryableByName)]
struct SealedRow {
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
    #[diesel(sql_type = Text)]
    key_id: String,
}

#[derive(QueryableByName)]
struct OwnedSealedRow {
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(embed)]
    row: SealedRow,
}

/// Number of rows that are sealed with one key.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct KeyUse {
    #[diesel(sql_type = Text)]
    pub key_id: String,
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// Returns at most [`BATCH`] rows that are not sealed with the first key, beginning after the row
/// `after`.
pub async fn list_outdated(
    database: &Database,
    keys: &TokenKeys,
    after: Option<&OutdatedRow>,
) -> Result<Vec<OutdatedRow>, StorageError> {
    let queries: Vec<String> = SEALED_TABLES
        .iter()
        .map(|(table, owner)| {
            format!(
                "SELECT '{table}' AS table_name, {owner}::text AS owner \
                 FROM {table} WHERE key_id <> $1"
            )
        })
        .collect();
    let sql = format!(
        "SELECT table_name, owner FROM ({}) AS sealed_rows \
         WHERE (table_name, owner) > ($2, $3) ORDER BY table_name, owner LIMIT {BATCH}",
        queries.join(" UNION ALL ")
    );
    let mut conn = database.get().await?;
    Ok(diesel::sql_query(sql)
        .bind::<Text, _>(keys.sealing_key_id())
        .bind::<Text, _>(after.map_or("", |row| &row.table_name))
        .bind::<Text, _>(after.map_or("", |row| &row.owner))
        .load(&mut conn)
        .await?)
}

/// Seals the tokens of one row again with the first key.
///
/// The row is locked meanwhile, so that a concurrent refresh stores its new token pair either
/// before or after this change.
pub async fn reseal(
    database: &Database,
    keys: &TokenKeys,
    row: &OutdatedRow,
) -> Result<ResealOutcome, StorageError> {
    let Some((table, owner)) = SEALED_TABLES
        .iter()
        .find(|(table, _)| *table == row.table_name)
    else {
        return Ok(ResealOutcome::NotNeeded);
    };
    let mut transaction = database.begin().await?;
    transaction
        .batch_execute("SET LOCAL lock_timeout = '15s'")
        .await?;
    let found = diesel::sql_query(format!(
        "SELECT sealed, key_id FROM {table} WHERE {owner}::text = $1 AND key_id <> $2 FOR UPDATE"
    ))
    .bind::<Text, _>(&row.owner)
    .bind::<Text, _>(keys.sealing_key_id())
    .load::<SealedRow>(&mut *transaction)
    .await;
    let found = match found {
        Ok(mut rows) => rows.pop(),
        Err(error) => match StorageError::from(error) {
            StorageError::Busy(_) => {
                transaction.rollback().await?;
                return Ok(ResealOutcome::RowLocked);
            }
            other => return Err(other),
        },
    };
    let Some(SealedRow { sealed, key_id }) = found else {
        transaction.rollback().await?;
        return Ok(ResealOutcome::NotNeeded);
    };
    let sealed = SealedText {
        key_id,
        bytes: sealed,
    };
    let resealed = keys
        .open(&row.owner, &sealed)
        .and_then(|text| keys.seal(&row.owner, &text));
    let resealed = match resealed {
        Ok(resealed) => resealed,
        Err(error) => {
            transaction.rollback().await?;
            return Ok(ResealOutcome::DoesNotOpen(error));
        }
    };
    diesel::sql_query(format!(
        "UPDATE {table} SET sealed = $2, key_id = $3 WHERE {owner}::text = $1"
    ))
    .bind::<Text, _>(&row.owner)
    .bind::<Bytea, _>(resealed.bytes)
    .bind::<Text, _>(resealed.key_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(ResealOutcome::Done)
}

/// Returns the rows that name this key as their sealing key although it does not open them.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn list_unopenable(
    database: &Database,
    keys: &TokenKeys,
    key_id: &str,
) -> Result<Vec<(OutdatedRow, SealError)>, StorageError> {
    let mut conn = database.get().await?;
    let mut unopenable = Vec::new();
    for (table, owner) in SEALED_TABLES {
        let sql = format!(
            "SELECT {owner}::text AS owner, sealed, key_id FROM {table} \
             WHERE key_id = $1 AND {owner}::text > $2 ORDER BY 1 LIMIT {OPEN_TEST_BATCH}"
        );
        let mut last = String::new();
        loop {
            let rows: Vec<OwnedSealedRow> = diesel::sql_query(&sql)
                .bind::<Text, _>(key_id)
                .bind::<Text, _>(&last)
                .load(&mut conn)
                .await?;
            let Some(last_row) = rows.last() else { break };
            last.clone_from(&last_row.owner);
            for OwnedSealedRow { owner, row } in rows {
                let sealed = SealedText {
                    key_id: row.key_id,
                    bytes: row.sealed,
                };
                if let Err(error) = keys.open(&owner, &sealed) {
                    let table_name = table.to_owned();
                    unopenable.push((OutdatedRow { table_name, owner }, error));
                }
            }
        }
    }
    Ok(unopenable)
}

/// Returns, for each key, the number of rows that are sealed with it now.
pub async fn count_rows_by_key(database: &Database) -> Result<Vec<KeyUse>, StorageError> {
    let queries: Vec<String> = SEALED_TABLES
        .iter()
        .map(|(table, _)| format!("SELECT key_id FROM {table}"))
        .collect();
    let sql = format!(
        "SELECT key_id, count(*) AS rows FROM ({}) AS sealed_rows GROUP BY key_id ORDER BY key_id",
        queries.join(" UNION ALL ")
    );
    let mut conn = database.get().await?;
    Ok(diesel::sql_query(sql).load(&mut conn).await?)
}
