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

use crate::stand::{self, Stand, at, connect, for_any, store};

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

async fn days(stand: &Stand, member: &UserId) -> Days {
    let rows = stand
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
            let known = by_id.entry(record.id()).or_insert(record);
            if known.updated_at() < record.updated_at() {
                *known = record;
            }
        }
        by_id.into_values().collect()
    }
    let sleeps = newest(arrivals.iter().filter_map(|one| match one {
        Arrival::Sleep(sleep) => Some(sleep.as_ref()),
        _ => None,
    }));
    let cycles = newest(arrivals.iter().filter_map(|one| match one {
        Arrival::Cycle(cycle) => Some(cycle),
        _ => None,
    }));
    let recoveries = newest(arrivals.iter().filter_map(|one| match one {
        Arrival::Recovery(recovery) => Some(recovery),
        _ => None,
    }));
    let facts = DateAssignmentInput {
        cycles: cycles.iter().map(|one| CycleTimes::from(*one)).collect(),
        recoveries: recoveries
            .iter()
            .map(|one| RecoveryLinks::from(*one))
            .collect(),
        sleeps: sleeps.iter().map(|one| SleepTimes::from(*one)).collect(),
    };
    let settled = assign_dates(&facts);
    let others = |place: &DateAssignment| if place.in_others { " others" } else { "" };
    let mut days = Days::new();
    for sleep in &facts.sleeps {
        let offset = sleep.timezone_offset.clone().unwrap_or_default();
        let date = of_sleep(sleep.start, sleep.end, sleep.timezone_offset.as_deref());
        let mut text = format!("{date} {offset}");
        if let Some(place) = settled.sleeps.get(&sleep.id) {
            text += others(place);
            if place.local_date != date {
                text += &format!(" night of {}", place.local_date);
            }
        }
        days.insert(format!("sleep {}", sleep.id), text);
    }
    for (id, place) in &settled.cycles {
        let text = format!("{}{}", place.local_date, others(place));
        days.insert(format!("cycle {id}"), text);
    }
    for (id, place) in &settled.recoveries {
        let offset = place.timezone_offset.clone().unwrap_or_default();
        let text = format!("{} {offset}{}", place.local_date, others(place));
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
    let lasts = prop::option::of(1..50_i64);
    let cycle = (1..5_i64, 0..120_i64, lasts, offset());
    let recovery = (1..5_i64, 0..4_i64, 0..120_i64, any::<bool>());
    let first = "2026-05-01T00:00:00.000Z";
    let one = prop_oneof![
        3 => sleep.prop_map(move |(id, cycle, from, lasts, offset, nap)| {
            let times = json!({
                "start": hours(first, from), "end": hours(first, from + lasts),
                "timezone_offset": offset, "nap": nap,
            });
            Arrival::Sleep(Box::new(stand::sleep(&format!("s{id}"), cycle, times)))
        }),
        2 => cycle.prop_map(move |(id, from, lasts, offset)| Arrival::Cycle(stand::cycle(
            id,
            json!({"start": hours(first, from), "timezone_offset": offset,
                   "end": lasts.map(|lasts| hours(first, from + lasts))}),
        ))),
        2 => recovery.prop_map(move |(cycle, sleep, created, is_scored)| {
            let state = if is_scored { "SCORED" } else { "PENDING_SCORE" };
            Arrival::Recovery(stand::recovery(
                cycle,
                &format!("s{sleep}"),
                json!({"created_at": hours(first, created), "score_state": state}),
            ))
        }),
    ];
    prop::collection::vec(one, 1..18).prop_map(in_time)
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
        let first = "2026-05-01T00:00:00.000Z";
        let mut arrivals = Vec::new();
        let mut from = 0;
        for (id, (lasts, asleep, names_cycle, second, recovery, gap)) in (1..).zip(nights) {
            let sleep = |name: &str, from: i64, names_cycle: bool| {
                let times = json!({"start": hours(first, from), "end": hours(first, from + asleep),
                                   "timezone_offset": offset});
                let mut sleep = stand::sleep(&format!("{name}{id}"), id, times);
                sleep.cycle_id = sleep.cycle_id.filter(|_| names_cycle);
                Arrival::Sleep(Box::new(sleep))
            };
            let cycle = |end: Option<i64>| {
                let end = end.map(|lasts| hours(first, from + lasts));
                Arrival::Cycle(stand::cycle(
                    id,
                    json!({"start": hours(first, from), "end": end, "timezone_offset": offset}),
                ))
            };
            arrivals.push(cycle(None));
            arrivals.push(sleep("night", from, names_cycle));
            arrivals.extend(second.map(|names| sleep("second", from + asleep, names)));
            arrivals.extend(recovery.map(|is_scored| {
                let state = if is_scored { "SCORED" } else { "PENDING_SCORE" };
                Arrival::Recovery(stand::recovery(
                    id,
                    &format!("night{id}"),
                    json!({"created_at": hours(first, from + asleep), "score_state": state}),
                ))
            }));
            arrivals.push(cycle(Some(lasts)));
            from += lasts + gap * 24;
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
async fn store_in_order(stand: &Stand, member: &UserId, arrivals: &[Arrival], page: usize) {
    let mut conn = stand.connection().await;
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
fn records_that_arrive_in_any_order_get_the_same_days() {
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
        async |stand, member, (arrivals, shuffled, page)| {
            store_in_order(stand, member, &shuffled, page).await;

            assert_eq!(days(stand, member).await, expected(&arrivals));
        },
    );
}

#[test]
fn writers_at_the_same_time_give_the_same_days_as_one_after_another() {
    for_any(24, any_arrivals(), async |stand, member, arrivals| {
        // Each arrival is stored on a separate connection, all at the same time.
        let writers = arrivals.iter().map(async |arrival| {
            store_in_order(stand, member, std::slice::from_ref(arrival), 1).await;
        });
        futures::future::join_all(writers).await;

        assert_eq!(days(stand, member).await, expected(&arrivals));
    });
}

/// Returns the local dates of the only cycle and its recovery.
async fn day_of_cycle(stand: &Stand) -> [String; 2] {
    let cycle = stand
        .value("SELECT local_date::text FROM whoop_cycle")
        .await;
    let recovery = stand
        .value("SELECT local_date::text FROM whoop_recovery")
        .await;
    [cycle.unwrap(), recovery.unwrap()]
}

/// Stores a night that ended before midnight in its own time zone, its cycle and its recovery.
async fn an_early_night(stand: &Stand, member: &UserId) {
    let mut conn = stand.connection().await;
    let night = json!({"start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z"});
    store(&mut conn, member, &[stand::sleep("night", 5, night)]).await;
    let began = json!({"start": "2026-05-01T14:00:00.000Z"});
    store(&mut conn, member, &[stand::cycle(5, began)]).await;
    store(&mut conn, member, &[stand::recovery(5, "night", json!({}))]).await;
    assert_eq!(day_of_cycle(stand).await, ["2026-05-01", "2026-05-01"]);
}

#[tokio::test]
async fn a_night_that_becomes_a_nap_and_a_night_again_moves_its_cycle_both_times() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    an_early_night(&stand, &member).await;
    let version = |nap: bool, updated_at: &str| {
        let times = json!({
            "start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z",
            "nap": nap, "updated_at": updated_at,
        });
        stand::sleep("night", 5, times)
    };

    store(
        &mut conn,
        &member,
        &[version(true, "2026-05-02T08:00:00.000Z")],
    )
    .await;
    assert_eq!(day_of_cycle(&stand).await, ["2026-05-02", "2026-05-02"]);

    store(
        &mut conn,
        &member,
        &[version(false, "2026-05-02T09:00:00.000Z")],
    )
    .await;
    assert_eq!(day_of_cycle(&stand).await, ["2026-05-01", "2026-05-01"]);
}

#[tokio::test]
async fn a_sleep_that_moves_to_another_cycle_moves_the_days_of_both() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    // Two cycles with the own date 2 May; the sleep ended on 1 May.
    let night = |cycle: i64, updated_at: &str| {
        let times = json!({
            "start": "2026-05-01T14:00:00.000Z", "end": "2026-05-01T21:00:00.000Z",
            "updated_at": updated_at,
        });
        stand::sleep("night", cycle, times)
    };
    let cycles = [5, 6].map(|id| stand::cycle(id, json!({"start": "2026-05-01T14:00:00.000Z"})));
    store(&mut conn, &member, &cycles).await;
    store(&mut conn, &member, &[night(5, "2026-05-02T08:00:00.000Z")]).await;
    let days = async || {
        let rows = stand
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
async fn a_cycle_read_again_keeps_the_day_of_its_night() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    an_early_night(&stand, &member).await;

    let grown = json!({
        "start": "2026-05-01T14:00:00.000Z", "updated_at": "2026-05-02T11:00:00.000Z",
        "score": {"strain": 9.5},
    });
    store(&mut conn, &member, &[stand::cycle(5, grown)]).await;
    let rescored = json!({
        "updated_at": "2026-05-02T11:00:00.000Z", "score": {"recovery_score": 40.0},
    });
    store(&mut conn, &member, &[stand::recovery(5, "night", rescored)]).await;

    assert_eq!(day_of_cycle(&stand).await, ["2026-05-01", "2026-05-01"]);
    let offset = stand
        .value("SELECT timezone_offset FROM whoop_recovery")
        .await;
    assert_eq!(offset.as_deref(), Some("+00:00"));
}

#[tokio::test]
async fn the_members_own_offset_is_that_of_their_latest_record() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    let in_lima = json!({"start": "2026-05-09T22:00:00.000Z", "timezone_offset": "-05:00"});
    let in_oslo = json!({"start": "2026-05-03T22:00:00.000Z", "timezone_offset": "+02:00"});

    store(&mut conn, &member, &[stand::cycle(7, in_lima)]).await;
    store(&mut conn, &member, &[stand::cycle(6, in_oslo)]).await;

    let offset = stand.value("SELECT timezone_offset FROM whoop_users").await;
    assert_eq!(offset.as_deref(), Some("-05:00"));
}
