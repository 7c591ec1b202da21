//! Assigns local dates again after a member's records were written or deleted.
//!
//! The local date of a cycle, its recovery and its main sleeps depends on neighbouring records,
//! which may arrive earlier or later. The same is true for the cycle that is displayed for a date
//! ([`whoop_core::date_assignment`]). After every write, the dates around the written records are
//! therefore computed again from all stored records near them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures::try_join;
use whoop_core::{
    CycleId, DataType, SleepId, UserId,
    date_assignment::{
        CycleTimes, DateAssignment, DateAssignmentInput, DateAssignments, RecoveryLinks,
        SleepTimes, assign_dates,
    },
};

use crate::{
    PgConnection, StorageError, change_batch::ChangeBatch, prepared::prepared, table::RecordTable,
};

/// Ids and former local dates of the records that a transaction wrote or deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct AffectedRecords {
    pub(crate) cycles: BTreeSet<String>,
    pub(crate) sleeps: BTreeSet<String>,
    /// Local dates of the records before they were written or deleted.
    dates: BTreeSet<NaiveDate>,
}

impl AffectedRecords {
    pub(crate) fn add<R: RecordTable>(&mut self, record: &R) {
        let ties = record.ties();
        self.cycles.extend(ties.cycle_id.map(|id| id.to_string()));
        self.sleeps.extend(ties.sleep_id.map(|id| id.0.clone()));
    }

    /// Adds the former local date of a record. Workouts are ignored, because they do not influence
    /// the dates of other records.
    pub(crate) fn add_date(&mut self, data_type: DataType, date: NaiveDate) {
        if data_type != DataType::Workout {
            self.dates.insert(date);
        }
    }

    fn is_empty(&self) -> bool {
        self.cycles.is_empty() && self.sleeps.is_empty() && self.dates.is_empty()
    }
}

/// Number of dates before an affected date for which records are loaded.
///
/// Local dates are assigned on the affected date, the date before it and the date after it. A main
/// sleep without a cycle id belongs to the cycle in which it began, and this cycle may have a date
/// three dates earlier.
const DATES_BEFORE: i64 = 4;

/// Number of dates after an affected date for which records are loaded.
///
/// Local dates are assigned on the affected date, the date before it and the date after it. A date
/// depends on the cycles that claim it or the next date, which means that their main sleep has this
/// date. Each of these cycles may be stored one date after the date that it claims.
const DATES_AFTER: i64 = 3;

/// Assigns the local dates of the records near the affected records.
///
/// Adds a change to `changes` for each record that gets a new date, or a new position within its
/// date (displayed or in `others`).
pub(crate) async fn assign_local_dates(
    conn: &mut PgConnection,
    user_id: &UserId,
    mut affected: AffectedRecords,
    changes: &mut ChangeBatch,
) -> Result<(), StorageError> {
    let mut assigned: BTreeSet<NaiveDate> = BTreeSet::new();
    while !affected.is_empty() {
        let related = RelatedRecords::find(conn, user_id, &affected).await?;
        let certain: BTreeSet<NaiveDate> = related
            .dates
            .iter()
            .flat_map(|date| dates_around(*date, 1, 1))
            .collect();
        let stored = StoredDates::load(conn, user_id, Some(&related)).await?;
        let moved = stored
            .write_changed_dates(conn, user_id, changes, |ids, old, new| {
                let is_affected = ids.iter().any(|id| related.is_affected(id));
                is_affected || certain.contains(&old) || certain.contains(&new)
            })
            .await?;
        assigned.extend(certain);
        // A record that moved to a date outside `assigned` may influence the other records of that
        // date. The next pass assigns that date too.
        affected = AffectedRecords {
            dates: moved.difference(&assigned).copied().collect(),
            ..AffectedRecords::default()
        };
    }
    Ok(())
}

/// Assigns all local dates of a member again. The caller holds the member's row lock.
pub(crate) async fn assign_all_local_dates(
    conn: &mut PgConnection,
    user_id: &UserId,
    changes: &mut ChangeBatch,
) -> Result<(), StorageError> {
    let stored = StoredDates::load(conn, user_id, None).await?;
    stored
        .write_changed_dates(conn, user_id, changes, |_, _, _| true)
        .await?;
    Ok(())
}

fn dates_around(date: NaiveDate, before: i64, after: i64) -> impl Iterator<Item = NaiveDate> {
    (-before..=after).map(move |days| date + TimeDelta::days(days))
}

/// Records that can influence the local dates of the affected records.
#[derive(Debug, Default)]
struct RelatedRecords {
    dates: BTreeSet<NaiveDate>,
    /// Ids of the affected cycles.
    ///
    /// On the dates in `dates` and on the dates next to them, every record may get a new date.
    /// Elsewhere only the affected cycles and sleeps may, because not all neighbours of other
    /// records are loaded.
    affected_cycles: BTreeSet<String>,
    /// Ids of the affected sleeps.
    affected_sleeps: BTreeSet<String>,
    /// Ids of the cycles to load, together with their recoveries and sleeps.
    related_cycles: Vec<String>,
}

#[derive(QueryableByName)]
struct SeedRow {
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Text)]
    id: String,
}

impl RelatedRecords {
    async fn find(
        conn: &mut PgConnection,
        user_id: &UserId,
        affected: &AffectedRecords,
    ) -> Result<Self, StorageError> {
        let cycles: Vec<&String> = affected.cycles.iter().collect();
        let sleeps: Vec<&String> = affected.sleeps.iter().collect();
        let seeds: Vec<SeedRow> = prepared(
            "SELECT id AS cycle_id, local_date FROM whoop_cycle \
             WHERE user_id = $1 AND id = ANY($2) \
             UNION SELECT id, local_date FROM whoop_recovery \
             WHERE user_id = $1 AND (id = ANY($2) OR sleep_id = ANY($3)) \
             UNION SELECT cycle_id, coalesce(night_date, local_date) FROM whoop_sleep \
             WHERE user_id = $1 AND (id = ANY($3) OR cycle_id = ANY($2)) AND nap IS NOT TRUE",
        )
        .bind::<Text, _>(user_id.as_str())
        .bind::<Array<Text>, _>(cycles)
        .bind::<Array<Text>, _>(sleeps)
        .load(conn)
        .await?;
        let mut related = Self {
            dates: affected.dates.clone(),
            affected_cycles: affected.cycles.clone(),
            affected_sleeps: affected.sleeps.clone(),
            related_cycles: Vec::new(),
        };
        for row in seeds {
            related.dates.insert(row.local_date);
            related.affected_cycles.extend(row.cycle_id);
        }
        let dates = related.surrounding_dates();
        let cycles: Vec<&String> = related.affected_cycles.iter().collect();
        let ids: Vec<IdRow> = prepared(
            "SELECT id FROM whoop_cycle WHERE user_id = $1 AND local_date = ANY($2) \
             UNION SELECT id FROM whoop_recovery WHERE user_id = $1 AND local_date = ANY($2) \
             UNION SELECT cycle_id FROM whoop_sleep WHERE user_id = $1 AND cycle_id IS NOT NULL \
                 AND (local_date = ANY($2) OR night_date = ANY($2)) AND nap IS NOT TRUE \
             UNION SELECT unnest($3)",
        )
        .bind::<Text, _>(user_id.as_str())
        .bind::<Array<Date>, _>(dates)
        .bind::<Array<Text>, _>(cycles)
        .load(conn)
        .await?;
        related.related_cycles = ids.into_iter().map(|row| row.id).collect();
        Ok(related)
    }

    fn is_affected(&self, id: &str) -> bool {
        self.affected_cycles.contains(id) || self.affected_sleeps.contains(id)
    }

    fn surrounding_dates(&self) -> Vec<NaiveDate> {
        let all: BTreeSet<NaiveDate> = self
            .dates
            .iter()
            .flat_map(|date| dates_around(*date, DATES_BEFORE, DATES_AFTER))
            .collect();
        all.into_iter().collect()
    }
}

#[derive(QueryableByName)]
struct CycleDateRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamptz)]
    start_time: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    end_time: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    timezone_offset: Option<String>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Bool)]
    in_others: bool,
}

#[derive(QueryableByName)]
struct RecoveryDateRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    sleep_id: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_scored: bool,
    #[diesel(sql_type = Nullable<Text>)]
    timezone_offset: Option<String>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Bool)]
    in_others: bool,
}

#[derive(QueryableByName)]
struct SleepDateRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    cycle_id: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    start_time: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    end_time: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    timezone_offset: Option<String>,
    #[diesel(sql_type = Bool)]
    is_nap: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    asleep_milli: Option<i64>,
    #[diesel(sql_type = Date)]
    local_date: NaiveDate,
    #[diesel(sql_type = Nullable<Date>)]
    night_date: Option<NaiveDate>,
    #[diesel(sql_type = Bool)]
    in_others: bool,
}

impl SleepDateRow {
    fn times(&self) -> SleepTimes {
        let asleep = self.asleep_milli.and_then(TimeDelta::try_milliseconds);
        let time_span = self.end_time.map(|end| end - self.start_time);
        SleepTimes {
            id: SleepId(self.id.clone()),
            cycle_id: self
                .cycle_id
                .as_ref()
                .and_then(|id| id.parse().ok())
                .map(CycleId),
            start: self.start_time,
            end: self.end_time,
            timezone_offset: self.timezone_offset.clone(),
            nap: self.is_nap,
            ranking_duration: asleep.or(time_span).unwrap_or_default(),
        }
    }
}

/// The stored records from which local dates are computed, with their current local dates.
struct StoredDates {
    cycles: Vec<CycleDateRow>,
    recoveries: Vec<RecoveryDateRow>,
    sleeps: Vec<SleepDateRow>,
}

impl StoredDates {
    /// Loads the records that are related to the affected records, or all records of the member if
    /// `related` is `None`.
    async fn load(
        conn: &mut PgConnection,
        user_id: &UserId,
        related: Option<&RelatedRecords>,
    ) -> Result<Self, StorageError> {
        const CYCLES: &str = "SELECT id, start_time, end_time, timezone_offset, local_date, \
             in_others FROM whoop_cycle WHERE user_id = $1";
        const RECOVERIES: &str = "SELECT id, sleep_id, created_at, \
             score_state = 'SCORED' AS is_scored, timezone_offset, local_date, in_others \
             FROM whoop_recovery WHERE user_id = $1";
        const SLEEPS: &str = "SELECT id, cycle_id, start_time, end_time, timezone_offset, \
             nap IS TRUE AS is_nap, \
             CASE WHEN score_state = 'SCORED' THEN total_sleep_time_milli END AS asleep_milli, \
             local_date, night_date, in_others FROM whoop_sleep WHERE user_id = $1";
        let (cycles, recoveries, sleeps) = match related {
            None => (CYCLES.to_owned(), RECOVERIES.to_owned(), SLEEPS.to_owned()),
            Some(_) => (
                format!("{CYCLES} AND id = ANY($2)"),
                format!("{RECOVERIES} AND id = ANY($2)"),
                format!(
                    "{SLEEPS} AND cycle_id = ANY($2) \
                     UNION {SLEEPS} AND cycle_id IS NULL AND local_date = ANY($3) \
                     UNION {SLEEPS} AND id = ANY(ARRAY(SELECT sleep_id FROM whoop_recovery \
                         WHERE user_id = $1 AND id = ANY($2))) \
                     UNION {SLEEPS} AND id = ANY($4)"
                ),
            ),
        };
        let ids: &[String] = related.map_or(&[], |related| &related.related_cycles);
        let dates = related.map_or_else(Vec::new, RelatedRecords::surrounding_dates);
        let affected_sleeps: Vec<&String> =
            related.map_or_else(Vec::new, |related| related.affected_sleeps.iter().collect());
        let cycles = prepared(cycles)
            .bind::<Text, _>(user_id.as_str())
            .bind::<Array<Text>, _>(ids);
        let recoveries = prepared(recoveries)
            .bind::<Text, _>(user_id.as_str())
            .bind::<Array<Text>, _>(ids);
        let sleeps = prepared(sleeps)
            .bind::<Text, _>(user_id.as_str())
            .bind::<Array<Text>, _>(ids)
            .bind::<Array<Date>, _>(dates)
            .bind::<Array<Text>, _>(affected_sleeps);
        let conn = &*conn;
        let (cycles, recoveries, sleeps) = try_join!(
            cycles.load(&mut &*conn),
            recoveries.load(&mut &*conn),
            sleeps.load(&mut &*conn),
        )?;
        Ok(Self {
            cycles,
            recoveries,
            sleeps,
        })
    }

    fn compute_assignments(&self) -> DateAssignments {
        let number = |id: &str| id.parse().map(CycleId).ok();
        let cycles = self.cycles.iter().filter_map(|row| {
            Some(CycleTimes {
                id: number(&row.id)?,
                start: row.start_time,
                end: row.end_time,
                timezone_offset: row.timezone_offset.clone(),
            })
        });
        let recoveries = self.recoveries.iter().filter_map(|row| {
            Some(RecoveryLinks {
                cycle_id: number(&row.id)?,
                sleep_id: SleepId(row.sleep_id.clone()),
                created_at: row.created_at,
                is_scored: row.is_scored,
            })
        });
        assign_dates(&DateAssignmentInput {
            cycles: cycles.collect(),
            recoveries: recoveries.collect(),
            sleeps: self.sleeps.iter().map(SleepDateRow::times).collect(),
        })
    }

    /// Writes the computed local dates that differ from the stored ones.
    ///
    /// A record is written only if `may_write` accepts its ids, its old date and its new date.
    /// Returns the old and the new dates of the written records.
    async fn write_changed_dates(
        &self,
        conn: &mut PgConnection,
        user_id: &UserId,
        changes: &mut ChangeBatch,
        may_write: impl Fn(&[&str], NaiveDate, NaiveDate) -> bool,
    ) -> Result<BTreeSet<NaiveDate>, StorageError> {
        let assignments = self.compute_assignments();
        let mut moved = BTreeSet::new();
        let mut note_change = |data_type, id: &str, old, new| {
            changes.add_date_change(data_type, id, old, new);
            moved.extend([old, new]);
        };
        let assignment_of = |by_cycle: &BTreeMap<CycleId, DateAssignment>, id: &str| {
            id.parse()
                .ok()
                .and_then(|id| by_cycle.get(&CycleId(id)).cloned())
        };

        let mut cycles = DateUpdates::default();
        for row in &self.cycles {
            let Some(assignment) = assignment_of(&assignments.cycles, &row.id) else {
                continue;
            };
            if (row.local_date, row.in_others) != (assignment.local_date, assignment.in_others)
                && may_write(&[&row.id], row.local_date, assignment.local_date)
            {
                note_change(
                    DataType::Cycle,
                    &row.id,
                    row.local_date,
                    assignment.local_date,
                );
                cycles.push(&row.id, &assignment);
            }
        }
        let mut recoveries = DateUpdates::default();
        for row in &self.recoveries {
            let Some(assignment) = assignment_of(&assignments.recoveries, &row.id) else {
                continue;
            };
            let is_same = (row.local_date, row.in_others)
                == (assignment.local_date, assignment.in_others)
                && row.timezone_offset == assignment.timezone_offset;
            if !is_same && may_write(&[&row.id], row.local_date, assignment.local_date) {
                note_change(
                    DataType::Recovery,
                    &row.id,
                    row.local_date,
                    assignment.local_date,
                );
                recoveries.push(&row.id, &assignment);
            }
        }
        let mut sleeps = DateUpdates::default();
        for row in &self.sleeps {
            // A nap belongs to no night, so it has no computed assignment.
            let assignment = assignments.sleeps.get(&SleepId(row.id.clone())).cloned();
            let assignment = assignment.unwrap_or(DateAssignment {
                local_date: row.local_date,
                in_others: false,
                timezone_offset: None,
            });
            let old_date = row.night_date.unwrap_or(row.local_date);
            let night_date = Some(assignment.local_date).filter(|date| *date != row.local_date);
            if (row.night_date, row.in_others) != (night_date, assignment.in_others)
                && may_write(
                    &[&row.id, row.cycle_id.as_deref().unwrap_or_default()],
                    old_date,
                    assignment.local_date,
                )
            {
                note_change(DataType::Sleep, &row.id, old_date, assignment.local_date);
                sleeps.push(&row.id, &assignment);
            }
        }
        for (rows, sql) in [
            (
                cycles,
                "UPDATE whoop_cycle SET local_date = assigned.day, in_others = assigned.other \
                 FROM unnest($2, $3, $4, $5) AS assigned (id, day, other, tz) \
                 WHERE whoop_cycle.user_id = $1 AND whoop_cycle.id = assigned.id",
            ),
            (
                recoveries,
                "UPDATE whoop_recovery SET local_date = assigned.day, in_others = assigned.other, \
                        timezone_offset = assigned.tz \
                 FROM unnest($2, $3, $4, $5) AS assigned (id, day, other, tz) \
                 WHERE whoop_recovery.user_id = $1 AND whoop_recovery.id = assigned.id",
            ),
            (
                sleeps,
                "UPDATE whoop_sleep SET night_date = nullif(assigned.day, local_date), \
                        in_others = assigned.other \
                 FROM unnest($2, $3, $4, $5) AS assigned (id, day, other, tz) \
                 WHERE whoop_sleep.user_id = $1 AND whoop_sleep.id = assigned.id",
            ),
        ] {
            rows.write(conn, user_id, sql).await?;
        }
        Ok(moved)
    }
}

/// Date assignments to write, one vector per column.
#[derive(Default)]
struct DateUpdates {
    ids: Vec<String>,
    dates: Vec<NaiveDate>,
    in_others: Vec<bool>,
    offsets: Vec<Option<String>>,
}

impl DateUpdates {
    fn push(&mut self, id: &str, assignment: &DateAssignment) {
        self.ids.push(id.to_owned());
        self.dates.push(assignment.local_date);
        self.in_others.push(assignment.in_others);
        self.offsets.push(assignment.timezone_offset.clone());
    }

    async fn write(
        self,
        conn: &mut PgConnection,
        user_id: &UserId,
        sql: &'static str,
    ) -> Result<(), StorageError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        prepared(sql)
            .bind::<Text, _>(user_id.as_str())
            .bind::<Array<Text>, _>(self.ids)
            .bind::<Array<Date>, _>(self.dates)
            .bind::<Array<Bool>, _>(self.in_others)
            .bind::<Array<Nullable<Text>>, _>(self.offsets)
            .execute(conn)
            .await?;
        Ok(())
    }
}
