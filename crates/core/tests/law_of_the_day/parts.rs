//! Tests of the part of the day response in which each record appears.

use serde_json::{Value, json};
use whoop_core::{
    day::{DayRecords, DaySleep, MissingReason},
    record::ScoreState,
};

use super::*;

#[test]
fn a_complete_day_has_every_part_and_no_reasons() {
    let day = serde_json::to_value(day(&complete_day())).unwrap();

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
fn records_in_others_are_never_shown_as_the_main_parts() {
    let mut records = DayRecords {
        sleeps: vec![
            scored("long", 100, -2, 3, 5),
            scored("short", 101, 12, 23, 4),
        ],
        recoveries: vec![recovery(101, "short"), recovery(100, "long")],
        cycles: vec![cycle(101, 12), cycle(100, -2)],
        workouts: vec![],
    };
    records.sleeps[1].in_others = true;
    records.recoveries[0].in_others = true;
    records.cycles[0].in_others = true;

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
fn the_main_sleeps_of_one_cycle_are_one_night() {
    let mut records = complete_day();
    // The second main sleep of the cycle is longer than the night from which WHOOP scored the
    // recovery.
    let again = DaySleep {
        performance_percentage: None,
        awake_milli: Some(5),
        ..scored("again", NIGHT, 7, 17, 9)
    };
    records.sleeps.insert(0, again);

    let shown = day(&records).sleep.unwrap();

    // The figures are those of the sleep from which WHOOP scored the recovery, although it is
    // shorter.
    assert_eq!(shown.id.0, "night");
    assert_eq!(shown.performance, Some(81.5));
    let parts: Vec<_> = shown.parts.iter().map(|id| id.0.as_str()).collect();
    assert_eq!(parts, ["night", "again"]);
    assert_eq!((shown.start, shown.end), (at(-2), Some(at(17))));
    assert_eq!(shown.duration_milli, Some(16 * 3_600_000));
    assert_eq!(shown.duration.as_deref(), Some("16h 0m"));
    let stages = shown.stages.unwrap();
    assert_eq!(stages.light_milli, Some(16 * 3_600_000 - 4));
    assert_eq!((stages.rem_milli, stages.awake_milli), (Some(2), Some(5)));

    // The night is pending if at least one of its sleeps has a pending score. The figures of the
    // pending sleep are not included.
    records.sleeps[0].score_state = ScoreState::PendingScore;
    let assembled = day(&records);
    assert_eq!(assembled.missing["sleep"], MissingReason::PendingScore);
    let shown = assembled.sleep.unwrap();
    assert_eq!(shown.duration_milli, Some(7 * 3_600_000));
    assert_eq!(shown.end, Some(at(17)));

    // Without a recovery that names a sleep, the figures of the longest sleep are shown.
    records.sleeps[0].score_state = ScoreState::Scored;
    records.recoveries.clear();
    assert_eq!(day(&records).sleep.unwrap().id.0, "again");
}

#[test]
fn a_nap_is_never_the_night_and_naps_are_ordered_by_start() {
    let records = DayRecords {
        sleeps: vec![
            nap("second", 16, 17),
            nap("first", 9, 15),
            scored("night", 100, 1, 5, 3),
        ],
        ..DayRecords::default()
    };
    let assembled = day(&records);
    assert_eq!(assembled.sleep.unwrap().id.0, "night");
    let naps: Vec<&str> = assembled.naps.iter().map(|nap| nap.id.0.as_str()).collect();
    assert_eq!(naps, ["first", "second"]);

    let only_a_nap = DayRecords {
        sleeps: vec![nap("first", 9, 15)],
        ..DayRecords::default()
    };
    let assembled = day(&only_a_nap);
    assert_eq!(assembled.sleep, None);
    assert_eq!(assembled.missing["sleep"], MissingReason::NotRecorded);
}

#[test]
fn a_cycle_without_a_night_is_shown_and_a_running_cycle_has_no_end() {
    let mut records = DayRecords {
        cycles: vec![cycle(1, -3), cycle(2, 5)],
        ..DayRecords::default()
    };
    records.cycles[0].in_others = true;

    let day = day(&records);

    let shown = serde_json::to_value(day.cycle.as_ref().unwrap()).unwrap();
    assert_eq!((&shown["id"], &shown["end"]), (&json!(2), &Value::Null));
    assert_eq!(shown["start"], "2026-02-10T05:00:00.000Z");
    assert_eq!(day.others.unwrap().cycles[0].id.0, 1);
    assert_eq!(day.missing["sleep"], MissingReason::NotRecorded);
}
