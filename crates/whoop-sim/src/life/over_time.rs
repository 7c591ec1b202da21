//! Tests of a person's records while the clock moves.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{LifePattern, Person, PersonSpec};
use crate::{clock, data_type::SimDataType};

fn sim_start() -> DateTime<Utc> {
    clock::parse("2026-11-20T18:00:00Z").unwrap()
}

fn person(index: usize) -> Person {
    let life = LifePattern::for_index(index);
    Person::new(
        5,
        index,
        PersonSpec { life, days: 20 },
        sim_start(),
        sim_start(),
    )
}

fn all(person: &Person) -> HashMap<(SimDataType, String), Value> {
    let each = SimDataType::ALL.into_iter().flat_map(|data_type| {
        person
            .records
            .newest_first(data_type)
            .map(move |record| ((data_type, record.id.clone()), record.to_value()))
    });
    each.collect()
}

fn at(record: &Value, key: &str) -> DateTime<Utc> {
    clock::parse(record[key].as_str().unwrap()).unwrap()
}

/// Calls `check` with a person every ten simulated minutes, for `days` days.
fn watch(index: usize, days: i64, mut check: impl FnMut(DateTime<Utc>, &Person)) {
    let mut person = person(index);
    for step in 0..days * 144 {
        let now = sim_start() + TimeDelta::minutes(10 * step);
        person.advance_to(now);
        check(now, &person);
    }
}

#[test]
fn small_steps_and_one_large_step_give_the_same_records() {
    for index in (0..17).filter(|index| LifePattern::for_index(*index) != LifePattern::Decade) {
        let end = sim_start() + TimeDelta::days(12) + TimeDelta::minutes(7);
        let mut small_steps = person(index);
        let mut now = sim_start();
        while now < end {
            now = (now + TimeDelta::minutes(13)).min(end);
            small_steps.advance_to(now);
        }
        let mut one_step = person(index);
        one_step.advance_to(end);

        assert_eq!(all(&small_steps), all(&one_step), "person {index}");

        let life = LifePattern::for_index(index);
        let generated_late = Person::new(5, index, PersonSpec { life, days: 20 }, sim_start(), end);
        assert_eq!(
            all(&generated_late),
            all(&one_step),
            "person {index}, generated at the end"
        );
    }
}

#[test]
fn a_record_is_pending_then_final_and_keeps_its_id_and_times() {
    let mut before: HashMap<_, Value> = HashMap::new();
    let (mut pending, mut finalized) = (0, 0);
    watch(0, 8, |now, person| {
        let records = all(person);
        for (key, record) in &records {
            assert!(at(record, "updated_at") <= now);
            let Some(old) = before.get(key) else {
                pending += usize::from(record["score_state"] == "PENDING_SCORE");
                continue;
            };
            if old == record {
                continue;
            }
            assert!(at(old, "updated_at") < at(record, "updated_at"));
            finalized += usize::from(old["score_state"] != record["score_state"]);
            let kept = ["id", "start", "created_at", "timezone_offset", "sleep_id"];
            assert!(
                kept.iter().all(|key| old[key] == record[key]),
                "{old} {record}"
            );
            assert_ne!(
                record["score_state"], "PENDING_SCORE",
                "a final record does not become pending"
            );
        }
        before = records;
    });
    assert!(pending > 0 && finalized > 0, "{pending} {finalized}");
}

#[test]
fn some_scores_change_days_later() {
    let mut seen: HashMap<_, Value> = HashMap::new();
    let mut rescored = HashSet::new();
    watch(6, 40, |_, person| {
        for data_type in [
            SimDataType::Sleep,
            SimDataType::Recovery,
            SimDataType::Workout,
        ] {
            for record in person.records.newest_first(data_type).take(12) {
                let value = record.to_value();
                let key = (data_type, record.id.clone());
                if value["score_state"] != "SCORED" {
                    continue;
                }
                let old = seen.entry(key.clone()).or_insert_with(|| value.clone());
                if old["score"] != value["score"] {
                    let passed = at(&value, "updated_at") - at(old, "updated_at");
                    assert!(passed > TimeDelta::hours(20), "{passed}");
                    rescored.insert(key);
                }
            }
        }
    });
    assert!(!rescored.is_empty(), "no score changed");
}

#[test]
fn the_running_cycle_grows_until_the_next_sleep_is_known() {
    let mut strains: HashMap<String, (f64, usize)> = HashMap::new();
    watch(0, 10, |_, person| {
        let newest = person
            .records
            .newest_first(SimDataType::Cycle)
            .next()
            .unwrap();
        let value = newest.to_value();
        assert!(value["end"].is_null(), "the newest cycle is running");
        if let Some(strain) = value["score"]["strain"].as_f64() {
            let (last, grown) = strains.entry(newest.id.clone()).or_default();
            assert!(strain >= *last);
            *grown += usize::from(strain > *last);
            *last = strain;
        }
    });
    assert!(strains.values().any(|(_, grown)| *grown > 20));
}

#[test]
fn a_strap_out_of_reach_uploads_hours_later() {
    let mut person = person(0);
    person.advance_to(sim_start() + TimeDelta::days(200));
    let late = person
        .records
        .newest_first(SimDataType::Sleep)
        .filter(|record| {
            at(&record.to_value(), "created_at") - record.end.unwrap() > TimeDelta::hours(7)
        });
    assert!(late.count() > 5);
}

#[test]
fn every_announced_change_is_returned_once_and_in_order() {
    let mut person = person(1);
    let before = person.records.newest_first(SimDataType::Sleep).count();
    let updates = person.advance_to(sim_start() + TimeDelta::days(15));

    assert!(updates.is_sorted_by_key(|it| it.at));
    assert!(updates.iter().all(|it| it.data_type != SimDataType::Cycle));
    let announced: HashSet<_> = updates
        .iter()
        .filter(|it| it.data_type == SimDataType::Sleep)
        .map(|it| it.id.clone())
        .collect();
    let now: Vec<_> = person.records.newest_first(SimDataType::Sleep).collect();
    let new = now.len() - before;
    assert!(new >= 13, "{new}");
    assert!(now.iter().take(new).all(|it| announced.contains(&it.id)));
    assert_eq!(person.advance_to(sim_start() + TimeDelta::days(15)), []);
}

#[test]
fn an_edit_is_kept_when_the_record_changes_later() {
    let mut person = person(1);
    let now = sim_start() + TimeDelta::days(1);
    person.advance_to(now);
    let newest = person
        .records
        .newest_first(SimDataType::Sleep)
        .next()
        .unwrap();
    let id = newest.id.clone();
    let change = serde_json::json!({"timezone_offset": "+09:00"});
    crate::edit::patch_record(&mut person, SimDataType::Sleep, &id, &change, now).unwrap();
    person.advance_to(now + TimeDelta::days(9));
    let later = person
        .records
        .find(SimDataType::Sleep, &id)
        .unwrap()
        .to_value();
    assert_eq!(later["timezone_offset"], "+09:00");
    assert_ne!(later["score_state"], "PENDING_SCORE");

    crate::edit::delete_record(&mut person, SimDataType::Sleep, &id).unwrap();
    person.advance_to(now + TimeDelta::days(30));
    assert!(person.records.find(SimDataType::Sleep, &id).is_none());
}
