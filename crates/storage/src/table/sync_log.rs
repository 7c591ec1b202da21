use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures::try_join;
use whoop_core::{
    DataType, UserId,
    coverage::{CLOCK_SKEW_TOLERANCE, Coverage, CoveredSpan, ListEnd, WindowRead},
};

use crate::{PgConnection, StorageError, prepared::prepared, schema::whoop_sync_log};

/// Coverage (the time span that was read completely) of one data type of one member, and the
/// outcome of its last sync.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = whoop_sync_log, check_for_backend(diesel::pg::Pg))]
pub struct SyncLogRow {
    pub data_type: String,
    pub sync_status: String,
    pub last_sync_at: Option<DateTime<Utc>>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    pub records_synced: i64,
    pub covered_from: Option<DateTime<Utc>>,
    pub covered_until: Option<DateTime<Utc>>,
    pub whole_history: bool,
    pub list_end_seen_at: Option<DateTime<Utc>>,
    pub list_end_oldest: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub last_error_at: Option<DateTime<Utc>>,
    /// Time of the latest webhook about the data type.
    pub signal_at: Option<DateTime<Utc>>,
    /// Whether WHOOP announced a change that was not read yet.
    pub signal_open: bool,
    /// Time of the oldest record that the read at `last_sync_at` returned.
    pub last_sync_from: Option<DateTime<Utc>>,
    /// Start of an older covered time span, which a gap separates from `covered_from`; see
    /// [`Coverage::earlier`].
    pub earlier_from: Option<DateTime<Utc>>,
    pub earlier_until: Option<DateTime<Utc>>,
}

impl SyncLogRow {
    /// Returns whether this row belongs to the data type.
    pub fn is_of(&self, data_type: DataType) -> bool {
        self.data_type == data_type.as_str()
    }

    /// Returns whether the member granted access to the data type at WHOOP.
    pub fn is_granted(&self) -> bool {
        self.sync_status != NOT_GRANTED
    }

    /// Returns the coverage; `None` if this version does not know the data type of the row.
    pub fn coverage(&self) -> Option<Coverage> {
        let coverage = Coverage {
            last_sync_at: self.last_sync_at,
            covered_from: self.covered_from,
            covered_until: self.covered_until,
            whole_history: self.whole_history,
            list_end: self.list_end_seen_at.map(|seen_at| ListEnd {
                oldest: self.list_end_oldest,
                seen_at,
            }),
            ..Coverage::empty(self.data_type.parse().ok()?)
        };
        let earlier = self.earlier_from.zip(self.earlier_until);
        Some(coverage.with_earlier(earlier.map(|(from, until)| CoveredSpan { from, until })))
    }
}

/// Value of `sync_status` for a data type that the member did not grant at WHOOP.
pub(crate) const NOT_GRANTED: &str = "not_granted";

/// Returns the coverage of the data types that a member granted, including data types that were
/// never read. `rows` are the rows of the member.
pub fn coverage_of(rows: &[SyncLogRow]) -> Vec<Coverage> {
    let is_granted = |data_type: &DataType| {
        !rows
            .iter()
            .any(|row| row.data_type == data_type.as_str() && !row.is_granted())
    };
    DataType::ALL
        .into_iter()
        .filter(is_granted)
        .map(|data_type| {
            rows.iter()
                .filter_map(SyncLogRow::coverage)
                .find(|coverage| coverage.data_type == data_type)
                .unwrap_or(Coverage::empty(data_type))
        })
        .collect()
}

pub async fn list(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> Result<Vec<SyncLogRow>, StorageError> {
    Ok(whoop_sync_log::table
        .filter(whoop_sync_log::user_id.eq(user_id.as_str()))
        .order(whoop_sync_log::data_type)
        .select(SyncLogRow::as_select())
        .load(conn)
        .await?)
}

#[derive(QueryableByName)]
struct ClockRow {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// Time since the last sync of one data type, for the member who was synced longest ago.
#[derive(Debug, Clone, Queryable, QueryableByName)]
pub struct DataTypeAge {
    #[diesel(sql_type = Text)]
    pub data_type: String,
    #[diesel(sql_type = Double)]
    pub seconds: f64,
}

/// Returns, for each data type, the longest time since the last sync among connected members with
/// an app request after `seen_since`.
///
/// If a member's data type was never synced, the time since the member connected counts.
///
/// # Errors
///
/// PostgreSQL is unavailable.
pub async fn oldest(
    conn: &mut PgConnection,
    seen_since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<DataTypeAge>, StorageError> {
    Ok(prepared(
        "SELECT l.data_type, \
                max(extract(epoch FROM $2 - coalesce(l.last_sync_at, u.connected_at)))\
                    ::DOUBLE PRECISION AS seconds \
         FROM whoop_users u JOIN whoop_sync_log l ON l.user_id = u.user_id \
         WHERE u.status = 'connected' AND u.last_seen_at >= $1 \
           AND l.sync_status <> 'not_granted' GROUP BY l.data_type",
    )
    .bind::<Timestamptz, _>(seen_since)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?)
}

/// Records which data types a member did not grant with a new connection.
///
/// The granted data types can be read from now on. Their stored failures are deleted, because the
/// failures belong to the earlier connection.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn note_not_granted(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_types: &[DataType],
) -> Result<(), StorageError> {
    let names: Vec<&str> = data_types
        .iter()
        .map(|data_type| data_type.as_str())
        .collect();
    prepared(
        "INSERT INTO whoop_sync_log AS known (user_id, data_type, sync_status) \
         SELECT $1, unnest($2), 'not_granted' \
         ON CONFLICT (user_id, data_type) DO UPDATE \
         SET sync_status = 'not_granted', last_error = NULL, last_error_at = NULL, \
             failing_since = NULL",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(names.clone())
    .execute(conn)
    .await?;
    prepared(
        "UPDATE whoop_sync_log \
         SET sync_status = CASE WHEN sync_status = 'running' THEN sync_status \
                                WHEN last_sync_at IS NULL THEN 'never' ELSE 'success' END, \
             last_error = NULL, last_error_at = NULL, failing_since = NULL \
         WHERE user_id = $1 AND data_type <> ALL($2) \
           AND (sync_status IN ('not_granted', 'failed') OR failing_since IS NOT NULL)",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Array<Text>, _>(names)
    .execute(conn)
    .await?;
    Ok(())
}

/// Checks that this machine's clock is not ahead of the database's clock.
///
/// # Errors
///
/// [`StorageError::ClockAhead`] if this machine's clock is ahead by more than the tolerance.
pub async fn check_clock(conn: &PgConnection, now: DateTime<Utc>) -> Result<(), StorageError> {
    let clock: ClockRow = prepared("SELECT clock_timestamp() AS now")
        .get_result(&mut &*conn)
        .await?;
    let ahead = now - clock.now;
    if ahead > CLOCK_SKEW_TOLERANCE {
        return Err(StorageError::ClockAhead(ahead.num_seconds()));
    }
    Ok(())
}

/// Records that a sync of this data type begins, and returns the state of the data type.
///
/// Returns the default state for a data type that the member did not grant. Such a data type keeps
/// its status, because the member may have connected again, without granting it, since the sync was
/// planned.
///
/// Fails if this machine's clock is ahead of the database's clock, so that no call to WHOOP is
/// made.
///
/// The stored status decides whether the data type is failing. During an upgrade, a process of the
/// previous version may have written the status without updating `failing_since`.
pub async fn begin(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    now: DateTime<Utc>,
) -> Result<SyncStart, StorageError> {
    check_clock(conn, now).await?;
    let start: Option<SyncStart> = prepared(
        "INSERT INTO whoop_sync_log AS known (user_id, data_type, sync_status, last_attempt_at) \
         VALUES ($1, $2, 'running', $3) \
         ON CONFLICT (user_id, data_type) DO UPDATE \
         SET sync_status = 'running', last_attempt_at = $3, \
             failing_since = CASE known.sync_status WHEN 'success' THEN NULL \
                 WHEN 'failed' THEN coalesce(known.failing_since, known.last_error_at) \
                 ELSE known.failing_since END \
         WHERE known.sync_status <> 'not_granted' \
         RETURNING known.signal_at, known.failing_since",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?;
    // A coverage that ends in the future was written with a wrong clock. It is deleted, so that its
    // time span is read again.
    prepared(
        "UPDATE whoop_sync_log \
         SET last_sync_at = NULL, covered_from = NULL, covered_until = NULL, \
             earlier_from = NULL, earlier_until = NULL, \
             whole_history = FALSE, list_end_seen_at = NULL, list_end_oldest = NULL \
         WHERE user_id = $1 AND data_type = $2 \
           AND greatest(last_sync_at, covered_until) > clock_timestamp() + make_interval(secs => $3)",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<Double, _>(CLOCK_SKEW_TOLERANCE.as_seconds_f64())
    .execute(conn)
    .await?;
    Ok(start.unwrap_or_default())
}

/// State of a data type when its sync begins.
#[derive(Debug, Clone, Copy, Default, QueryableByName)]
pub struct SyncStart {
    /// Time of the latest webhook about the data type, for [`CompletedWindow::signal_at`].
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub signal_at: Option<DateTime<Utc>>,
    /// Time of the first failure since the last successful sync; `None` if no sync has failed since
    /// then.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub failing_since: Option<DateTime<Utc>>,
}

/// Replaces the status `running` that a killed process did not update by the status from before the
/// sync.
///
/// Rows of a member with a held lease are not changed, because a living process holds the lease of
/// the member that it syncs.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn reset_interrupted(conn: &mut PgConnection) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_log \
         SET sync_status = CASE WHEN failing_since IS NOT NULL THEN 'failed' \
                                WHEN last_sync_at IS NULL THEN 'never' ELSE 'success' END \
         WHERE sync_status = 'running' AND NOT EXISTS ( \
             SELECT 1 FROM whoop_users u \
             WHERE u.user_id = whoop_sync_log.user_id AND u.lease_until > now())",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the time of the first failure since the last successful read of a data type; `None` if
/// no read has failed since then.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn failing_since(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    let since: Option<Option<DateTime<Utc>>> = whoop_sync_log::table
        .find((user_id.as_str(), data_type.as_str()))
        .select(whoop_sync_log::failing_since)
        .first(conn)
        .await
        .optional()?;
    Ok(since.flatten())
}

/// Adds `written` to the total number of records written for a data type, in the transaction that
/// writes them.
pub async fn add_written(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    written: u64,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_log SET records_synced = records_synced + $3 \
         WHERE user_id = $1 AND data_type = $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<BigInt, _>(i64::try_from(written).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a completely read window to the coverage, in the transaction that stores the last page of
/// the window. Returns the row as it was before.
///
/// The row is locked. If two processes complete a window at the same time, the coverage therefore
/// contains both windows.
///
/// # Errors
///
/// [`StorageError::ClockAhead`] if the window ends in the future by the database's clock. In this
/// case it is unknown which time span was read.
pub async fn complete(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    completed: CompletedWindow,
) -> Result<Option<SyncLogRow>, StorageError> {
    let query = whoop_sync_log::table
        .find((user_id.as_str(), data_type.as_str()))
        .select(SyncLogRow::as_select())
        .for_update();
    let shared = &*conn;
    let (row_before, ()) = try_join!(
        async { Ok(query.load::<SyncLogRow>(&mut &*shared).await?) },
        check_clock(shared, completed.read.until),
    )?;
    let row_before = row_before.into_iter().next();
    let mut coverage = row_before
        .as_ref()
        .and_then(SyncLogRow::coverage)
        .unwrap_or(Coverage::empty(data_type))
        .with_read(completed.read);
    let until = completed.read.until;
    let written = i64::try_from(completed.written).unwrap_or(i64::MAX);
    let rejected_note = (completed.rejected > 0).then(|| {
        format!(
            "{} record(s) could not be stored; see whoop_rejected_record",
            completed.rejected
        )
    });
    let mut last_sync_from = row_before.as_ref().and_then(|row| row.last_sync_from);
    if completed.up_to_now {
        coverage.last_sync_at = coverage.last_sync_at.max(Some(until));
        last_sync_from = Some(
            completed
                .read
                .oldest
                .map_or(until, |oldest| oldest.min(until)),
        );
    }
    let signal_at = completed.signal_at.filter(|_| completed.up_to_now);
    prepared(
        "UPDATE whoop_sync_log SET \
             sync_status = CASE sync_status WHEN 'not_granted' THEN sync_status ELSE 'success' END, \
             records_synced = records_synced + $3, last_sync_at = $4, covered_from = $5, \
             covered_until = $6, whole_history = $7, last_error = $8, last_error_at = $9, \
             failing_since = NULL, list_end_seen_at = $10, list_end_oldest = $11, \
             last_sync_from = $12, signal_read_at = greatest(signal_read_at, $13), \
             earlier_from = $14, earlier_until = $15 \
         WHERE user_id = $1 AND data_type = $2",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<BigInt, _>(written)
    .bind::<Nullable<Timestamptz>, _>(coverage.last_sync_at)
    .bind::<Nullable<Timestamptz>, _>(coverage.covered_from)
    .bind::<Nullable<Timestamptz>, _>(coverage.covered_until)
    .bind::<Bool, _>(coverage.whole_history)
    .bind::<Nullable<Text>, _>(rejected_note.clone())
    .bind::<Nullable<Timestamptz>, _>(rejected_note.map(|_| until))
    .bind::<Nullable<Timestamptz>, _>(coverage.list_end.map(|end| end.seen_at))
    .bind::<Nullable<Timestamptz>, _>(coverage.list_end.and_then(|end| end.oldest))
    .bind::<Nullable<Timestamptz>, _>(last_sync_from)
    .bind::<Nullable<Timestamptz>, _>(signal_at)
    .bind::<Nullable<Timestamptz>, _>(coverage.earlier.map(|span| span.from))
    .bind::<Nullable<Timestamptz>, _>(coverage.earlier.map(|span| span.until))
    .execute(conn)
    .await?;
    Ok(row_before)
}

/// A window (time span) of one data type that was read completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedWindow {
    pub read: WindowRead,
    /// Whether the window ended at the present. If so, `last_sync_at` is set and the webhook signal
    /// (the mark that WHOOP announced a change) is closed.
    pub up_to_now: bool,
    /// Time of the latest webhook about the data type when the read began. A webhook that arrives
    /// during the read is later, so its signal is not closed by this read.
    pub signal_at: Option<DateTime<Utc>>,
    /// Number of rejected records in the window. If there are any, `last_error` contains the
    /// number.
    pub rejected: u64,
    /// Number of records that were written for the window's last page. The records of the earlier
    /// pages are already part of the total; see [`add_written`].
    pub written: u64,
}

/// Records that a sync was deferred, which is neither a failure nor a success.
///
/// A failing data type keeps its status and its error. For a data type that is not failing,
/// `reason` is stored as the last error.
pub async fn note_deferred(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_log \
         SET sync_status = CASE WHEN failing_since IS NOT NULL THEN 'failed' \
                                WHEN last_sync_at IS NULL THEN 'never' ELSE 'success' END, \
             last_error = CASE WHEN failing_since IS NULL THEN $3 ELSE last_error END, \
             last_error_at = CASE WHEN failing_since IS NULL THEN $4 ELSE last_error_at END \
         WHERE user_id = $1 AND data_type = $2 AND sync_status <> 'not_granted'",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<Text, _>(reason)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Records that a sync failed. The coverage is not changed.
pub async fn fail(
    conn: &mut PgConnection,
    user_id: &UserId,
    data_type: DataType,
    error: &str,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    prepared(
        "UPDATE whoop_sync_log \
         SET sync_status = 'failed', last_error = $3, last_error_at = $4, \
             failing_since = coalesce(failing_since, $4) \
         WHERE user_id = $1 AND data_type = $2 AND sync_status <> 'not_granted'",
    )
    .bind::<Text, _>(user_id.as_str())
    .bind::<Text, _>(data_type.as_str())
    .bind::<Text, _>(error)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}
