//! Stores a page of records with one statement, then assigns local dates.
//!
//! A stored record is replaced only by a version with the same or a later `updated_at` (newest
//! wins).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    result::Error as Diesel,
    sql_types::{Array, Bool, Date, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncConnection, RunQueryDsl};
use whoop_core::{
    DataType, UserId, offset,
    record::{Record, RejectedRecord},
};

use crate::{
    PgConnection, StorageError,
    change_batch::ChangeBatch,
    date_assignment::{self, AffectedRecords},
    prepared::prepared,
    sqlstate,
    table::{RecordTable, record_denial, rejected_record, users},
};

/// Maximum plausible difference between WHOOP's clock and the clock of this server.
///
/// If a stored `updated_at` is farther in the future, it is treated as wrong, and any other version
/// of the record replaces the stored one.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Outcome of storing a page: the number of records per result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreCounts {
    pub inserted: u64,
    pub updated: u64,
    /// Records that were stored before with the same content, or in a newer version.
    pub unchanged: u64,
    /// Records that were deleted because WHOOP no longer has them.
    pub deleted: u64,
    /// Records that could not be stored and were set aside with the reason.
    pub rejected: u64,
}

impl StoreCounts {
    pub const fn written(&self) -> u64 {
        self.inserted + self.updated
    }
}

impl std::ops::AddAssign for StoreCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.rejected += other.rejected;
    }
}

#[derive(QueryableByName)]
struct WrittenRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Bool)]
    inserted: bool,
    #[diesel(sql_type = Nullable<Date>)]
    former_date: Option<NaiveDate>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct FormerCycleRow {
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
}

/// Stores a page of records of one member, within the caller's transaction.
///
/// First takes the member's row lock. Concurrent writes for one member therefore run one after
/// another, and each sees the result of the previous one.
///
/// A record with an older `updated_at` than the stored version changes nothing. With the same
/// `updated_at`, the record replaces the stored version if their contents differ. A stored
/// `updated_at` more than one hour in the future would block all later versions, so in this case
/// the record replaces the stored version regardless of its own `updated_at`.
///
/// A record that belongs to another WHOOP account, or that PostgreSQL rejects, is set aside in
/// `whoop_rejected_record`. The other records of the page are stored.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased in the meantime.
pub async fn store<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: &[R],
    rejected: &[RejectedRecord],
    now: DateTime<Utc>,
) -> Result<StoreCounts, StorageError> {
    let member = users::lock_member_for_page(conn, user_id, R::DATA_TYPE).await?;
    let whoop_user_id = member.whoop_user_id;

    let mut set_aside: Vec<RejectedRecord> = rejected.to_vec();
    let mut newest: BTreeMap<String, &R> = BTreeMap::new();
    for record in records {
        if record.whoop_user_id() != whoop_user_id {
            set_aside.push(reject_record(
                record,
                format!(
                    "user_id: the record belongs to WHOOP member {}",
                    record.whoop_user_id()
                ),
            ));
            continue;
        }
        newest
            .entry(record.id())
            .and_modify(|newest_version| {
                if newest_version.updated_at() <= record.updated_at() {
                    *newest_version = record;
                }
            })
            .or_insert(record);
    }
    let page: Vec<&R> = newest.values().copied().collect();

    let mut affected = AffectedRecords::default();
    if R::DATA_TYPE == DataType::Sleep {
        affected
            .cycles
            .extend(former_cycles(conn, user_id, &page).await?);
    }
    let written = match write(conn, user_id, &page, now).await {
        Err(StorageError::Query(error)) if is_value_error(&error) => {
            store_one_by_one(conn, user_id, &page, now, &mut set_aside).await?
        }
        other => other?,
    };

    let changed: BTreeSet<&str> = written.iter().map(|row| row.id.as_str()).collect();
    for record in page
        .iter()
        .filter(|record| changed.contains(record.id().as_str()))
    {
        affected.add(*record);
    }
    let mut changes = ChangeBatch::default();
    for row in &written {
        if let Some(former) = row.former_date {
            affected.add_date(R::DATA_TYPE, former);
        }
        changes.add_written(
            R::DATA_TYPE,
            row.id.clone(),
            row.former_date,
            row.local_date,
            Some(row.updated_at),
        );
    }
    date_assignment::assign_local_dates(conn, user_id, affected, &mut changes).await?;
    changes.write(conn, user_id, now).await?;
    if let Some(latest) = page
        .iter()
        .filter(|record| record.timezone_offset().and_then(offset::parse).is_some())
        .max_by_key(|record| record.happened_at())
        && !written.is_empty()
        && member
            .timezone_offset_at
            .is_none_or(|at| at < latest.happened_at())
    {
        users::set_timezone_offset(
            conn,
            user_id,
            latest.timezone_offset(),
            latest.happened_at(),
        )
        .await?;
    }

    let stored_ids: Vec<String> = page
        .iter()
        .map(|record| record.id())
        .filter(|id| {
            !set_aside
                .iter()
                .any(|one| one.record_id.as_ref() == Some(id))
        })
        .collect();
    if member.has_rejected {
        rejected_record::forget(conn, user_id, R::DATA_TYPE, &stored_ids).await?;
    }
    if member.has_denied {
        record_denial::forget(conn, user_id, R::DATA_TYPE, &stored_ids).await?;
    }
    rejected_record::upsert(conn, user_id, &set_aside, now).await?;

    let inserted = written.iter().filter(|row| row.inserted).count() as u64;
    let newly_rejected = (set_aside.len() - rejected.len()) as u64;
    let written = written.len() as u64;
    Ok(StoreCounts {
        inserted,
        updated: written - inserted,
        unchanged: (records.len() as u64).saturating_sub(written + newly_rejected),
        deleted: 0,
        rejected: set_aside.len() as u64,
    })
}

async fn former_cycles<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    page: &[&R],
) -> Result<Vec<String>, StorageError> {
    let ids: Vec<String> = page.iter().map(|record| record.id()).collect();
    let former: Vec<FormerCycleRow> =
        prepared("SELECT DISTINCT cycle_id FROM whoop_sleep WHERE user_id = $1 AND id = ANY($2)")
            .bind::<Text, _>(user_id.as_str())
            .bind::<Array<Text>, _>(ids)
            .load(conn)
            .await?;
    Ok(former.into_iter().filter_map(|row| row.cycle_id).collect())
}

async fn write<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    page: &[&R],
    now: DateTime<Utc>,
) -> Result<Vec<WrittenRow>, StorageError> {
    if page.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<R::TableRow> = page
        .iter()
        .map(|record| record.row(record.own_date(), now))
        .collect();
    let rows = serde_json::to_string(&rows)
        .map_err(|error| StorageError::Query(Diesel::SerializationError(error.into())))?;
    // A savepoint keeps the caller's transaction usable if PostgreSQL rejects the page.
    conn.transaction(async |conn| {
        prepared(upsert_sql::<R>())
            .bind::<Text, _>(user_id.as_str())
            .bind::<Text, _>(rows)
            .bind::<Timestamptz, _>(now + MAX_CLOCK_SKEW)
            .load(conn)
            .await
            .map_err(StorageError::from)
    })
    .await
}

/// Stores the page again, record by record, so that an invalid record does not affect the others.
async fn store_one_by_one<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    page: &[&R],
    now: DateTime<Utc>,
    set_aside: &mut Vec<RejectedRecord>,
) -> Result<Vec<WrittenRow>, StorageError> {
    let mut written = Vec::new();
    for record in page {
        match write(conn, user_id, &[*record], now).await {
            Ok(rows) => written.extend(rows),
            Err(StorageError::Query(error)) if is_value_error(&error) => {
                set_aside.push(reject_record(
                    *record,
                    format!("PostgreSQL rejected the record: {error}"),
                ));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(written)
}

fn reject_record<R: Record>(record: &R, reason: String) -> RejectedRecord {
    RejectedRecord {
        data_type: R::DATA_TYPE,
        record_id: Some(record.id()),
        raw: serde_json::to_string(record).unwrap_or_default(),
        reason,
    }
}

/// Returns whether PostgreSQL rejected a value of the record.
///
/// Any other error fails the whole page, which is read again later. A valid record must not be set
/// aside because of an outage or a bug.
fn is_value_error(error: &Diesel) -> bool {
    match error {
        Diesel::DatabaseError(_, information) => {
            sqlstate::code_of(information.message()).is_some_and(sqlstate::is_value_error)
        }
        _ => false,
    }
}

/// Returns the SQL expression for the date of the day that contains the record of a row.
fn day_date_sql(data_type: DataType, row: &str) -> String {
    match data_type {
        DataType::Sleep => format!("coalesce({row}.night_date, {row}.local_date)"),
        _ => format!("{row}.local_date"),
    }
}

/// Returns the upsert statement for any number of rows. The rows are passed as one JSON parameter,
/// so the text is the same for every page and is prepared only once.
///
/// The statement returns the values after the upsert, except `former_date`. This value is read by a
/// subquery, which sees the row as it was before the upsert.
fn upsert_sql<R: RecordTable>() -> String {
    // Columns with values that follow from the record alone. The local date of a cycle, and the
    // local date and offset of a recovery, are assigned afterwards, because they depend on the main
    // sleep of the night.
    let intrinsic: &[&str] = match R::DATA_TYPE {
        DataType::Recovery => &[],
        DataType::Cycle => &["timezone_offset"],
        DataType::Sleep | DataType::Workout => &["timezone_offset", "local_date"],
    };
    let content = [
        intrinsic,
        &["score_state", "created_at", "extra"],
        R::COLUMNS,
    ]
    .concat();
    let mut columns = [&["updated_at", "synced_at"], content.as_slice()].concat();
    if !content.contains(&"local_date") {
        columns.push("local_date");
    }
    let join_columns = |prefix: &str, names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let table = R::TABLE;
    format!(
        "INSERT INTO {table} AS stored (user_id, id, {all}) \
         SELECT $1, fresh.id, {fresh} FROM json_populate_recordset(NULL::{table}, $2::JSON) AS fresh \
         ON CONFLICT (user_id, id) DO UPDATE SET ({all}) = ROW({excluded}) \
         WHERE stored.updated_at < excluded.updated_at \
            OR ((stored.updated_at = excluded.updated_at OR stored.updated_at > $3) \
                AND (stored.updated_at, {stored_content}) \
                    IS DISTINCT FROM (excluded.updated_at, {excluded_content})) \
         RETURNING stored.id, (stored.xmax = 0) AS inserted, {date} AS local_date, \
            stored.updated_at, \
            (SELECT {former_date} FROM {table} AS former \
             WHERE former.user_id = $1 AND former.id = stored.id) AS former_date",
        date = day_date_sql(R::DATA_TYPE, "stored"),
        former_date = day_date_sql(R::DATA_TYPE, "former"),
        all = join_columns("", &columns),
        fresh = join_columns("fresh.", &columns),
        excluded = join_columns("excluded.", &columns),
        stored_content = join_columns("stored.", &content),
        excluded_content = join_columns("excluded.", &content),
    )
}
