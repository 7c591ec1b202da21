//! Law 5 in the database: the local dates do not depend on the order in which records arrive, nor
//! on the number of concurrent writers.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use whoop_core::{
    UserId,
    date_assignment::{
        CycleTimes, DateAssignment, DateAssignmentInput, RecoveryLinks, SleepTimes, assign_dates,
    },
    local_date::of_sleep,
    record::{Cycle, Record, Recovery, Sleep},
};

use crate::test_env::{self, TestEnv, at, connect, for_any, store};

/// A record that arrives from WHOOP.
#[derive(Debug, Clone)]
enum Arrival {
    Sleep(Box<Sleep>),
    Cycle(Cycle),
    Recovery(Recovery),
}

/// Dates and offsets by id: `cycle 3` → `2026-05-02 +02:00`. `others` is added if the date shows
/// another cycle, and `night of` if the sleep is part of another date's night.
type Days = BTreeMap<String, String>;

async fn days(env: &TestEnv, member: &UserId) -> Days {
    let rows = env
        .rows(&format!(
            "SELECT 'sleep ' || id, local_date || ' ' || coalesce(timezone_offset, '')
                    || CASE WHEN in_others THEN ' others' ELSE '' END
                    || coalesce(' night of ' || night_date, '')
             FROM whoop_sleep WHERE user_id = '{member}'
             UNION ALL SELECT 'recovery ' || id, local_date || ' ' || coalesce(timezone_offset, '')
                    || CASE WHEN in_others THEN ' others' ELSE '' END
             FROM whoop_recovery WHERE user_id = '{member}'
             UNION ALL SELECT 'cycle ' || id, local_date
                    || CASE WHEN in_others THEN ' others' ELSE '' END
             FROM whoop_cycle WHERE user_id = '{member}'"
        ))
        .await;
    rows.into_iter()
        .map(|mut row| (row.remove(0).unwrap(), row.remove(0).unwrap()))
        .collect()
}

/// Computes the expected dates from the newest versions of all records at once, regardless of their
/// order.
fn expected(arrivals: &[Arrival]) -> Days {
    fn newest<'a, R: Record>(all: impl Iterator<Item = &'a R>) -> Vec<&'a R> {
        let mut by_id: BTreeMap<String, &R> = BTreeMap::new();
        for record in all {
            let kept = by_id.entry(record.id()).or_insert(record);
            if kept.updated_at() < record.updated_at() {
                *kept = record;
            }
        }
        by_id.into_values().collect()
    }
    let sleeps = newest(arrivals.iter().filter_map(|arrival| match arrival {
        Arrival::Sleep(sleep) => Some(sleep.as_ref()),
        _ => None,
    }));
    let cycles = newest(arrivals.iter().filter_map(|arrival| match arrival {
        Arrival::Cycle(cycle) => Some(cycle),
        _ => None,
    }));
    let recoveries = newest(arrivals.iter().filter_map(|arrival| match arrival {
        Arrival::Recovery(recovery) => Some(recovery),
        _ => None,
    }));
    let input = DateAssignmentInput {
        cycles: cycles
            .iter()
            .map(|arrival| CycleTimes::from(*arrival))
            .collect(),
        recoveries: recoveries
            .iter()
            .map(|arrival| RecoveryLinks::from(*arrival))
            .collect(),
        sleeps: sleeps
            .iter()
            .map(|arrival| SleepTimes::from(*arrival))
            .collect(),
    };
    let assignments = assign_dates(&input);
    let others = |assignment: &DateAssignment| if assignment.in_others { " others" } else { "" };
    let mut days = Days::new();
    for sleep in &input.sleeps {
        let offset = sleep.timezone_offset.clone().unwrap_or_default();
        let date = of_sleep(sleep.start, sleep.end, sleep.timezone_offset.as_deref());
        let mut text = format!("{date} {offset}");
        if let Some(assignment) = assignments.sleeps.get(&sleep.id) {
            text += others(assignment);
            if assignment.local_date != date {
                text += &format!(" night of {}", assignment.local_date);
            }
        }
        days.insert(format!("sleep {}", sleep.id), text);
    }
    for (id, assignment) in &assignments.cycles {
        let text = format!("{}{}", assignment.local_date, others(assignment));
        days.insert(format!("cycle {id}"), text);
    }
    for (id, assignment) in &assignments.recoveries {
        let offset = assignment.timezone_offset.clone().unwrap_or_default();
        let text = format!("{} {offset}{}", assignment.local_date, others(assignment));
        days.insert(format!("recovery {id}"), text);
    }
    days
}

fn hours(from: &str, hours: i64) -> String {
    whoop_core::instant::to_text(at(from) + TimeDelta::hours(hours))
}

fn offset() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["-11:00", "-05:00", "+00:00", "+05:30", "+13:00"])
}

/// Generates arrivals with few ids, so that sleeps, cycles and recoveries refer to each other, move
/// and change.
fn any_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let sleep = (
        0..4_i64,
        1..5_i64,
        0..120_i64,
        1..12_i64,
        offset(),
        any::<bool>(),
    );
    let duration = prop::option::of(1..50_i64);
    let cycle = (1..5_i64, 0..120_i64, duration, offset());
    let recovery = (1..5_i64, 0..4_i64, 0..120_i64, any::<bool>());
    let base = "2026-05-01T00:00:00.000Z";
    let arrival = prop_oneof![
        3 => sleep.prop_map(move |(id, cycle, from, duration, offset, nap)| {
            let times = json!({
                "start": hours(base, from), "end": hours(base, from + duration),
                "timezone_offset": offset, "nap": nap,
            });
            Arrival::Sleep(Box::new(test_env::sleep(&format!("s{id}"), cycle, times)))
        }),
        2 => cycle.prop_map(move |(id, from, duration, offset)| Arrival::Cycle(test_env::cycle(
            id,
            json!({"start": hours(base, from), "timezone_offset": offset,
                   "end": duration.map(|duration| hours(base, from + duration))}),
        ))),
        2 => recovery.prop_map(move |(cycle, sleep, created, is_scored)| {
            let state = if is_scored { "SCORED" } else { "PENDING_SCORE" };
            Arrival::Recovery(test_env::recovery(
                cycle,
                &format!("s{sleep}"),
                json!({"created_at": hours(base, created), "score_state": state}),
            ))
        }),
    ];
    prop::collection::vec(arrival, 1..18).prop_map(in_time)
}

/// Generates realistic nights, with or without the id of the cycle. Each cycle arrives while it is
/// running and again after it has ended.
fn any_life() -> impl Strategy<Value = Vec<Arrival>> {
    let night = (
        5..50_i64,
        1..5_i64,
        any::<bool>(),
        prop::option::of(any::<bool>()),
        prop::option::of(any::<bool>()),
        0..3_i64,
    );
    (prop::collection::vec(night, 1..7), offset()).prop_map(|(nights, offset)| {
        let base = "2026-05-01T00:00:00.000Z";
        let mut arrivals = Vec::new();
        let mut from = 0;
        for (id, (duration, asleep, names_cycle, second, recovery, gap)) in (1..).zip(nights) {
            let sleep = |name: &str, from: i64, names_cycle: bool| {
                let times = json!({"start": hours(base, from), "end": hours(base, from + asleep),
                                   "timezone_offset": offset});
                let mut sleep = test_env::sleep(&format!("{name}{id}"), id, times);
                sleep.cycle_id = sleep.cycle_id.filter(|_| names_cycle);
                Arrival::Sleep(Box::new(sleep))
            };
            let cycle = |end: Option<i64>| {
                let end = end.map(|duration| hours(base, from + duration));
                Arrival::Cycle(test_env::cycle(
                    id,
                    json!({"start": hours(base, from), "end": end, "timezone_offset": offset}),
                ))
            };
            arrivals.push(cycle(None));
            arrivals.push(sleep("night", from, names_cycle));
            arrivals.extend(second.map(|names| sleep("second", from + asleep, names)));
            arrivals.extend(recovery.map(|is_scored| {
                let state = if is_scored { "SCORED" } else { "PENDING_SCORE" };
                Arrival::Recovery(test_env::recovery(
                    id,
                    &format!("night{id}"),
                    json!({"created_at": hours(base, from + asleep), "score_state": state}),
                ))
            }));
            arrivals.push(cycle(Some(duration)));
            from += duration + gap * 24;
        }
        in_time(arrivals)
    })
}

/// Sets `updated_at` by the position in the list, so that all versions have different times.
fn in_time(mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
    for (hour, arrival) in (0..).zip(&mut arrivals) {
        let updated_at = at("2026-05-10T00:00:00Z") + TimeDelta::hours(hour);
        match arrival {
            Arrival::Sleep(sleep) => sleep.updated_at = updated_at,
            Arrival::Cycle(cycle) => cycle.updated_at = updated_at,
            Arrival::Recovery(recovery) => recovery.updated_at = updated_at,
        }
    }
    arrivals
}

/// Stores arrivals in order, in groups of `page` arrivals.
async fn store_in_order(env: &TestEnv, member: &UserId, arrivals: &[Arrival], page: usize) {
    let mut conn = env.connection().await;
    for arrivals in arrivals.chunks(page) {
        let mut sleeps = Vec::new();
        let mut cycles = Vec::new();
        let mut recoveries = Vec::new();
        for arrival in arrivals {
            match arrival.clone() {
                Arrival::Sleep(sleep) => sleeps.push(*sleep),
                Arrival::Cycle(cycle) => cycles.push(cycle),
                Arrival::Recovery(recovery) => recoveries.push(recovery),
            }
        }
        store(&mut conn, member, &recoveries).await;
        store(&mut conn, member, &cycles).await;
        store(&mut conn, member, &sleeps).await;
    }
}

#[test]
fn records_that_arrive_in_any_order_get_the_same_dates() {
    let arrivals = prop_oneof![any_arrivals(), any_life()];
    let orders = arrivals.prop_flat_map(|arrivals| {
        (
            Just(arrivals.clone()),
            Just(arrivals).prop_shuffle(),
            1_usize..6,
        )
    });
    for_any(
        96,
        orders,
        async |env, member, (arrivals, shuffled, page)| {
            store_in_order(env, member, &shuffled, page).await;

            assert_eq!(days(env, member).await, expected(&arrivals));
        },
    );
}

#[test]
fn concurrent_writers_produce_the_same_dates_as_sequential_ones() {
    for_any(24, any_arrivals(), async |env, member, arrivals| {
        // Each arrival is stored on a separate connection, all at the same time.
        let writers = arrivals.iter().map(async |arrival| {
            store_in_order(env, member, std::slice::from_ref(arrival), 1).await;
        });
        futures::future::join_all(writers).await;

        assert_eq!(days(env, member).await, expected(&arrivals));
    });
}

/// Returns the local dates of the only cycle and its recovery.
async fn dates_of_cycle_and_recovery(env: &TestEnv) -> [String; 2] {
    let cycle = env.value("SELECT local_date::text FROM whoop_cycle").await;
    let recovery = env
        .value("SELECT local_date::text FROM whoop_recovery")
        .await;
    [cycle.unwrap(), recovery.unwrap()]
}

/// Stores a night that ended before midnight in its own time zone, its cycle and its recovery.
async fn store_early_night(env: &TestEnv, member: &UserId) {
    let mut conn = env.connection().await;
    let night = json!({"start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z"});
    store(&mut conn, member, &[test_env::sleep("night", 5, night)]).await;
    let cycle_times = json!({"start": "2026-05-01T14:00:00.000Z"});
    store(&mut conn, member, &[test_env::cycle(5, cycle_times)]).await;
    store(
        &mut conn,
        member,
        &[test_env::recovery(5, "night", json!({}))],
    )
    .await;
    assert_eq!(
        dates_of_cycle_and_recovery(env).await,
        ["2026-05-01", "2026-05-01"]
    );
}

#[tokio::test]
async fn a_night_that_becomes_a_nap_and_a_night_again_moves_its_cycle_twice() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store_early_night(&env, &member).await;
    let version = |nap: bool, updated_at: &str| {
        let times = json!({
            "start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z",
            "nap": nap, "updated_at": updated_at,
        });
        test_env::sleep("night", 5, times)
    };

    store(
        &mut conn,
        &member,
        &[version(true, "2026-05-02T08:00:00.000Z")],
    )
    .await;
    assert_eq!(
        dates_of_cycle_and_recovery(&env).await,
        ["2026-05-02", "2026-05-02"]
    );

    store(
        &mut conn,
        &member,
        &[version(false, "2026-05-02T09:00:00.000Z")],
    )
    .await;
    assert_eq!(
        dates_of_cycle_and_recovery(&env).await,
        ["2026-05-01", "2026-05-01"]
    );
}

#[tokio::test]
async fn a_sleep_that_moves_to_another_cycle_moves_the_dates_of_both() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    // Two cycles with the own date 2 May; the sleep ended on 1 May.
    let night = |cycle: i64, updated_at: &str| {
        let times = json!({
            "start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z",
            "updated_at": updated_at,
        });
        test_env::sleep("night", cycle, times)
    };
    let cycles = [5, 6].map(|id| test_env::cycle(id, json!({"start": "2026-05-01T14:00:00.000Z"})));
    store(&mut conn, &member, &cycles).await;
    store(&mut conn, &member, &[night(5, "2026-05-02T08:00:00.000Z")]).await;
    let days = async || {
        let rows = env
            .rows("SELECT local_date::text FROM whoop_cycle ORDER BY id")
            .await;
        rows.into_iter()
            .map(|mut row| row.remove(0).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(days().await, ["2026-05-01", "2026-05-02"]);

    store(&mut conn, &member, &[night(6, "2026-05-02T09:00:00.000Z")]).await;

    assert_eq!(days().await, ["2026-05-02", "2026-05-01"]);
}

#[tokio::test]
async fn a_cycle_that_is_read_again_keeps_the_date_of_its_night() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store_early_night(&env, &member).await;

    let grown = json!({
        "start": "2026-05-01T14:00:00.000Z", "updated_at": "2026-05-02T11:00:00.000Z",
        "score": {"strain": 9.5},
    });
    store(&mut conn, &member, &[test_env::cycle(5, grown)]).await;
    let rescored = json!({
        "updated_at": "2026-05-02T11:00:00.000Z", "score": {"recovery_score": 40.0},
    });
    store(
        &mut conn,
        &member,
        &[test_env::recovery(5, "night", rescored)],
    )
    .await;

    assert_eq!(
        dates_of_cycle_and_recovery(&env).await,
        ["2026-05-01", "2026-05-01"]
    );
    let offset = env
        .value("SELECT timezone_offset FROM whoop_recovery")
        .await;
    assert_eq!(offset.as_deref(), Some("+00:00"));
}

#[tokio::test]
async fn the_members_offset_is_that_of_the_latest_record() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let in_lima = json!({"start": "2026-05-09T22:00:00.000Z", "timezone_offset": "-05:00"});
    let in_oslo = json!({"start": "2026-05-03T22:00:00.000Z", "timezone_offset": "+02:00"});

    store(&mut conn, &member, &[test_env::cycle(7, in_lima)]).await;
    store(&mut conn, &member, &[test_env::cycle(6, in_oslo)]).await;

    let offset = env.value("SELECT timezone_offset FROM whoop_users").await;
    assert_eq!(offset.as_deref(), Some("-05:00"));
}
