//! The one-call day: the right records in the right places, a reason for
//! everything absent, and never a made-up number.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod any_day;
mod parts;
mod reasons;
mod unscored;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::json;
use whoop_core::{
    DataType, UserId,
    coverage::Coverage,
    day::{Connection, Day, Knowledge, Meta, Records, Source, SyncOutcome, compose},
    plan::{DayQuery, Night, Refresh},
    record::{Cycle, Recovery, Sleep, Workout},
};

const NIGHT: i64 = 100;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, 10).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-02-20T12:00:00Z".parse().unwrap()
}

/// `hour` may count past 24 or below zero, from midnight of the day.
fn at(hour: i64) -> DateTime<Utc> {
    date().and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(hour)
}

fn sleep(id: &str, cycle: i64, from: i64, until: i64) -> Sleep {
    serde_json::from_value(json!({
        "id": id, "cycle_id": cycle, "user_id": 1, "nap": false, "score_state": "SCORED",
        "created_at": at(until), "updated_at": at(until), "start": at(from), "end": at(until),
        "timezone_offset": "Z",
    }))
    .unwrap()
}

/// A sleep scored with so many hours asleep.
fn scored(id: &str, cycle: i64, from: i64, until: i64, hours_asleep: i64) -> Sleep {
    let light = hours_asleep * 3_600_000 - 2;
    let mut sleep = sleep(id, cycle, from, until);
    sleep.score = serde_json::from_value(json!({
        "stage_summary": {
            "total_light_sleep_time_milli": light,
            "total_slow_wave_sleep_time_milli": 1, "total_rem_sleep_time_milli": 1,
        },
        "sleep_performance_percentage": 81.5,
    }))
    .unwrap();
    sleep
}

fn nap(id: &str, from: i64, until: i64) -> Sleep {
    Sleep {
        nap: Some(true),
        ..sleep(id, NIGHT, from, until)
    }
}

fn cycle(id: i64, from: i64) -> Cycle {
    serde_json::from_value(json!({
        "id": id, "user_id": 1, "score_state": "SCORED", "created_at": at(from),
        "updated_at": at(from), "start": at(from), "timezone_offset": "Z",
        "score": {"strain": 14.2, "kilojoule": 11_912.0},
    }))
    .unwrap()
}

fn recovery(cycle: i64, sleep: &str) -> Recovery {
    serde_json::from_value(json!({
        "cycle_id": cycle, "sleep_id": sleep, "user_id": 1, "score_state": "SCORED",
        "created_at": at(8), "updated_at": at(8),
        "score": {"recovery_score": 66.0, "hrv_rmssd_milli": 31.813_562},
    }))
    .unwrap()
}

fn workout(id: &str, from: i64) -> Workout {
    serde_json::from_value(json!({
        "id": id, "user_id": 1, "score_state": "SCORED", "created_at": at(from),
        "updated_at": at(from), "start": at(from), "end": at(from + 1), "sport_name": "rowing",
    }))
    .unwrap()
}

/// A date ten days past, with everything read or nothing.
#[derive(Clone)]
struct Known {
    coverage: Vec<Coverage>,
    connection: Connection,
    quota_spent: bool,
}

impl Known {
    fn everything() -> Self {
        let read = |data_type| Coverage {
            last_sync_at: Some(now()),
            covered_from: Some(at(-24 * 30)),
            covered_until: Some(now()),
            ..Coverage::none(data_type)
        };
        Self {
            coverage: DataType::ALL.map(read).to_vec(),
            connection: Connection::Connected,
            quota_spent: false,
        }
    }

    fn nothing() -> Self {
        Self {
            coverage: DataType::ALL.map(Coverage::none).to_vec(),
            ..Self::everything()
        }
    }
}

fn day_known(records: &Records, known: &Known) -> Day {
    let query = DayQuery {
        date: date(),
        today: now().date_naive(),
        offset_seconds: 0,
        now: now(),
        freshness: TimeDelta::minutes(15),
        refresh: Refresh::Auto,
        night: Night::default(),
        thrifty: false,
        heard: None,
    };
    let meta = Meta {
        source: Source::Database,
        connection: known.connection,
        last_synced_at: None,
        stale: false,
        sync: SyncOutcome::NotNeeded,
        detail: None,
    };
    let knowledge = Knowledge {
        query: &query,
        coverage: &known.coverage,
        connection: known.connection,
        quota_spent: known.quota_spent,
    };
    compose("mara".parse::<UserId>().unwrap(), records, knowledge, meta)
}

fn day(records: &Records) -> Day {
    day_known(records, &Known::everything())
}

fn whole_night() -> Records {
    Records {
        recoveries: vec![recovery(NIGHT, "night")],
        sleeps: vec![scored("night", NIGHT, -2, 6, 7)],
        cycles: vec![cycle(NIGHT, -2)],
        workouts: vec![workout("row", 17)],
    }
}
