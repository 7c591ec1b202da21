//! Tests of properties that hold for every life pattern and every seed.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{LifePattern, Person, PersonSpec};
use crate::{clock, data_type::SimDataType};

const LIVES: usize = 17;

fn now() -> DateTime<Utc> {
    clock::parse("2026-11-20T18:00:00Z").unwrap()
}

fn generate(seed: u64, index: usize, days: u32, now: DateTime<Utc>) -> Person {
    let life = LifePattern::for_index(index);
    Person::new(seed, index, PersonSpec { life, days }, now, now)
}

fn records(person: &Person, data_type: SimDataType) -> Vec<Value> {
    let records = person.records.newest_first(data_type);
    records.map(|record| record.to_value()).collect()
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

/// Calls `check` with one person of every life pattern, for each of 12 seeds.
fn for_all_people(days: u32, check: impl Fn(&Person)) {
    for seed in 0..12 {
        for index in 0..LIVES {
            // Checking ten years of records is slow, so this pattern is checked with one seed only.
            if seed > 0 && LifePattern::for_index(index) == LifePattern::Decade {
                continue;
            }
            check(&generate(seed, index, days, now()));
        }
    }
}

#[test]
fn cycles_never_overlap_and_at_most_the_newest_is_open() {
    for_all_people(60, |person| {
        let cycles = records(person, SimDataType::Cycle);
        for pair in cycles.windows(2) {
            assert!(at(&pair[1], "start") < at(&pair[0], "start"));
            assert!(at(&pair[1], "end") <= at(&pair[0], "start"), "{pair:?}");
        }
    });
}

#[test]
fn the_cycles_of_a_strap_that_is_always_worn_follow_each_other_without_a_gap() {
    for_all_people(45, |person| {
        if matches!(
            person.life,
            LifePattern::StrapOff | LifePattern::Weekdays | LifePattern::LongBreaks
        ) {
            return;
        }
        let cycles = records(person, SimDataType::Cycle);
        assert!(cycles[0]["end"].is_null());
        for pair in cycles.windows(2) {
            assert_eq!(pair[1]["end"], pair[0]["start"]);
        }
    });
}

#[test]
fn a_cycle_starts_with_its_first_main_sleep_and_its_recovery_belongs_to_that_sleep() {
    for_all_people(60, |person| {
        let sleeps = records(person, SimDataType::Sleep);
        let recoveries = records(person, SimDataType::Recovery);
        let mut nights = 0;
        for cycle in records(person, SimDataType::Cycle) {
            let main = sleeps
                .iter()
                .filter(|it| it["nap"] == false && it["cycle_id"] == cycle["id"]);
            let Some(first) = main.min_by_key(|it| at(it, "start")) else {
                continue;
            };
            nights += 1;
            assert_eq!(cycle["start"], first["start"]);
            let mut of_cycle = recoveries.iter().filter(|it| it["cycle_id"] == cycle["id"]);
            let Some(recovery) = of_cycle.next() else {
                assert_eq!(person.life, LifePattern::LongBreaks);
                continue;
            };
            assert_eq!(of_cycle.next(), None);
            assert_eq!(first["id"], recovery["sleep_id"]);
            assert_eq!(first["score_state"], recovery["score_state"]);
        }
        assert!(recoveries.len() <= nights);
        assert!(
            nights - recoveries.len() <= 3,
            "only the first three nights have no recovery"
        );
    });
}

#[test]
fn activities_do_not_overlap_and_are_not_in_the_future() {
    for_all_people(45, |person| {
        let mut activities = records(person, SimDataType::Sleep);
        activities.extend(records(person, SimDataType::Workout));
        activities.sort_by_key(|record| at(record, "start"));
        for pair in activities.windows(2) {
            assert!(at(&pair[0], "end") < at(&pair[1], "start"), "{pair:?}");
        }
        for record in activities
            .iter()
            .chain(&records(person, SimDataType::Recovery))
        {
            assert!(at(record, "created_at") <= at(record, "updated_at"));
            assert!(at(record, "updated_at") <= now());
        }
        for record in &activities {
            assert!(at(record, "start") < at(record, "end"));
            assert!(at(record, "end") <= at(record, "created_at"));
        }
    });
}

#[test]
fn sleep_stages_add_up_to_the_time_in_bed_and_zones_to_the_workout() {
    for_all_people(30, |person| {
        for sleep in records(person, SimDataType::Sleep) {
            let stages = &sleep["score"]["stage_summary"];
            if sleep["score_state"] != "SCORED" {
                continue;
            }
            let part = |name| stages[format!("total_{name}_time_milli")].as_i64().unwrap();
            let (in_bed, no_data) = (part("in_bed"), part("no_data"));
            let length = at(&sleep, "end") - at(&sleep, "start");
            assert_eq!(in_bed + no_data, length.num_milliseconds());
            let parts = ["awake", "light_sleep", "slow_wave_sleep", "rem_sleep"];
            assert_eq!(in_bed, parts.map(part).iter().sum::<i64>());
            assert!(parts.map(part).iter().all(|part| *part >= 0));
        }
        for workout in records(person, SimDataType::Workout) {
            let Some(zones) = workout["score"]["zone_durations"].as_object() else {
                continue;
            };
            if zones.is_empty() {
                assert_eq!(workout["score"]["strain"], 0);
                continue;
            }
            let sum: i64 = zones.values().map(|zone| zone.as_i64().unwrap()).sum();
            let length = at(&workout, "end") - at(&workout, "start");
            assert_eq!(sum, length.num_milliseconds());
        }
    });
}

#[test]
fn ids_are_unique_over_all_people_and_some_exceed_31_bits() {
    let mut ids = HashSet::new();
    let mut is_long = false;
    for index in 0..60 {
        let person = generate(3, index, 40, now());
        assert!(ids.insert(person.whoop_user_id.to_string()));
        for data_type in [SimDataType::Cycle, SimDataType::Sleep, SimDataType::Workout] {
            for record in person.records.newest_first(data_type) {
                assert!(ids.insert(record.id.clone()), "{}", record.id);
                is_long |= record.id.parse::<i64>().is_ok_and(|id| id > 1 << 31);
            }
        }
    }
    assert!(is_long);
}

#[test]
fn the_first_three_people_cover_the_cases_that_a_client_must_handle() {
    for seed in 0..12 {
        let people: Vec<_> = (0..3)
            .map(|index| generate(seed, index, 60, now()))
            .collect();
        let all = |data_type| -> Vec<Value> {
            let each = people.iter().map(|person| records(person, data_type));
            each.flatten().collect()
        };
        let (cycles, sleeps) = (all(SimDataType::Cycle), all(SimDataType::Sleep));
        let workouts = all(SimDataType::Workout);
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
        let has_pending_sleep = |hour| {
            let nurse = generate(seed, 1, 60, now() + TimeDelta::hours(hour));
            records(&nurse, SimDataType::Sleep)
                .iter()
                .any(state("PENDING_SCORE"))
        };
        assert!((0..24).any(has_pending_sleep));
        assert!(sleeps.iter().any(state("UNSCORABLE")));
        assert!(
            sleeps.iter().any(|it| it.get("score").is_none()),
            "no score key"
        );
        assert!(
            sleeps
                .iter()
                .any(|it| it.get("score") == Some(&Value::Null))
        );
        assert!(cycles.iter().any(|it| it["step_count"].is_null()));
    }
}

/// Returns the length of a closed cycle; zero for a running one.
fn length_if_closed(cycle: &Value) -> TimeDelta {
    let end = cycle["end"].as_str().and_then(clock::parse);
    end.map_or(TimeDelta::zero(), |end| end - at(cycle, "start"))
}

/// Returns the gaps between consecutive cycles, without those of length zero.
fn gaps(cycles: &[Value]) -> impl Iterator<Item = TimeDelta> {
    let between = cycles
        .windows(2)
        .map(|pair| at(&pair[0], "start") - at(&pair[1], "end"));
    between.filter(|gap| !gap.is_zero())
}

fn without_night<'a>(cycles: &'a [Value], sleeps: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    cycles.iter().filter(|cycle| {
        let mut nights = sleeps.iter().filter(|it| it["nap"] == false);
        !nights.any(|it| it["cycle_id"] == cycle["id"])
    })
}

#[test]
fn every_other_life_pattern_has_its_special_records() {
    for seed in 0..10 {
        for index in 3..LIVES {
            if seed > 0 && LifePattern::for_index(index) == LifePattern::Decade {
                continue;
            }
            let person = generate(seed, index, 400, now());
            let sleeps = records(&person, SimDataType::Sleep);
            let cycles = records(&person, SimDataType::Cycle);
            match person.life {
                LifePattern::DaylightSaver => {
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
                LifePattern::Napper => {
                    let naps = sleeps.iter().filter(|it| it["nap"] == true).count();
                    assert!(naps > 200, "{naps}");
                    assert!(
                        person
                            .records
                            .newest_first(SimDataType::Recovery)
                            .all(|it| { it.to_value()["score"]["skin_temp_celsius"].is_null() })
                    );
                }
                LifePattern::Parent => {
                    let dates = sleeps.iter().filter(|it| it["nap"] == false);
                    let distinct: HashSet<_> = dates.map(|it| local_date(it, "end")).collect();
                    assert!(
                        distinct.len() < cycles.len(),
                        "two cycles have the same date"
                    );
                }
                LifePattern::Athlete => {
                    let workouts = records(&person, SimDataType::Workout);
                    let dates: Vec<_> = workouts.iter().map(|it| local_date(it, "start")).collect();
                    assert!(dates.windows(3).any(|three| three[0] == three[2]));
                }
                LifePattern::StrapOff => {
                    assert!(gaps(&cycles).any(|gap| gap > TimeDelta::days(1)));
                    assert!(
                        without_night(&cycles, &sleeps)
                            .any(|it| { length_if_closed(it) == TimeDelta::hours(12) })
                    );
                    assert!(cycles.iter().any(|it| it["score_state"] == "UNSCORABLE"
                        && length_if_closed(it) == TimeDelta::hours(24)));
                }
                LifePattern::Weekdays => {
                    let weekly = gaps(&cycles).filter(|gap| *gap < TimeDelta::days(3));
                    assert!(weekly.count() > 50);
                    let closed = cycles
                        .iter()
                        .filter(|it| length_if_closed(it) == TimeDelta::hours(24));
                    assert!(closed.count() > 50);
                    assert!(
                        without_night(&cycles, &sleeps)
                            .any(|it| { length_if_closed(it) == TimeDelta::hours(12) })
                    );
                }
                LifePattern::LongBreaks => {
                    assert!(gaps(&cycles).any(|gap| gap > TimeDelta::days(20)));
                    let first = cycles.last().unwrap();
                    let second = &cycles[cycles.len() - 3];
                    assert_eq!(first["score"]["strain"], 0);
                    assert_eq!(first["score_state"], "SCORED");
                    assert_eq!(length_if_closed(first), TimeDelta::hours(24));
                    assert!(first["id"].as_i64() > second["id"].as_i64());
                    assert!(at(first, "created_at") > at(second, "created_at"));
                }
                LifePattern::EveningDozer => {
                    let nights = || sleeps.iter().filter(|it| it["nap"] == false);
                    let dates: Vec<_> = nights().map(|it| local_date(it, "end")).collect();
                    assert!(dates.windows(2).any(|two| two[0] == two[1]));
                    assert!(sleeps.iter().any(|it| {
                        let efficiency = &it["score"]["sleep_efficiency_percentage"];
                        it["nap"] == true && efficiency.as_f64() > Some(100.0)
                    }));
                    assert!(
                        cycles
                            .iter()
                            .all(|it| it["timezone_offset"].as_str().unwrap().ends_with(":30"))
                    );
                }
                LifePattern::BrokenSleeper => {
                    let of = |cycle: &Value| {
                        let main = sleeps.iter().filter(|it| it["nap"] == false);
                        main.filter(|it| it["cycle_id"] == cycle["id"]).count()
                    };
                    assert!(cycles.iter().any(|it| of(it) == 2));
                    assert!(cycles.iter().any(|it| of(it) == 1));
                }
                LifePattern::OddReadings => {
                    let workouts = records(&person, SimDataType::Workout);
                    let unscored = |it: &&Value| it["score_state"] == "UNSCORABLE";
                    for of_type in [&cycles, &sleeps, &workouts] {
                        assert!(
                            of_type
                                .iter()
                                .filter(unscored)
                                .any(|it| it["score"].is_object())
                        );
                    }
                    assert!(
                        workouts
                            .iter()
                            .any(|it| it["score"]["zone_durations"] == json!({}))
                    );
                    assert!(
                        workouts
                            .iter()
                            .any(|it| it["score"]["kilojoule"].as_f64() > Some(25_000.0))
                    );
                    // The clocks of the Chatham Islands change on 2026-04-04 at 14:00Z.
                    let night = |day: &str| {
                        let day: NaiveDate = day.parse().unwrap();
                        let of = sleeps
                            .iter()
                            .find(|it| it["nap"] == false && at(it, "end").date_naive() == day);
                        of.unwrap()["timezone_offset"].clone()
                    };
                    assert_eq!(
                        night("2026-04-04"),
                        "+13:45",
                        "at that instant it is the next morning there"
                    );
                    assert_eq!(night("2026-04-05"), "+12:45");
                }
                LifePattern::Newcomer => {
                    let calibrating =
                        person
                            .records
                            .newest_first(SimDataType::Recovery)
                            .filter(|it| {
                                let score = &it.to_value()["score"];
                                score["user_calibrating"] == true
                                    && score["recovery_score"].is_null()
                            });
                    assert_eq!(calibrating.count(), 4);
                    assert!(person.body_measurement.is_none());
                }
                LifePattern::MembershipLapsed => {
                    let newest = cycles.iter().map(|it| at(it, "updated_at")).max();
                    assert!(newest.unwrap() < now() - TimeDelta::days(20));
                }
                LifePattern::LongCycle => assert!(cycles.iter().any(|it| {
                    let end = it["end"].as_str().and_then(clock::parse);
                    end.is_some_and(|end| end - at(it, "start") == TimeDelta::hours(40))
                })),
                LifePattern::Decade => {
                    let oldest = at(cycles.last().unwrap(), "start");
                    assert!(now() - oldest > TimeDelta::days(3_640));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_history_of_any_length_can_be_generated_at_any_hour() {
    for days in [0, 1, 2, 5] {
        for hour in 0..24 {
            for index in 0..LIVES {
                if hour > 0 && LifePattern::for_index(index) == LifePattern::Decade {
                    continue;
                }
                let at = now() + TimeDelta::hours(hour);
                let person = generate(1, index, days, at);
                let open = records(&person, SimDataType::Cycle);
                assert!(open.iter().filter(|it| it["end"].is_null()).count() <= 1);
            }
        }
    }
}
