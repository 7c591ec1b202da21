//! Sealing everything anew with the first key, while everything runs.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bytea, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::{
    Database, StorageError,
    seal::{SealError, SealedText, TokenKeys},
};

/// The tables that hold sealed tokens, and whom each row is sealed for.
const SEALED_TABLES: [(&str, &str); 3] = [
    ("whoop_tokens", "user_id"),
    ("whoop_revocation", "id"),
    ("whoop_unconfirmed_connect", "user_id"),
];

/// Rows that are looked at between two looks at whether to stop.
pub const BATCH: usize = 100;

/// Rows that are opened for a look, and not sealed anew.
const AT_ONCE: usize = 1_000;

/// A row that is not sealed with the first key.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct OutdatedRow {
    /// Which of the tables.
    #[diesel(sql_type = Text)]
    pub table_name: String,
    /// A member, or a permission that is to be ended.
    #[diesel(sql_type = Text)]
    pub owner: String,
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum ResealOutcome {
    Done,
    /// Gone, or sealed anew by a refresh meanwhile.
    NotNeeded,
    /// No key of ours opens it; it is as it was.
    DoesNotOpen(SealError),
    /// Somebody holds it for so long that it is better tried again.
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

/// How many rows a key seals.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct KeyUse {
    #[diesel(sql_type = Text)]
    pub key_id: String,
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// The next rows that are not sealed with the first key, after one of them.
pub async fn list_outdated(
    database: &Database,
    keys: &TokenKeys,
    after: Option<&OutdatedRow>,
) -> Result<Vec<OutdatedRow>, StorageError> {
    let each: Vec<String> = SEALED_TABLES
        .iter()
        .map(|(table, owner)| {
            format!(
                "SELECT '{table}' AS table_name, {owner}::text AS owner \
                 FROM {table} WHERE key_id <> $1"
            )
        })
        .collect();
    let sql = format!(
        "SELECT table_name, owner FROM ({}) AS every \
         WHERE (table_name, owner) > ($2, $3) ORDER BY table_name, owner LIMIT {BATCH}",
        each.join(" UNION ALL ")
    );
    let mut conn = database.get().await?;
    Ok(diesel::sql_query(sql)
        .bind::<Text, _>(keys.sealing_key_id())
        .bind::<Text, _>(after.map_or("", |row| &row.table_name))
        .bind::<Text, _>(after.map_or("", |row| &row.owner))
        .load(&mut conn)
        .await?)
}

/// Seals one row anew, under its lock: a refresh that stores a new pair comes
/// before or after, and never in between.
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
    let mut locked = database.begin().await?;
    locked
        .batch_execute("SET LOCAL lock_timeout = '15s'")
        .await?;
    let found = diesel::sql_query(format!(
        "SELECT sealed, key_id FROM {table} WHERE {owner}::text = $1 AND key_id <> $2 FOR UPDATE"
    ))
    .bind::<Text, _>(&row.owner)
    .bind::<Text, _>(keys.sealing_key_id())
    .load::<SealedRow>(&mut *locked)
    .await;
    let found = match found {
        Ok(mut rows) => rows.pop(),
        Err(error) => match StorageError::from(error) {
            StorageError::Busy(_) => {
                locked.rollback().await?;
                return Ok(ResealOutcome::RowLocked);
            }
            other => return Err(other),
        },
    };
    let Some(SealedRow { sealed, key_id }) = found else {
        locked.rollback().await?;
        return Ok(ResealOutcome::NotNeeded);
    };
    let sealed = SealedText {
        key_id,
        bytes: sealed,
    };
    let anew = keys
        .open(&row.owner, &sealed)
        .and_then(|text| keys.seal(&row.owner, &text));
    let anew = match anew {
        Ok(anew) => anew,
        Err(error) => {
            locked.rollback().await?;
            return Ok(ResealOutcome::DoesNotOpen(error));
        }
    };
    diesel::sql_query(format!(
        "UPDATE {table} SET sealed = $2, key_id = $3 WHERE {owner}::text = $1"
    ))
    .bind::<Text, _>(&row.owner)
    .bind::<Bytea, _>(anew.bytes)
    .bind::<Text, _>(anew.key_id)
    .execute(&mut *locked)
    .await?;
    locked.commit().await?;
    Ok(ResealOutcome::Done)
}

/// The rows that name a key and are not opened by the one of that name.
///
/// # Errors
///
/// PostgreSQL is away.
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
             WHERE key_id = $1 AND {owner}::text > $2 ORDER BY 1 LIMIT {AT_ONCE}"
        );
        let mut last = String::new();
        loop {
            let rows: Vec<OwnedSealedRow> = diesel::sql_query(&sql)
                .bind::<Text, _>(key_id)
                .bind::<Text, _>(&last)
                .load(&mut conn)
                .await?;
            let Some(end) = rows.last() else { break };
            last.clone_from(&end.owner);
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

/// How many rows each key seals now.
pub async fn count_rows_by_key(database: &Database) -> Result<Vec<KeyUse>, StorageError> {
    let each: Vec<String> = SEALED_TABLES
        .iter()
        .map(|(table, _)| format!("SELECT key_id FROM {table}"))
        .collect();
    let sql = format!(
        "SELECT key_id, count(*) AS rows FROM ({}) AS every GROUP BY key_id ORDER BY key_id",
        each.join(" UNION ALL ")
    );
    let mut conn = database.get().await?;
    Ok(diesel::sql_query(sql).load(&mut conn).await?)
}
