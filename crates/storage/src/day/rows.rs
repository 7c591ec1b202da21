//! Converts the rows of the day statement into records, coverage and webhook signals.

use whoop_core::{
    CycleId, DataType, SleepId, WorkoutId,
    coverage::{Coverage, CoveredSpan, ListEnd},
    day::{DayCycle, DayRecords, DayRecovery, DaySleep, DayWorkout},
    record::{Cycle, Recovery, Sleep, Workout},
};

use super::{
    DayMember,
    statement::{COVERAGE, CYCLE, DayRow, MEMBER, RECOVERY, SLEEP, WORKOUT},
};
use crate::{
    StorageError,
    table::{
        RecordTable, cycle::parse_id, record::corrupt, sync_log::NOT_GRANTED, users::parse_status,
    },
};

pub(super) struct DayParts {
    pub(super) member: Option<DayMember>,
    pub(super) coverage: Vec<Coverage>,
    /// Data types with an open webhook signal: WHOOP announced a change that was not read yet.
    pub(super) signals: Vec<DataType>,
    pub(super) records: DayRecords,
}

pub(super) fn collect_rows(rows: Vec<DayRow>) -> Result<DayParts, StorageError> {
    let mut parts = DayParts {
        member: None,
        coverage: DataType::ALL.into_iter().map(Coverage::empty).collect(),
        signals: Vec::new(),
        records: DayRecords::default(),
    };
    let records = &mut parts.records;
    for row in rows {
        match row.kind {
            MEMBER => parts.member = Some(row.into_member()),
            COVERAGE if row.score_state.as_deref() == Some(NOT_GRANTED) => parts
                .coverage
                .retain(|entry| entry.data_type.as_str() != row.id),
            COVERAGE => {
                let has_signal = row.in_others.unwrap_or_default();
                let coverage = row.into_coverage();
                let signal = coverage.as_ref().filter(|_| has_signal);
                parts.signals.extend(signal.map(|entry| entry.data_type));
                let mut types = parts.coverage.iter_mut();
                let entry = types.find(|entry| {
                    Some(entry.data_type) == coverage.as_ref().map(|coverage| coverage.data_type)
                });
                if let (Some(entry), Some(coverage)) = (entry, coverage) {
                    *entry = coverage;
                }
            }
            RECOVERY => records.recoveries.push(row.into_recovery()?),
            SLEEP => records.sleeps.push(row.into_sleep()?),
            CYCLE => records.cycles.push(row.into_cycle()?),
            WORKOUT => records.workouts.push(row.into_workout()?),
            _ => (),
        }
    }
    Ok(parts)
}

/// Returns a value that is never null in a row of its table, or an error if it is null.
fn not_null<T>(value: Option<T>, table: &'static str, id: &str) -> Result<T, StorageError> {
    value.ok_or_else(|| corrupt(table, id, "a required column is null"))
}

impl DayRow {
    fn into_member(self) -> DayMember {
        DayMember {
            connection: parse_status(&self.id),
            timezone_offset: self.timezone_offset,
            last_seen_at: self.start,
            signal_at: self.end,
        }
    }

    /// Converts a coverage row. Returns `None` if the row has a data type that only a later version
    /// of this service knows.
    fn into_coverage(self) -> Option<Coverage> {
        let coverage = Coverage {
            last_sync_at: self.start,
            covered_from: self.end,
            covered_until: self.stored_at,
            whole_history: self.flag.unwrap_or_default(),
            // A day displays only that WHOOP's list contained nothing older, and not the oldest
            // record of the list. The time of that record is therefore not read.
            list_end: self.list_end_seen_at.map(|seen_at| ListEnd {
                oldest: None,
                seen_at,
            }),
            ..Coverage::empty(self.id.parse().ok()?)
        };
        let earlier = self.earlier_from.zip(self.earlier_until);
        Some(coverage.with_earlier(earlier.map(|(from, until)| CoveredSpan { from, until })))
    }

    fn into_recovery(self) -> Result<DayRecovery, StorageError> {
        let table = Recovery::TABLE;
        Ok(DayRecovery {
            cycle_id: parse_id(table, &self.id)?,
            sleep_id: SleepId(not_null(self.other, table, &self.id)?),
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            in_others: self.in_others.unwrap_or_default(),
            stored_at: not_null(self.stored_at, table, &self.id)?,
            recovery_score: self.float_0,
            resting_heart_rate: self.float_1,
            hrv_rmssd_milli: self.float_2,
            spo2_percentage: self.float_3,
            skin_temp_celsius: self.float_4,
            user_calibrating: self.flag,
        })
    }

    fn into_sleep(self) -> Result<DaySleep, StorageError> {
        let table = Sleep::TABLE;
        let cycle_id: Option<CycleId> = self.other.map(|id| parse_id(table, &id)).transpose()?;
        Ok(DaySleep {
            cycle_id,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            timezone_offset: self.timezone_offset,
            nap: self.flag.unwrap_or_default(),
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            in_others: self.in_others.unwrap_or_default(),
            stored_at: not_null(self.stored_at, table, &self.id)?,
            light_milli: self.number_0,
            slow_wave_milli: self.number_1,
            rem_milli: self.number_2,
            awake_milli: self.number_3,
            needed_milli: [self.number_4, self.number_5, self.number_6, self.number_7],
            respiratory_rate: self.float_0,
            performance_percentage: self.float_1,
            consistency_percentage: self.float_2,
            efficiency_percentage: self.float_3,
            id: SleepId(self.id),
        })
    }

    fn into_cycle(self) -> Result<DayCycle, StorageError> {
        let table = Cycle::TABLE;
        Ok(DayCycle {
            id: parse_id(table, &self.id)?,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            in_others: self.in_others.unwrap_or_default(),
            strain: self.float_0,
            kilojoule: self.float_1,
            average_heart_rate: self.float_2,
            max_heart_rate: self.float_3,
            step_count: self.number_0,
        })
    }

    fn into_workout(self) -> Result<DayWorkout, StorageError> {
        let table = Workout::TABLE;
        Ok(DayWorkout {
            sport_name: self.other,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            timezone_offset: self.timezone_offset,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            strain: self.float_0,
            kilojoule: self.float_1,
            average_heart_rate: self.float_2,
            max_heart_rate: self.float_3,
            distance_meter: self.float_4,
            zones_milli: [
                self.number_0,
                self.number_1,
                self.number_2,
                self.number_3,
                self.number_4,
                self.number_5,
            ],
            id: WorkoutId(self.id),
        })
    }
}
