//! The fifth law in the database: records arrive in any order, by any number
//! of writers, and the day comes out the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use whoop_core::{
    UserId,
    local_date::{CycleTimes, RecoveryTies, SleepTimes, of_cycle, of_sleep},
    record::{Cycle, Record, Recovery, Sleep},
};

use crate::stand::{self, Stand, at, connect, for_any, store};

/// One thing that arrives from WHOOP.
#[derive(Debug, Clone)]
enum Arrival {
    Sleep(Box<Sleep>),
    Cycle(Cycle),
    Recovery(Recovery),
}

/// Id, and the day and offset it has: `cycle 3` → `2026-05-02 +02:00`.
type Days = BTreeMap<String, String>;

async fn days(stand: &Stand, member: &UserId) -> Days {
    let rows = stand
        .rows(&format!(
            "SELECT 'sleep ' || id, local_date || ' ' || coalesce(timezone_offset, '')
             FROM whoop_sleep WHERE user_id = '{member}'
             UNION ALL SELECT 'recovery ' || id, local_date || ' ' || coalesce(timezone_offset, '')
             FROM whoop_recovery WHERE user_id = '{member}'
             UNION ALL SELECT 'cycle ' || id, local_date::text
             FROM whoop_cycle WHERE user_id = '{member}'"
        ))
        .await;
    rows.into_iter()
        .map(|mut row| (row.remove(0).unwrap(), row.remove(0).unwrap()))
        .collect()
}

/// The days that the newest versions must have, each worked out from the
/// whole set at once; nothing here knows of an order.
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
    let times: Vec<SleepTimes> = sleeps
        .iter()
        .map(|sleep| SleepTimes::from(*sleep))
        .collect();
    let mut days = Days::new();
    for sleep in &times {
        let offset = sleep.timezone_offset.clone().unwrap_or_default();
        days.insert(
            format!("sleep {}", sleep.id),
            format!("{} {offset}", of_sleep(sleep)),
        );
    }
    let ids: BTreeSet<_> = cycles
        .iter()
        .map(|cycle| cycle.id)
        .chain(recoveries.iter().map(|recovery| recovery.cycle_id))
        .collect();
    for id in ids {
        let cycle = cycles
            .iter()
            .find(|one| one.id == id)
            .map(|one| CycleTimes {
                id,
                start: one.start,
                timezone_offset: one.timezone_offset.clone(),
            });
        let recovery = recoveries
            .iter()
            .find(|one| one.cycle_id == id)
            .map(|one| RecoveryTies {
                cycle_id: id,
                sleep_id: one.sleep_id.clone(),
                created_at: one.created_at,
            });
        let anchor = of_cycle(cycle.as_ref(), recovery.as_ref(), &times).unwrap();
        if cycle.is_some() {
            days.insert(format!("cycle {id}"), anchor.local_date.to_string());
        }
        if recovery.is_some() {
            let offset = anchor.timezone_offset.unwrap_or_default();
            days.insert(
                format!("recovery {id}"),
                format!("{} {offset}", anchor.local_date),
            );
        }
    }
    days
}

fn hours(from: &str, hours: i64) -> String {
    whoop_core::instant::to_text(at(from) + TimeDelta::hours(hours))
}

fn offset() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["-11:00", "-05:00", "+00:00", "+05:30", "+13:00"])
}

/// Few ids, so that sleeps, cycles and recoveries meet, move and flip. A
/// version is as new as its place in the list, and no two are of one moment.
fn any_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let sleep = (
        0..4_i64,
        1..4_i64,
        0..96_i64,
        1..12_i64,
        offset(),
        any::<bool>(),
    );
    let cycle = (1..4_i64, 0..96_i64, offset());
    let recovery = (1..4_i64, 0..4_i64, 0..96_i64);
    let first = "2026-05-01T00:00:00.000Z";
    let one = prop_oneof![
        3 => sleep.prop_map(move |(id, cycle, from, lasts, offset, nap)| {
            let times = json!({
                "start": hours(first, from), "end": hours(first, from + lasts),
                "timezone_offset": offset, "nap": nap,
            });
            Arrival::Sleep(Box::new(stand::sleep(&format!("s{id}"), cycle, times)))
        }),
        2 => cycle.prop_map(move |(id, from, offset)| Arrival::Cycle(stand::cycle(
            id,
            json!({"start": hours(first, from), "timezone_offset": offset}),
        ))),
        2 => recovery.prop_map(move |(cycle, sleep, created)| Arrival::Recovery(stand::recovery(
            cycle,
            &format!("s{sleep}"),
            json!({"created_at": hours(first, created)}),
        ))),
    ];
    prop::collection::vec(one, 1..14).prop_map(|mut arrivals| {
        for (hour, arrival) in (0..).zip(&mut arrivals) {
            let updated_at = at("2026-05-10T00:00:00Z") + TimeDelta::hours(hour);
            match arrival {
                Arrival::Sleep(sleep) => sleep.updated_at = updated_at,
                Arrival::Cycle(cycle) => cycle.updated_at = updated_at,
                Arrival::Recovery(recovery) => recovery.updated_at = updated_at,
            }
        }
        arrivals
    })
}

/// Stores arrivals in their order, as many of one type together as `page`.
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
    let orders = any_arrivals().prop_flat_map(|arrivals| {
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
        // Each with a connection of its own; all at once.
        let writers = arrivals.iter().map(async |arrival| {
            store_in_order(stand, member, std::slice::from_ref(arrival), 1).await;
        });
        futures::future::join_all(writers).await;

        assert_eq!(days(stand, member).await, expected(&arrivals));
    });
}

/// The days of the one cycle and its recovery.
async fn day_of_cycle(stand: &Stand) -> [String; 2] {
    let cycle = stand
        .value("SELECT local_date::text FROM whoop_cycle")
        .await;
    let recovery = stand
        .value("SELECT local_date::text FROM whoop_recovery")
        .await;
    [cycle.unwrap(), recovery.unwrap()]
}

/// A night that ended before midnight in its own zone, its cycle, its recovery.
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
    // Two cycles whose own dates are the 2nd; the sleep ended on the 1st.
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
