//! Tests of two cycles that claim the same date, and of a cycle with several main sleeps.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{
    CycleId, SleepId,
    date_assignment::{
        CycleTimes, DateAssignmentInput, DateAssignments, RecoveryLinks, SleepTimes, assign_dates,
    },
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn cycle(id: i64, from: &str, until: Option<&str>, offset: &str) -> CycleTimes {
    CycleTimes {
        id: CycleId(id),
        start: at(from),
        end: until.map(at),
        timezone_offset: Some(offset.to_owned()),
    }
}

fn slept(id: &str, cycle: Option<i64>, from: &str, until: &str, offset: &str) -> SleepTimes {
    SleepTimes {
        id: SleepId(id.to_owned()),
        cycle_id: cycle.map(CycleId),
        start: at(from),
        end: Some(at(until)),
        timezone_offset: Some(offset.to_owned()),
        nap: false,
        ranking_duration: at(until) - at(from),
    }
}

fn recovery(cycle: i64, sleep: &str, is_scored: bool) -> RecoveryLinks {
    RecoveryLinks {
        cycle_id: CycleId(cycle),
        sleep_id: SleepId(sleep.to_owned()),
        created_at: at("2026-04-09T08:00:00Z"),
        is_scored,
    }
}

/// Returns the local date of each cycle, followed by `+` if the cycle is listed in `others`.
fn cycles(assignments: &DateAssignments) -> Vec<String> {
    let of = assignments.cycles.values();
    of.map(|assignment| {
        let mark = if assignment.in_others { "+" } else { "" };
        format!("{}{mark}", assignment.local_date)
    })
    .collect()
}

fn sleep_of<'a>(
    assignments: &'a DateAssignments,
    id: &str,
) -> &'a whoop_core::date_assignment::DateAssignment {
    &assignments.sleeps[&SleepId(id.to_owned())]
}

/// Example from real data (`real-shapes/06`): an evening sleep of 31 minutes that WHOOP treated as
/// the next night.
fn evening_sleep() -> DateAssignmentInput {
    let offset = "-04:00";
    let first = ("2026-04-07T22:50:59Z", "2026-04-08T23:55:55Z");
    let second = ("2026-04-08T23:55:55Z", "2026-04-10T02:35:31Z");
    DateAssignmentInput {
        cycles: vec![
            cycle(61, first.0, Some(first.1), offset),
            cycle(62, second.0, Some(second.1), offset),
        ],
        recoveries: vec![recovery(61, "night", true), recovery(62, "evening", true)],
        sleeps: vec![
            slept("night", Some(61), first.0, "2026-04-08T12:53:35Z", offset),
            slept(
                "evening",
                Some(62),
                second.0,
                "2026-04-09T01:04:10Z",
                offset,
            ),
        ],
    }
}

#[test]
fn the_later_of_two_cycles_on_a_date_moves_to_the_next_if_most_of_it_lies_there() {
    let assignments = assign_dates(&evening_sleep());

    assert_eq!(cycles(&assignments), ["2026-04-08", "2026-04-09"]);
    assert_eq!(
        assignments.recoveries[&CycleId(62)].local_date.to_string(),
        "2026-04-09"
    );
    // The evening sleep is the night of the 9th, because its cycle moved there, although the sleep
    // ended on the 8th.
    assert_eq!(
        sleep_of(&assignments, "evening").local_date.to_string(),
        "2026-04-09"
    );
    assert!(!sleep_of(&assignments, "evening").in_others);
}

#[test]
fn a_cycle_does_not_move_if_it_is_running_or_short_or_the_next_date_is_taken() {
    let mut running = evening_sleep();
    running.cycles[1].end = None;
    assert_eq!(
        cycles(&assign_dates(&running)),
        ["2026-04-08", "2026-04-08+"]
    );

    let mut short = evening_sleep();
    short.cycles[1].end = Some(at("2026-04-09T08:00:00Z"));
    assert_eq!(cycles(&assign_dates(&short)), ["2026-04-08", "2026-04-08+"]);

    let mut taken = evening_sleep();
    let third = ("2026-04-10T02:35:31Z", "2026-04-10T03:30:00Z");
    taken.cycles.push(cycle(63, third.0, None, "-04:00"));
    taken
        .sleeps
        .push(slept("third", Some(63), third.0, third.1, "-04:00"));
    assert_eq!(
        cycles(&assign_dates(&taken)),
        ["2026-04-08", "2026-04-08+", "2026-04-09"]
    );

    // Without a main sleep, the later cycle claims the date of its middle, so no cycle has to move.
    let mut sleepless = evening_sleep();
    sleepless.sleeps.pop();
    assert_eq!(
        cycles(&assign_dates(&sleepless)),
        ["2026-04-08", "2026-04-09"]
    );
}

#[test]
fn of_three_cycles_on_a_date_only_the_last_moves_to_the_next() {
    let mut input = evening_sleep();
    let first = ("2026-04-07T16:00:00Z", "2026-04-07T22:50:59Z");
    input
        .cycles
        .push(cycle(60, first.0, Some(first.1), "-04:00"));
    input.sleeps.push(slept(
        "early",
        Some(60),
        first.0,
        "2026-04-08T05:00:00Z",
        "-04:00",
    ));

    let assignments = assign_dates(&input);

    assert_eq!(
        cycles(&assignments),
        ["2026-04-08+", "2026-04-08", "2026-04-09"]
    );
}

#[test]
fn a_date_shows_the_cycle_with_a_scored_recovery_then_the_longest_sleep_then_the_latest_start() {
    let shown_position = |recoveries: Vec<RecoveryLinks>, hours: [i64; 2]| {
        let start = ["2026-04-08T00:00:00Z", "2026-04-08T12:00:00Z"];
        let sleeps = [0, 1].map(|n: usize| {
            let mut sleep = slept(["a", "b"][n], Some(n as i64 + 1), start[n], start[n], "Z");
            sleep.end = Some(at(start[n]) + TimeDelta::hours(hours[n]));
            sleep.ranking_duration = TimeDelta::hours(hours[n]);
            sleep
        });
        let input = DateAssignmentInput {
            cycles: vec![cycle(1, start[0], None, "Z"), cycle(2, start[1], None, "Z")],
            recoveries,
            sleeps: sleeps.to_vec(),
        };
        assign_dates(&input)
            .cycles
            .values()
            .position(|assignment| !assignment.in_others)
            .unwrap()
    };

    assert_eq!(
        shown_position(
            vec![recovery(1, "a", true), recovery(2, "b", false)],
            [1, 9]
        ),
        0
    );
    assert_eq!(shown_position(vec![recovery(2, "b", false)], [9, 1]), 1);
    assert_eq!(shown_position(vec![], [9, 1]), 0);
    assert_eq!(shown_position(vec![], [4, 4]), 1);
}

#[test]
fn a_main_sleep_without_a_cycle_id_joins_its_recovery_or_the_cycle_in_which_it_began() {
    let input = DateAssignmentInput {
        cycles: vec![
            cycle(1, "2026-04-07T22:00:00Z", Some("2026-04-08T22:00:00Z"), "Z"),
            cycle(2, "2026-04-08T22:00:00Z", None, "Z"),
        ],
        recoveries: vec![recovery(1, "named", true)],
        sleeps: vec![
            slept(
                "named",
                None,
                "2026-04-08T23:00:00Z",
                "2026-04-09T01:00:00Z",
                "Z",
            ),
            slept(
                "within",
                None,
                "2026-04-08T22:00:00Z",
                "2026-04-09T05:00:00Z",
                "Z",
            ),
            slept(
                "alone",
                None,
                "2026-03-08T22:00:00Z",
                "2026-03-09T05:00:00Z",
                "Z",
            ),
        ],
    };

    let assignments = assign_dates(&input);

    assert_eq!(cycles(&assignments), ["2026-04-09", "2026-04-09+"]);
    assert!(!sleep_of(&assignments, "named").in_others);
    assert!(sleep_of(&assignments, "within").in_others);
    assert_eq!(
        sleep_of(&assignments, "alone").local_date.to_string(),
        "2026-03-09"
    );
    assert!(!sleep_of(&assignments, "alone").in_others);
}

#[test]
fn a_second_main_sleep_has_the_date_of_its_cycle_even_if_it_ends_on_another() {
    let input = DateAssignmentInput {
        cycles: vec![cycle(7, "2026-04-08T18:00:00Z", None, "Z")],
        recoveries: vec![recovery(7, "first", true)],
        sleeps: vec![
            slept(
                "first",
                Some(7),
                "2026-04-08T18:00:00Z",
                "2026-04-08T23:00:00Z",
                "Z",
            ),
            slept(
                "second",
                Some(7),
                "2026-04-09T00:10:00Z",
                "2026-04-09T00:55:00Z",
                "Z",
            ),
        ],
    };

    let assignments = assign_dates(&input);

    assert_eq!(cycles(&assignments), ["2026-04-08"]);
    assert_eq!(
        sleep_of(&assignments, "second").local_date.to_string(),
        "2026-04-08"
    );
}
