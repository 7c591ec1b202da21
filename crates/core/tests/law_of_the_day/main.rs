//! Tests of the day response: each record has its place, each absent part has a reason, and no
//! figure is invented.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod any_day;
mod parts;
mod reasons;
mod unscored;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use whoop_core::{
    CycleId, DataType, SleepId, UserId, WorkoutId,
    coverage::Coverage,
    day::{
        AnswerSource, ConnectionStatus, Day, DayContext, DayCycle, DayMeta, DayRecords,
        DayRecovery, DaySleep, DayWorkout, SyncOutcome, assemble_day,
    },
    plan::{DayQuery, NightState, RefreshMode},
    record::ScoreState,
};

const NIGHT: i64 = 100;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, 10).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-02-20T12:00:00Z".parse().unwrap()
}

/// Returns the time `hour` hours after midnight of the tested date. `hour` may be negative or
/// greater than 24.
fn at(hour: i64) -> DateTime<Utc> {
    date().and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(hour)
}

fn sleep(id: &str, cycle: i64, from: i64, until: i64) -> DaySleep {
    DaySleep {
        id: SleepId(id.to_owned()),
        cycle_id: Some(CycleId(cycle)),
        start: at(from),
        end: Some(at(until)),
        timezone_offset: Some("Z".to_owned()),
        nap: false,
        score_state: ScoreState::Scored,
        in_others: false,
        stored_at: at(until + 1),
        light_milli: None,
        slow_wave_milli: None,
        rem_milli: None,
        awake_milli: None,
        needed_milli: [None; 4],
        respiratory_rate: None,
        performance_percentage: None,
        consistency_percentage: None,
        efficiency_percentage: None,
    }
}

/// Creates a scored sleep with a time asleep of `hours_asleep` hours.
fn scored(id: &str, cycle: i64, from: i64, until: i64, hours_asleep: i64) -> DaySleep {
    DaySleep {
        light_milli: Some(hours_asleep * 3_600_000 - 2),
        slow_wave_milli: Some(1),
        rem_milli: Some(1),
        performance_percentage: Some(81.5),
        ..sleep(id, cycle, from, until)
    }
}

fn nap(id: &str, from: i64, until: i64) -> DaySleep {
    DaySleep {
        nap: true,
        ..sleep(id, NIGHT, from, until)
    }
}

fn cycle(id: i64, from: i64) -> DayCycle {
    DayCycle {
        id: CycleId(id),
        start: at(from),
        end: None,
        score_state: ScoreState::Scored,
        in_others: false,
        strain: Some(14.2),
        kilojoule: Some(11_912.0),
        average_heart_rate: None,
        max_heart_rate: None,
        step_count: None,
    }
}

fn recovery(cycle: i64, sleep: &str) -> DayRecovery {
    DayRecovery {
        cycle_id: CycleId(cycle),
        sleep_id: SleepId(sleep.to_owned()),
        score_state: ScoreState::Scored,
        in_others: false,
        stored_at: at(9),
        recovery_score: Some(66.0),
        hrv_rmssd_milli: Some(31.813_562),
        resting_heart_rate: None,
        spo2_percentage: None,
        skin_temp_celsius: None,
        user_calibrating: None,
    }
}

fn workout(id: &str, from: i64) -> DayWorkout {
    DayWorkout {
        id: WorkoutId(id.to_owned()),
        sport_name: Some("rowing".to_owned()),
        start: at(from),
        end: Some(at(from + 1)),
        timezone_offset: None,
        score_state: ScoreState::Scored,
        strain: None,
        kilojoule: None,
        average_heart_rate: None,
        max_heart_rate: None,
        distance_meter: None,
        zones_milli: [None; 6],
    }
}

/// Context of a day that is ten days ago. Either all data types or none were read from WHOOP.
#[derive(Clone)]
struct DaySettings {
    coverage: Vec<Coverage>,
    connection: ConnectionStatus,
    quota_exhausted: bool,
}

impl DaySettings {
    fn all_read() -> Self {
        let read = |data_type| Coverage {
            last_sync_at: Some(now()),
            covered_from: Some(at(-24 * 30)),
            covered_until: Some(now()),
            ..Coverage::empty(data_type)
        };
        Self {
            coverage: DataType::ALL.map(read).to_vec(),
            connection: ConnectionStatus::Connected,
            quota_exhausted: false,
        }
    }

    fn nothing_read() -> Self {
        Self {
            coverage: DataType::ALL.map(Coverage::empty).to_vec(),
            ..Self::all_read()
        }
    }
}

fn day_with(records: &DayRecords, settings: &DaySettings) -> Day {
    let query = DayQuery {
        date: date(),
        dangling_references: records.dangling_references(),
        today: now().date_naive(),
        offset_seconds: 0,
        now: now(),
        freshness: TimeDelta::minutes(15),
        refresh: RefreshMode::Auto,
        forced_read_interval: TimeDelta::zero(),
        night_state: NightState::default(),
        conserve_quota: false,
        signals: None,
    };
    let meta = DayMeta {
        source: AnswerSource::Database,
        connection: settings.connection,
        last_synced_at: None,
        stale: false,
        sync: SyncOutcome::NotNeeded,
        detail: None,
    };
    let context = DayContext {
        query: &query,
        coverage: &settings.coverage,
        connection: settings.connection,
        quota_exhausted: settings.quota_exhausted,
    };
    assemble_day("mara".parse::<UserId>().unwrap(), records, context, meta)
}

fn day(records: &DayRecords) -> Day {
    day_with(records, &DaySettings::all_read())
}

fn complete_day() -> DayRecords {
    DayRecords {
        recoveries: vec![recovery(NIGHT, "night")],
        sleeps: vec![scored("night", NIGHT, -2, 6, 7)],
        cycles: vec![cycle(NIGHT, -2)],
        workouts: vec![workout("row", 17)],
    }
}
