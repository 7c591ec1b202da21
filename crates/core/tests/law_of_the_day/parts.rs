//! Which record is shown where.

use serde_json::{Value, json};
use whoop_core::day::{Missing, Records};

use super::*;

#[test]
fn a_whole_day_has_every_part_and_nothing_to_explain() {
    let day = serde_json::to_value(day(&whole_night())).unwrap();

    assert_eq!(day["user_id"], "mara");
    assert_eq!(day["date"], "2026-02-10");
    assert_eq!(day["recovery"]["score"], 66.0);
    assert_eq!(day["recovery"]["hrv"], 31.813_562);
    assert_eq!(day["sleep"]["duration"], "7h 0m");
    assert_eq!(day["sleep"]["duration_milli"], 7 * 3_600_000);
    assert_eq!(day["sleep"]["performance"], 81.5);
    assert_eq!(day["cycle"]["strain"], 14.2);
    assert_eq!(day["cycle"]["calories"], 2847);
    assert_eq!(day["cycle"]["kilojoule"], 11_912.0);
    assert_eq!(day["workouts"][0]["sport"], "rowing");
    assert_eq!(day["naps"], json!([]));
    assert_eq!(day["missing"], json!({}));
    assert_eq!(day.get("others"), None);
}

#[test]
fn of_two_nights_the_one_with_the_most_time_asleep_is_the_days() {
    let records = Records {
        // Longer in bed, shorter asleep, and later.
        sleeps: vec![
            scored("long", 100, -2, 3, 5),
            scored("short", 101, 12, 23, 4),
        ],
        recoveries: vec![recovery(101, "short"), recovery(100, "long")],
        cycles: vec![cycle(101, 12), cycle(100, -2)],
        workouts: vec![],
    };

    let day = day(&records);

    assert_eq!(day.sleep.unwrap().id.0, "long");
    assert_eq!(day.recovery.unwrap().sleep_id.0, "long");
    assert_eq!(day.cycle.unwrap().id.0, 100);
    let others = day.others.unwrap();
    assert_eq!(others.sleeps[0].id.0, "short");
    assert_eq!(others.recoveries[0].sleep_id.0, "short");
    assert_eq!(others.cycles[0].id.0, 101);
}

#[test]
fn of_two_nights_with_the_same_time_asleep_the_later_is_the_days() {
    let records = Records {
        sleeps: vec![
            scored("late", 101, 14, 20, 5),
            scored("early", 100, -2, 4, 5),
        ],
        ..Records::default()
    };

    assert_eq!(day(&records).sleep.unwrap().id.0, "late");
}

#[test]
fn a_night_without_a_score_counts_by_its_time_in_bed() {
    let records = Records {
        sleeps: vec![
            sleep("unscored", 100, -3, 6),
            scored("scored", 101, 12, 23, 8),
        ],
        ..Records::default()
    };

    assert_eq!(day(&records).sleep.unwrap().id.0, "unscored");
}

#[test]
fn a_nap_is_never_the_night_and_naps_stand_in_the_order_of_the_day() {
    let records = Records {
        sleeps: vec![
            nap("second", 16, 17),
            nap("first", 9, 15),
            scored("night", 100, 1, 5, 3),
        ],
        ..Records::default()
    };
    let composed = day(&records);
    assert_eq!(composed.sleep.unwrap().id.0, "night");
    let naps: Vec<&str> = composed.naps.iter().map(|nap| nap.id.0.as_str()).collect();
    assert_eq!(naps, ["first", "second"]);

    let only_a_nap = Records {
        sleeps: vec![nap("first", 9, 15)],
        ..Records::default()
    };
    let composed = day(&only_a_nap);
    assert_eq!(composed.sleep, None);
    assert_eq!(composed.missing["sleep"], Missing::NotRecorded);
}

#[test]
fn anothers_recovery_and_cycle_are_not_shown_as_the_nights_own() {
    let mut records = whole_night();
    records.recoveries = vec![recovery(999, "another night")];
    records.cycles = vec![cycle(999, 3)];

    let day = day(&records);

    assert_eq!((day.recovery, day.cycle), (None, None));
    assert_eq!(day.missing["recovery"], Missing::NotRecorded);
    assert_eq!(day.missing["cycle"], Missing::NotRecorded);
    let others = day.others.unwrap();
    assert_eq!(others.recoveries[0].cycle_id.0, 999);
    assert_eq!(others.cycles[0].id.0, 999);
}

#[test]
fn a_cycle_without_a_night_still_shows_and_an_open_one_has_no_end() {
    let records = Records {
        cycles: vec![cycle(1, -3), cycle(2, 5)],
        ..Records::default()
    };

    let day = day(&records);

    let shown = serde_json::to_value(day.cycle.as_ref().unwrap()).unwrap();
    assert_eq!((&shown["id"], &shown["end"]), (&json!(2), &Value::Null));
    assert_eq!(shown["start"], "2026-02-10T05:00:00.000Z");
    assert_eq!(day.others.unwrap().cycles[0].id.0, 1);
    assert_eq!(day.missing["sleep"], Missing::NotRecorded);
}
