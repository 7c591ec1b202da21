//! Tests of law 5 (records belong to the member's local dates) with dates that real members had.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{
    CycleId, SleepId,
    date_assignment::{CycleTimes, DateAssignmentInput, RecoveryLinks, SleepTimes, assign_dates},
    local_date::of_sleep,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn slept(name: &str, cycle: i64, from: &str, until: &str, offset: &str) -> SleepTimes {
    SleepTimes {
        id: SleepId(name.to_owned()),
        cycle_id: Some(CycleId(cycle)),
        start: at(from),
        end: Some(at(until)),
        timezone_offset: Some(offset.to_owned()),
        nap: false,
        ranking_duration: at(until) - at(from),
    }
}

fn cycle(id: i64, from: &str, offset: &str) -> CycleTimes {
    CycleTimes {
        id: CycleId(id),
        start: at(from),
        end: None,
        timezone_offset: Some(offset.to_owned()),
    }
}

fn recovery(cycle: i64, sleep: &str, created: &str) -> RecoveryLinks {
    RecoveryLinks {
        cycle_id: CycleId(cycle),
        sleep_id: SleepId(sleep.to_owned()),
        created_at: at(created),
        is_scored: true,
    }
}

fn date(sleep: &SleepTimes) -> String {
    of_sleep(sleep.start, sleep.end, sleep.timezone_offset.as_deref()).to_string()
}

fn date_of(
    cycle: Option<&CycleTimes>,
    recovery: Option<&RecoveryLinks>,
    sleeps: &[SleepTimes],
) -> String {
    let input = DateAssignmentInput {
        cycles: cycle.cloned().into_iter().collect(),
        recoveries: recovery.cloned().into_iter().collect(),
        sleeps: sleeps.to_vec(),
    };
    let assignments = assign_dates(&input);
    let of_cycle = cycle.map(|cycle| &assignments.cycles[&cycle.id]);
    let assignment =
        of_cycle.or(recovery.map(|recovery| &assignments.recoveries[&recovery.cycle_id]));
    assignment.unwrap().local_date.to_string()
}

#[test]
fn a_member_who_falls_asleep_after_midnight_has_one_date_per_night() {
    let monday = slept(
        "a",
        1,
        "2025-03-03T00:20:00Z",
        "2025-03-03T07:00:00Z",
        "+00:00",
    );
    let tuesday = slept(
        "b",
        2,
        "2025-03-03T23:50:00Z",
        "2025-03-04T07:10:00Z",
        "+00:00",
    );

    assert_eq!(date(&monday), "2025-03-03");
    assert_eq!(date(&tuesday), "2025-03-04");
}

#[test]
fn the_night_of_the_clock_change_is_read_at_the_offset_whoop_gave_it() {
    // In Berlin, clocks changed from 02:00 to 03:00 on 30 March 2025. The same point in time has
    // different dates at the two offsets.
    let before = slept(
        "a",
        1,
        "2025-03-29T20:00:00Z",
        "2025-03-29T22:30:00Z",
        "+01:00",
    );
    let after = slept(
        "b",
        2,
        "2025-03-29T20:00:00Z",
        "2025-03-29T22:30:00Z",
        "+02:00",
    );
    assert_eq!(date(&before), "2025-03-29");
    assert_eq!(date(&after), "2025-03-30");

    // The night before 26 October 2025 was an hour longer, because clocks changed from 03:00 to
    // 02:00.
    let autumn = slept(
        "c",
        3,
        "2025-10-25T21:15:00Z",
        "2025-10-26T06:40:00Z",
        "+01:00",
    );
    assert_eq!(date(&autumn), "2025-10-26");
}

#[test]
fn flying_east_over_the_date_line_skips_a_date() {
    // The member woke in Honolulu on the 10th. The next time, the member woke in Auckland on the
    // 12th.
    let honolulu = slept(
        "a",
        1,
        "2025-06-10T08:30:00Z",
        "2025-06-10T16:00:00Z",
        "-10:00",
    );
    let auckland = slept(
        "b",
        2,
        "2025-06-11T11:00:00Z",
        "2025-06-11T18:30:00Z",
        "+12:00",
    );

    assert_eq!(date(&honolulu), "2025-06-10");
    assert_eq!(date(&auckland), "2025-06-12");
}

#[test]
fn flying_west_over_the_date_line_gives_one_date_two_nights() {
    let auckland = slept(
        "a",
        1,
        "2025-06-09T11:00:00Z",
        "2025-06-09T18:30:00Z",
        "+12:00",
    );
    let honolulu = slept(
        "b",
        2,
        "2025-06-10T09:00:00Z",
        "2025-06-10T17:00:00Z",
        "-10:00",
    );

    assert_eq!(date(&auckland), "2025-06-10");
    assert_eq!(date(&honolulu), "2025-06-10");
}

#[test]
fn a_sleep_during_the_day_belongs_to_the_date_on_which_it_ended() {
    let after_the_shift = slept(
        "a",
        1,
        "2025-02-11T07:30:00Z",
        "2025-02-11T14:45:00Z",
        "+01:00",
    );
    let shift = cycle(1, "2025-02-11T07:30:00Z", "+01:00");

    assert_eq!(
        date_of(Some(&shift), None, &[after_the_shift]),
        "2025-02-11"
    );
}

#[test]
fn a_cycle_of_forty_hours_has_one_date_and_the_next_date_has_none() {
    let night = slept(
        "a",
        1,
        "2025-05-01T22:00:00Z",
        "2025-05-02T05:00:00Z",
        "+00:00",
    );
    let after = slept(
        "b",
        2,
        "2025-05-03T14:00:00Z",
        "2025-05-04T02:00:00Z",
        "+00:00",
    );
    let sleeps = [night, after];

    let first = date_of(
        Some(&cycle(1, "2025-05-01T22:00:00Z", "+00:00")),
        None,
        &sleeps,
    );
    let second = date_of(
        Some(&cycle(2, "2025-05-03T14:00:00Z", "+00:00")),
        None,
        &sleeps,
    );

    assert_eq!([first, second], ["2025-05-02", "2025-05-04"]);
}

#[test]
fn a_running_cycle_without_a_sleep_that_began_after_noon_has_the_next_date() {
    for (began, day) in [
        ("2025-04-07T23:10:00Z", "2025-04-08"),
        ("2025-04-08T00:40:00Z", "2025-04-08"),
        ("2025-04-08T11:59:59Z", "2025-04-08"),
        ("2025-04-08T12:00:00Z", "2025-04-09"),
    ] {
        let date = date_of(Some(&cycle(1, began, "Z")), None, &[]);
        assert_eq!(date, day, "{began}");
    }
}

#[test]
fn the_sleep_that_the_recovery_names_dates_a_cycle_with_two_sleeps() {
    let short = slept(
        "short",
        1,
        "2025-07-01T20:00:00Z",
        "2025-07-01T22:30:00Z",
        "Z",
    );
    let long = slept(
        "long",
        1,
        "2025-07-01T23:30:00Z",
        "2025-07-02T06:00:00Z",
        "Z",
    );
    let cycle = cycle(1, "2025-07-01T20:00:00Z", "Z");
    let recovery = recovery(1, "short", "2025-07-02T07:00:00Z");
    let sleeps = [short, long];

    assert_eq!(
        date_of(Some(&cycle), Some(&recovery), &sleeps),
        "2025-07-01"
    );
    assert_eq!(date_of(Some(&cycle), None, &sleeps), "2025-07-02");
}

#[test]
fn the_later_of_two_equally_long_sleeps_dates_the_cycle_in_either_order() {
    let early = slept(
        "z",
        1,
        "2025-07-01T19:00:00Z",
        "2025-07-01T22:00:00Z",
        "+01:00",
    );
    let late = slept(
        "a",
        1,
        "2025-07-01T23:00:00Z",
        "2025-07-02T02:00:00Z",
        "+01:00",
    );
    let cycle = cycle(1, "2025-07-01T19:00:00Z", "+01:00");

    for sleeps in [[early.clone(), late.clone()], [late, early]] {
        assert_eq!(date_of(Some(&cycle), None, &sleeps), "2025-07-02");
    }
}

#[test]
fn a_night_that_became_a_nap_no_longer_dates_its_cycle() {
    let mut night = slept("a", 1, "2025-07-01T14:00:00Z", "2025-07-01T15:30:00Z", "Z");
    let cycle = cycle(1, "2025-07-01T14:00:00Z", "Z");
    let recovery = recovery(1, "a", "2025-07-01T16:00:00Z");
    assert_eq!(
        date_of(Some(&cycle), Some(&recovery), std::slice::from_ref(&night)),
        "2025-07-01"
    );

    night.nap = true;

    assert_eq!(
        date_of(Some(&cycle), Some(&recovery), &[night]),
        "2025-07-02"
    );
}

#[test]
fn a_long_nap_never_outweighs_the_night() {
    let night = slept(
        "night",
        1,
        "2025-07-01T23:00:00Z",
        "2025-07-02T03:00:00Z",
        "Z",
    );
    let nap = SleepTimes {
        nap: true,
        ranking_duration: TimeDelta::hours(9),
        ..slept(
            "nap",
            1,
            "2025-07-02T18:00:00Z",
            "2025-07-03T03:00:00Z",
            "Z",
        )
    };
    let cycle = cycle(1, "2025-07-01T23:00:00Z", "Z");

    assert_eq!(date_of(Some(&cycle), None, &[nap, night]), "2025-07-02");
}

#[test]
fn a_recovery_without_sleep_and_cycle_has_the_date_of_its_upload() {
    let recovery = recovery(1, "a", "2025-07-02T20:02:00Z");
    let night = slept("a", 1, "2025-07-01T14:00:00Z", "2025-07-01T21:55:00Z", "Z");
    let cycle = cycle(1, "2025-07-01T14:00:00Z", "-03:00");

    assert_eq!(date_of(None, Some(&recovery), &[]), "2025-07-02");
    assert_eq!(date_of(Some(&cycle), Some(&recovery), &[]), "2025-07-01");
    assert_eq!(date_of(None, Some(&recovery), &[night]), "2025-07-01");
}

#[test]
fn an_absent_offset_is_utc_and_an_absent_end_is_twelve_hours_after_the_start() {
    let mut night = slept(
        "a",
        1,
        "2025-07-01T21:00:00Z",
        "2025-07-01T23:59:59.999Z",
        "Z",
    );
    night.timezone_offset = None;
    assert_eq!(date(&night), "2025-07-01");

    night.end = None;
    assert_eq!(date(&night), "2025-07-02");
}
