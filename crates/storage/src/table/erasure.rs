use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{PgConnection, StorageError, schema::whoop_erasure};

/// Receipt of an erasure. It proves that the data of a member was deleted at a certain time,
/// without naming the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = whoop_erasure, check_for_backend(diesel::pg::Pg))]
pub struct ErasureReceipt {
    pub id: Uuid,
    pub erased_at: DateTime<Utc>,
    /// Number of deleted rows in all tables.
    pub deleted_rows: i64,
}

pub async fn insert(conn: &mut PgConnection, receipt: &ErasureReceipt) -> Result<(), StorageError> {
    diesel::insert_into(whoop_erasure::table)
        .values(receipt)
        .execute(conn)
        .await?;
    Ok(())
}
