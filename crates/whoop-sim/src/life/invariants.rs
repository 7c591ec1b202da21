//! What must hold for every life, whatever the seed.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Value;

use super::{Life, Person, Role};
use crate::{clock, data_type::DataType};

const LIVES: usize = 12;

fn now() -> DateTime<Utc> {
    clock::parse("2026-11-20T18:00:00Z").unwrap()
}

fn generate(seed: u64, index: usize, days: u32, now: DateTime<Utc>) -> Person {
    let life = Life::of(index);
    Person::new(seed, index, Role { life, days }, now, now)
}

fn records(person: &Person, data_type: DataType) -> Vec<Value> {
    let records = person.records.newest_first(data_type);
    records.map(|record| record.value()).collect()
}

fn at(record: &Value, key: &str) -> DateTime<Utc> {
    clock::parse(record[key].as_str().unwrap()).unwrap()
}

fn local_date(record: &Value, key: &str) -> NaiveDate {
    let offset = record["timezone_offset"].as_str().unwrap();
    let minutes = if offset == "Z" {
        0
    } else {
        let size = offset[1..3].parse::<i64>().unwrap() * 60 + offset[4..].parse::<i64>().unwrap();
        if offset.starts_with('-') { -size } else { size }
    };
    (at(record, key).naive_utc() + TimeDelta::minutes(minutes)).date()
}

/// Everybody, for many seeds.
fn everybody(days: u32, check: impl Fn(&Person)) {
    for seed in 0..12 {
        for index in 0..LIVES {
            // Ten years are much to look through; once is enough.
            if seed > 0 && Life::of(index) == Life::Decade {
                continue;
            }
            check(&generate(seed, index, days, now()));
        }
    }
}

#[test]
fn cycles_follow_each_other_without_a_gap_and_only_the_newest_is_open() {
    everybody(45, |person| {
        let cycles = records(person, DataType::Cycle);
        assert!(cycles[0]["end"].is_null());
        for pair in cycles.windows(2) {
            assert_eq!(pair[1]["end"], pair[0]["start"]);
            assert!(at(&pair[1], "start") < at(&pair[0], "start"));
        }
    });
}

#[test]
fn every_cycle_begins_with_its_one_main_sleep_and_has_one_recovery() {
    everybody(45, |person| {
        let sleeps = records(person, DataType::Sleep);
        let main: Vec<_> = sleeps.iter().filter(|it| it["nap"] == false).collect();
        let cycles = records(person, DataType::Cycle);
        let recoveries = records(person, DataType::Recovery);
        assert_eq!(main.len(), cycles.len());
        assert_eq!(recoveries.len(), cycles.len());
        for ((cycle, sleep), recovery) in cycles.iter().zip(main).zip(&recoveries) {
            assert_eq!(cycle["start"], sleep["start"]);
            assert_eq!(cycle["id"], sleep["cycle_id"]);
            assert_eq!(cycle["id"], recovery["cycle_id"]);
            assert_eq!(sleep["id"], recovery["sleep_id"]);
            assert_eq!(sleep["score_state"], recovery["score_state"]);
        }
    });
}

#[test]
fn nobody_does_two_things_at_once_or_in_the_future() {
    everybody(45, |person| {
        let mut busy = records(person, DataType::Sleep);
        busy.extend(records(person, DataType::Workout));
        busy.sort_by_key(|record| at(record, "start"));
        for pair in busy.windows(2) {
            assert!(at(&pair[0], "end") < at(&pair[1], "start"), "{pair:?}");
        }
        for record in busy.iter().chain(&records(person, DataType::Recovery)) {
            assert!(at(record, "created_at") <= at(record, "updated_at"));
            assert!(at(record, "updated_at") <= now());
        }
        for record in &busy {
            assert!(at(record, "start") < at(record, "end"));
            assert!(at(record, "end") <= at(record, "created_at"));
        }
    });
}

#[test]
fn stages_sum_to_the_time_in_bed_and_zones_to_the_workout() {
    everybody(30, |person| {
        for sleep in records(person, DataType::Sleep) {
            let stages = &sleep["score"]["stage_summary"];
            let Some(in_bed) = stages["total_in_bed_time_milli"].as_i64() else {
                continue;
            };
            let length = at(&sleep, "end") - at(&sleep, "start");
            assert_eq!(in_bed, length.num_milliseconds());
            let parts = [
                "awake",
                "no_data",
                "light_sleep",
                "slow_wave_sleep",
                "rem_sleep",
            ];
            let part = |name| stages[format!("total_{name}_time_milli")].as_i64().unwrap();
            assert_eq!(in_bed, parts.map(part).iter().sum::<i64>());
            assert!(parts.map(part).iter().all(|part| *part >= 0));
        }
        for workout in records(person, DataType::Workout) {
            let Some(zones) = workout["score"]["zone_durations"].as_object() else {
                continue;
            };
            let sum: i64 = zones.values().map(|zone| zone.as_i64().unwrap()).sum();
            let length = at(&workout, "end") - at(&workout, "start");
            assert_eq!(sum, length.num_milliseconds());
        }
    });
}

#[test]
fn ids_are_unique_over_all_people_and_some_are_past_31_bits() {
    let mut ids = HashSet::new();
    let mut is_long = false;
    for index in 0..60 {
        let person = generate(3, index, 40, now());
        assert!(ids.insert(person.whoop_user_id.to_string()));
        for data_type in [DataType::Cycle, DataType::Sleep, DataType::Workout] {
            for record in person.records.newest_first(data_type) {
                assert!(ids.insert(record.id.clone()), "{}", record.id);
                is_long |= record.id.parse::<i64>().is_ok_and(|id| id > 1 << 31);
            }
        }
    }
    assert!(is_long);
}

#[test]
fn the_first_three_show_between_them_what_a_client_must_survive() {
    for seed in 0..12 {
        let people: Vec<_> = (0..3)
            .map(|index| generate(seed, index, 60, now()))
            .collect();
        let all = |data_type| -> Vec<Value> {
            let each = people.iter().map(|person| records(person, data_type));
            each.flatten().collect()
        };
        let (cycles, sleeps) = (all(DataType::Cycle), all(DataType::Sleep));
        let workouts = all(DataType::Workout);
        let state = |word: &'static str| move |it: &Value| it["score_state"] == word;
        let crosses = |it: &Value| local_date(it, "start") != local_date(it, "end");
        let hours = |it: &Value| {
            let end = clock::parse(it["end"].as_str().unwrap_or_default());
            end.map_or(0, |end| (end - at(it, "start")).num_hours())
        };
        let by_day = |it: &Value| it["nap"] == false && !crosses(it);
        let offsets: HashSet<_> = cycles.iter().map(|it| &it["timezone_offset"]).collect();

        assert!(sleeps.iter().any(|it| it["nap"] == true), "naps");
        assert!(sleeps.iter().any(by_day), "night shifts");
        assert!(cycles.iter().any(|it| hours(it) > 36), "missed nights");
        assert!(offsets.len() >= 5, "travel");
        assert!(workouts.iter().any(crosses), "workouts over midnight");
        let awaits = |hour| {
            let nurse = generate(seed, 1, 60, now() + TimeDelta::hours(hour));
            records(&nurse, DataType::Sleep)
                .iter()
                .any(state("PENDING_SCORE"))
        };
        assert!((0..24).any(awaits));
        assert!(sleeps.iter().any(state("UNSCORABLE")));
        assert!(sleeps.iter().any(|it| it.get("score").is_none()), "absent");
        assert!(
            sleeps
                .iter()
                .any(|it| it.get("score") == Some(&Value::Null))
        );
        assert!(cycles.iter().any(|it| it["step_count"].is_null()));
    }
}

#[test]
fn the_rest_live_as_their_names_say() {
    for seed in 0..10 {
        for index in 3..LIVES {
            if seed > 0 && Life::of(index) == Life::Decade {
                continue;
            }
            let person = generate(seed, index, 400, now());
            let sleeps = records(&person, DataType::Sleep);
            let cycles = records(&person, DataType::Cycle);
            match person.life {
                Life::DaylightSaver => {
                    let offset = |day: &str| {
                        let day: NaiveDate = day.parse().unwrap();
                        let mut nights = sleeps.iter().filter(|it| it["nap"] == false);
                        let slept = nights.find(|it| local_date(it, "end") == day);
                        slept.unwrap()["timezone_offset"].clone()
                    };
                    assert_eq!(offset("2026-03-07"), "-05:00");
                    assert_eq!(offset("2026-03-08"), "-04:00");
                    assert_eq!(offset("2026-10-31"), "-04:00");
                    assert_eq!(offset("2026-11-01"), "-05:00");
                }
                Life::Napper => {
                    let naps = sleeps.iter().filter(|it| it["nap"] == true).count();
                    assert!(naps > 200, "{naps}");
                    assert!(
                        person
                            .records
                            .newest_first(DataType::Recovery)
                            .all(|it| { it.value()["score"]["skin_temp_celsius"].is_null() })
                    );
                }
                Life::Parent => {
                    let dates = sleeps.iter().filter(|it| it["nap"] == false);
                    let distinct: HashSet<_> = dates.map(|it| local_date(it, "end")).collect();
                    assert!(distinct.len() < cycles.len(), "two cycles share a date");
                }
                Life::Athlete => {
                    let workouts = records(&person, DataType::Workout);
                    let dates: Vec<_> = workouts.iter().map(|it| local_date(it, "start")).collect();
                    assert!(dates.windows(3).any(|three| three[0] == three[2]));
                }
                Life::StrapOff => assert!(cycles.iter().any(|it| {
                    let end = it["end"].as_str().and_then(clock::parse);
                    end.is_some_and(|end| end - at(it, "start") > TimeDelta::days(3))
                })),
                Life::Newcomer => {
                    let calibrating =
                        person
                            .records
                            .newest_first(DataType::Recovery)
                            .filter(|it| {
                                let score = &it.value()["score"];
                                score["user_calibrating"] == true
                                    && score["recovery_score"].is_null()
                            });
                    assert_eq!(calibrating.count(), 4);
                    assert!(person.body_measurement.is_none());
                }
                Life::MembershipLapsed => {
                    let newest = cycles.iter().map(|it| at(it, "updated_at")).max();
                    assert!(newest.unwrap() < now() - TimeDelta::days(20));
                }
                Life::LongCycle => assert!(cycles.iter().any(|it| {
                    let end = it["end"].as_str().and_then(clock::parse);
                    end.is_some_and(|end| end - at(it, "start") == TimeDelta::hours(40))
                })),
                Life::Decade => {
                    let oldest = at(cycles.last().unwrap(), "start");
                    assert!(now() - oldest > TimeDelta::days(3_640));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn any_length_of_history_at_any_time_can_be_made() {
    for days in [0, 1, 2, 5] {
        for hour in 0..24 {
            for index in 0..LIVES {
                if hour > 0 && Life::of(index) == Life::Decade {
                    continue;
                }
                let at = now() + TimeDelta::hours(hour);
                let person = generate(1, index, days, at);
                let open = records(&person, DataType::Cycle);
                assert_eq!(
                    open.iter().filter(|it| it["end"].is_null()).count(),
                    open.len().min(1)
                );
            }
        }
    }
}
