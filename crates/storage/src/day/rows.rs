//! What the rows of the statement mean.

use whoop_core::{
    CycleId, DataType, SleepId, WorkoutId,
    coverage::{Coverage, ListEnd},
    day::Records,
    record::{
        Cycle, CycleScore, Extra, Recovery, RecoveryScore, Sleep, SleepNeeded, SleepScore,
        StageSummary, Workout, WorkoutScore, ZoneDurations,
    },
};

use super::{
    DayMember,
    statement::{COVERAGE, CYCLE, MEMBER, RECOVERY, Row, SLEEP, WORKOUT},
};
use crate::{
    StorageError,
    table::{
        RecordTable,
        cycle::parse_id,
        record::{corrupt, present},
        sync_log::NOT_GRANTED,
        users::connection_of,
    },
};

pub(super) struct Gathered {
    pub(super) member: Option<DayMember>,
    pub(super) coverage: Vec<Coverage>,
    pub(super) records: Records,
}

pub(super) fn gather(rows: Vec<Row>) -> Result<Gathered, StorageError> {
    let mut gathered = Gathered {
        member: None,
        coverage: DataType::ALL.into_iter().map(Coverage::none).collect(),
        records: Records::default(),
    };
    let mut whoop_user_id = 0;
    let records = &mut gathered.records;
    for row in rows {
        match row.kind {
            MEMBER => {
                whoop_user_id = row.number_0.unwrap_or_default();
                gathered.member = Some(row.into_member());
            }
            COVERAGE if row.score_state.as_deref() == Some(NOT_GRANTED) => gathered
                .coverage
                .retain(|one| one.data_type.as_str() != row.id),
            COVERAGE => {
                let known = row.into_coverage();
                let mut types = gathered.coverage.iter_mut();
                let place = types
                    .find(|one| Some(one.data_type) == known.as_ref().map(|known| known.data_type));
                if let (Some(place), Some(known)) = (place, known) {
                    *place = known;
                }
            }
            RECOVERY => records.recoveries.push(row.into_recovery(whoop_user_id)?),
            SLEEP => records.sleeps.push(row.into_sleep(whoop_user_id)?),
            CYCLE => records.cycles.push(row.into_cycle(whoop_user_id)?),
            WORKOUT => records.workouts.push(row.into_workout(whoop_user_id)?),
            _ => (),
        }
    }
    Ok(gathered)
}

/// What every table has and none may lack.
fn not_null<T>(value: Option<T>, table: &'static str, id: &str) -> Result<T, StorageError> {
    value.ok_or_else(|| corrupt(table, id, "a column is null that never is"))
}

impl Row {
    fn into_member(self) -> DayMember {
        DayMember {
            connection: connection_of(&self.id),
            timezone_offset: self.timezone_offset,
            last_seen_at: self.start,
            webhook_at: self.end,
        }
    }

    /// `None` for a type that a later version knows.
    fn into_coverage(self) -> Option<Coverage> {
        Some(Coverage {
            data_type: self.id.parse().ok()?,
            last_sync_at: self.start,
            covered_from: self.end,
            covered_until: self.created_at,
            whole_history: self.flag.unwrap_or_default(),
            // A day shows that the list ended, and not where.
            list_end: self.updated_at.map(|seen_at| ListEnd {
                oldest: None,
                seen_at,
            }),
        })
    }

    fn into_recovery(self, user_id: i64) -> Result<Recovery, StorageError> {
        let score = RecoveryScore {
            user_calibrating: self.flag,
            recovery_score: self.float_0,
            resting_heart_rate: self.float_1,
            hrv_rmssd_milli: self.float_2,
            spo2_percentage: self.float_3,
            skin_temp_celsius: self.float_4,
            extra: Extra::new(),
        };
        let table = Recovery::TABLE;
        Ok(Recovery {
            cycle_id: parse_id(table, &self.id)?,
            sleep_id: SleepId(not_null(self.other, table, &self.id)?),
            user_id,
            created_at: not_null(self.created_at, table, &self.id)?,
            updated_at: not_null(self.updated_at, table, &self.id)?,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            score: present(score),
            extra: Extra::new(),
        })
    }

    fn into_sleep(self, user_id: i64) -> Result<Sleep, StorageError> {
        let stages = StageSummary {
            total_light_sleep_time_milli: self.number_0,
            total_slow_wave_sleep_time_milli: self.number_1,
            total_rem_sleep_time_milli: self.number_2,
            total_awake_time_milli: self.number_3,
            // Only says that WHOOP sent a summary at all.
            total_in_bed_time_milli: self.number_4,
            ..StageSummary::default()
        };
        let need = SleepNeeded {
            baseline_milli: self.number_5,
            need_from_sleep_debt_milli: self.number_6,
            need_from_recent_strain_milli: self.number_7,
            need_from_recent_nap_milli: self.number_8,
            extra: Extra::new(),
        };
        let score = SleepScore {
            stage_summary: present(stages),
            sleep_needed: present(need),
            respiratory_rate: self.float_0,
            sleep_performance_percentage: self.float_1,
            sleep_consistency_percentage: self.float_2,
            sleep_efficiency_percentage: self.float_3,
            extra: Extra::new(),
        };
        let table = Sleep::TABLE;
        let cycle_id: Option<CycleId> = self.other.map(|id| parse_id(table, &id)).transpose()?;
        Ok(Sleep {
            cycle_id,
            v1_id: None,
            user_id,
            created_at: not_null(self.created_at, table, &self.id)?,
            updated_at: not_null(self.updated_at, table, &self.id)?,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            timezone_offset: self.timezone_offset,
            nap: self.flag,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            score: present(score),
            extra: Extra::new(),
            id: SleepId(self.id),
        })
    }

    fn into_cycle(self, user_id: i64) -> Result<Cycle, StorageError> {
        let score = CycleScore {
            strain: self.float_0,
            kilojoule: self.float_1,
            average_heart_rate: self.float_2,
            max_heart_rate: self.float_3,
            extra: Extra::new(),
        };
        let table = Cycle::TABLE;
        Ok(Cycle {
            id: parse_id(table, &self.id)?,
            user_id,
            created_at: not_null(self.created_at, table, &self.id)?,
            updated_at: not_null(self.updated_at, table, &self.id)?,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            timezone_offset: self.timezone_offset,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            score: present(score),
            step_count: self.number_0,
            extra: Extra::new(),
        })
    }

    fn into_workout(self, user_id: i64) -> Result<Workout, StorageError> {
        let zones = ZoneDurations {
            zone_zero_milli: self.number_0,
            zone_one_milli: self.number_1,
            zone_two_milli: self.number_2,
            zone_three_milli: self.number_3,
            zone_four_milli: self.number_4,
            zone_five_milli: self.number_5,
            extra: Extra::new(),
        };
        let score = WorkoutScore {
            strain: self.float_0,
            kilojoule: self.float_1,
            average_heart_rate: self.float_2,
            max_heart_rate: self.float_3,
            distance_meter: self.float_4,
            zone_durations: present(zones),
            ..WorkoutScore::default()
        };
        let table = Workout::TABLE;
        Ok(Workout {
            v1_id: None,
            user_id,
            created_at: not_null(self.created_at, table, &self.id)?,
            updated_at: not_null(self.updated_at, table, &self.id)?,
            start: not_null(self.start, table, &self.id)?,
            end: self.end,
            timezone_offset: self.timezone_offset,
            sport_name: self.other,
            score_state: not_null(self.score_state, table, &self.id)?.into(),
            score: present(score),
            sport_id: None,
            extra: Extra::new(),
            id: WorkoutId(self.id),
        })
    }
}
