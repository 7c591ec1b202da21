//! Storing a page of records: one statement, newest wins, the day settled.

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

/// What was changed later than so long from now was not: WHOOP's clock and ours agree
/// within seconds, and where they do not a version of today is still no older.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// What became of the records of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreCounts {
    pub inserted: u64,
    pub updated: u64,
    /// Already there, in this version or a newer one.
    pub unchanged: u64,
    /// WHOOP no longer has them; they left.
    pub deleted: u64,
    /// Set aside with a reason.
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

/// Stores a page of one member, within the caller's transaction.
///
/// Takes the member's turn first, so that writers of one member follow one
/// another and each sees what the one before it stored. A record whose
/// `updated_at` is older than the stored one changes nothing; at the same
/// `updated_at` the fresher reading wins where it differs, and so it does over a
/// stored one that claims to be of a time to come: nothing would ever be newer.
///
/// A record that belongs to another WHOOP member, and one that PostgreSQL
/// refuses, is set aside and the others are stored.
///
/// # Errors
///
/// [`StorageError::MemberGone`] if the member was erased meanwhile.
pub async fn store<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    records: &[R],
    rejected: &[RejectedRecord],
    now: DateTime<Utc>,
) -> Result<StoreCounts, StorageError> {
    let turn = users::lock_member_for_page(conn, user_id, R::DATA_TYPE).await?;
    let whoop_user_id = turn.whoop_user_id;

    let mut refused: Vec<RejectedRecord> = rejected.to_vec();
    let mut newest: BTreeMap<String, &R> = BTreeMap::new();
    for record in records {
        if record.whoop_user_id() != whoop_user_id {
            refused.push(reject_record(
                record,
                format!(
                    "user_id: it belongs to WHOOP member {}",
                    record.whoop_user_id()
                ),
            ));
            continue;
        }
        newest
            .entry(record.id())
            .and_modify(|known| {
                if known.updated_at() <= record.updated_at() {
                    *known = record;
                }
            })
            .or_insert(record);
    }
    let page: Vec<&R> = newest.values().copied().collect();

    let mut touched = AffectedRecords::default();
    if R::DATA_TYPE == DataType::Sleep {
        touched
            .cycles
            .extend(former_cycles(conn, user_id, &page).await?);
    }
    let written = match write(conn, user_id, &page, now).await {
        Err(StorageError::Query(error)) if is_value_error(&error) => {
            one_by_one(conn, user_id, &page, now, &mut refused).await?
        }
        other => other?,
    };

    let changed: BTreeSet<&str> = written.iter().map(|row| row.id.as_str()).collect();
    for record in page
        .iter()
        .filter(|record| changed.contains(record.id().as_str()))
    {
        touched.add(*record);
    }
    let mut changes = ChangeBatch::default();
    for row in &written {
        if let Some(former) = row.former_date {
            touched.add_date(R::DATA_TYPE, former);
        }
        changes.add_written(
            R::DATA_TYPE,
            row.id.clone(),
            row.former_date,
            row.local_date,
            Some(row.updated_at),
        );
    }
    date_assignment::assign_local_dates(conn, user_id, touched, &mut changes).await?;
    changes.write(conn, user_id, now).await?;
    if let Some(latest) = page
        .iter()
        .filter(|record| record.timezone_offset().and_then(offset::parse).is_some())
        .max_by_key(|record| record.happened_at())
        && !written.is_empty()
        && turn
            .timezone_offset_at
            .is_none_or(|known| known < latest.happened_at())
    {
        users::set_timezone_offset(
            conn,
            user_id,
            latest.timezone_offset(),
            latest.happened_at(),
        )
        .await?;
    }

    let good: Vec<String> = page
        .iter()
        .map(|record| record.id())
        .filter(|id| !refused.iter().any(|one| one.record_id.as_ref() == Some(id)))
        .collect();
    if turn.has_rejected {
        rejected_record::forget(conn, user_id, R::DATA_TYPE, &good).await?;
    }
    if turn.has_denied {
        record_denial::forget(conn, user_id, R::DATA_TYPE, &good).await?;
    }
    rejected_record::upsert(conn, user_id, &refused, now).await?;

    let inserted = written.iter().filter(|row| row.inserted).count() as u64;
    let refused_here = (refused.len() - rejected.len()) as u64;
    let written = written.len() as u64;
    Ok(StoreCounts {
        inserted,
        updated: written - inserted,
        unchanged: (records.len() as u64).saturating_sub(written + refused_here),
        deleted: 0,
        rejected: refused.len() as u64,
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
    // A savepoint, so that a refused page leaves the caller's transaction whole.
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

/// The page again, record by record, so that one bad one costs only itself.
async fn one_by_one<R: RecordTable>(
    conn: &mut PgConnection,
    user_id: &UserId,
    page: &[&R],
    now: DateTime<Utc>,
    refused: &mut Vec<RejectedRecord>,
) -> Result<Vec<WrittenRow>, StorageError> {
    let mut written = Vec::new();
    for record in page {
        match write(conn, user_id, &[*record], now).await {
            Ok(rows) => written.extend(rows),
            Err(StorageError::Query(error)) if is_value_error(&error) => {
                refused.push(reject_record(
                    *record,
                    format!("PostgreSQL refused it: {error}"),
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

/// Whether PostgreSQL objects to a value rather than to us or to the moment. Anything else fails
/// the page, which is read again: a good record must not be set aside.
fn is_value_error(error: &Diesel) -> bool {
    match error {
        Diesel::DatabaseError(_, information) => {
            sqlstate::code_of(information.message()).is_some_and(sqlstate::is_value_error)
        }
        _ => false,
    }
}

/// The date of the day that shows a row.
fn day_date_sql(data_type: DataType, row: &str) -> String {
    match data_type {
        DataType::Sleep => format!("coalesce({row}.night_date, {row}.local_date)"),
        _ => format!("{row}.local_date"),
    }
}

/// One statement for any number of rows: they come as one JSON parameter, so
/// the text is the same for every page and can be prepared once.
///
/// What it returns of a row is as it is afterwards, but for `former_date`: a
/// query within a statement sees what was there before it.
fn upsert_sql<R: RecordTable>() -> String {
    // What the record itself decides. The day of a cycle is settled afterwards, and
    // a recovery's offset as well: both are their night's.
    let of_itself: &[&str] = match R::DATA_TYPE {
        DataType::Recovery => &[],
        DataType::Cycle => &["timezone_offset"],
        DataType::Sleep | DataType::Workout => &["timezone_offset", "local_date"],
    };
    let decided = [
        of_itself,
        &["score_state", "created_at", "extra"],
        R::COLUMNS,
    ]
    .concat();
    let mut columns = [&["updated_at", "synced_at"], decided.as_slice()].concat();
    if !decided.contains(&"local_date") {
        columns.push("local_date");
    }
    let list = |prefix: &str, names: &[&str]| {
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
                AND (stored.updated_at, {stored_decided}) \
                    IS DISTINCT FROM (excluded.updated_at, {excluded_decided})) \
         RETURNING stored.id, (stored.xmax = 0) AS inserted, {date} AS local_date, \
            stored.updated_at, \
            (SELECT {former_date} FROM {table} AS former \
             WHERE former.user_id = $1 AND former.id = stored.id) AS former_date",
        date = day_date_sql(R::DATA_TYPE, "stored"),
        former_date = day_date_sql(R::DATA_TYPE, "former"),
        all = list("", &columns),
        fresh = list("fresh.", &columns),
        excluded = list("excluded.", &columns),
        stored_decided = list("stored.", &decided),
        excluded_decided = list("excluded.", &decided),
    )
}
