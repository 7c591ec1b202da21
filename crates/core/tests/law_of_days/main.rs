//! Law 5: records belong to the member's local dates.
//!
//! The tests compute the expected dates independently of the crate's date arithmetic, with integers
//! only: the seconds since 1970 plus the offset, divided by the number of seconds of a day.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod dates_that_two_claim;
mod people;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use whoop_core::{
    CycleId, SleepId,
    date_assignment::{
        CycleTimes, DateAssignment, DateAssignmentInput, RecoveryLinks, SleepTimes, assign_dates,
    },
    local_date::of_workout,
    record::Workout,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// UTC offsets from −12:00 to +14:00 in minutes, in steps of a quarter of an hour.
fn any_offset() -> impl Strategy<Value = i64> {
    (-48_i64..=56).prop_map(|quarters| quarters * 15)
}

/// Points in time between 1970 and 2100, in seconds since 1970.
fn any_second() -> impl Strategy<Value = i64> {
    DAY..130 * 365 * DAY
}

fn offset_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// Returns the local date at an offset of `offset` minutes east of UTC, as a number of days since
/// 1970.
fn wall_day(seconds: i64, offset: i64) -> i64 {
    (seconds + offset * MINUTE).div_euclid(DAY)
}

fn day_number(date: NaiveDate) -> i64 {
    (date - NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days()
}

fn sleep(name: &str, cycle: i64, from: i64, until: i64, offset: i64) -> SleepTimes {
    SleepTimes {
        id: SleepId(name.to_owned()),
        cycle_id: Some(CycleId(cycle)),
        start: instant(from),
        end: Some(instant(until)),
        timezone_offset: Some(offset_text(offset)),
        nap: false,
        ranking_duration: TimeDelta::seconds(until - from),
    }
}

fn nap(name: &str, cycle: i64, from: i64, until: i64, offset: i64) -> SleepTimes {
    SleepTimes {
        nap: true,
        ..sleep(name, cycle, from, until, offset)
    }
}

fn cycle(id: i64, from: i64, offset: i64) -> CycleTimes {
    CycleTimes {
        id: CycleId(id),
        start: instant(from),
        end: None,
        timezone_offset: Some(offset_text(offset)),
    }
}

fn recovery(cycle: i64, sleep: &str, created: i64) -> RecoveryLinks {
    RecoveryLinks {
        cycle_id: CycleId(cycle),
        sleep_id: SleepId(sleep.to_owned()),
        created_at: instant(created),
        is_scored: true,
    }
}

fn of_sleep(sleep: &SleepTimes) -> NaiveDate {
    whoop_core::local_date::of_sleep(sleep.start, sleep.end, sleep.timezone_offset.as_deref())
}

/// Returns the date that is assigned to a cycle, or to the recovery if there is no cycle.
fn assignment_of(
    cycle: Option<&CycleTimes>,
    recovery: Option<&RecoveryLinks>,
    sleeps: &[SleepTimes],
) -> DateAssignment {
    let input = DateAssignmentInput {
        cycles: cycle.cloned().into_iter().collect(),
        recoveries: recovery.cloned().into_iter().collect(),
        sleeps: sleeps.to_vec(),
    };
    let mut assignments = assign_dates(&input);
    let assignment = match (cycle, recovery) {
        (Some(cycle), _) => assignments.cycles.remove(&cycle.id),
        (None, Some(recovery)) => assignments.recoveries.remove(&recovery.cycle_id),
        (None, None) => None,
    };
    assignment.unwrap()
}

fn workout(from: i64, until: i64, offset: i64) -> Workout {
    serde_json::from_value(serde_json::json!({
        "id": "any", "user_id": 1, "score_state": "PENDING_SCORE",
        "created_at": instant(until), "updated_at": instant(until),
        "start": instant(from), "end": instant(until),
        "timezone_offset": offset_text(offset),
    }))
    .unwrap()
}

fn day_of(assignment: &DateAssignment) -> i64 {
    day_number(assignment.local_date)
}

/// Part of a member's life: a main sleep that WHOOP may not have detected, and the time awake after
/// it.
#[derive(Debug, Clone)]
struct Stretch {
    asleep: i64,
    awake: i64,
    offset: i64,
    cycle_offset: i64,
    is_detected: bool,
    second_sleep: bool,
    naps: i64,
}

/// Generates main sleeps of 15 minutes to 16 hours at any time of the day. After each, the member
/// is awake for up to two days. The UTC offset changes at random.
fn any_stretch() -> impl Strategy<Value = Stretch> {
    (
        (15 * MINUTE)..(16 * HOUR),
        HOUR..(48 * HOUR),
        any_offset(),
        any_offset(),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.2),
        0_i64..3,
    )
        .prop_map(
            |(asleep, awake, offset, cycle_offset, is_detected, second_sleep, naps)| Stretch {
                asleep,
                awake,
                offset,
                cycle_offset,
                is_detected,
                second_sleep,
                naps,
            },
        )
}

struct Life {
    cycles: Vec<CycleTimes>,
    recoveries: Vec<RecoveryLinks>,
    sleeps: Vec<SleepTimes>,
    /// Expected date of each cycle, as a number of days since 1970.
    days: Vec<i64>,
}

fn live(stretches: &[Stretch], first_night: i64) -> Life {
    let mut life = Life {
        cycles: Vec::new(),
        recoveries: Vec::new(),
        sleeps: Vec::new(),
        days: Vec::new(),
    };
    let mut now = first_night;
    for (id, stretch) in (1..).zip(stretches) {
        let woke = now + stretch.asleep;
        life.cycles.push(cycle(id, now, stretch.cycle_offset));
        if stretch.is_detected {
            let name = format!("night {id}");
            life.sleeps
                .push(sleep(&name, id, now, woke, stretch.offset));
            life.recoveries.push(recovery(id, &name, woke + HOUR));
            life.days.push(wall_day(woke, stretch.offset));
            if stretch.second_sleep {
                // The second sleep is longer than the night from which WHOOP scored the recovery.
                let again = woke + stretch.awake / 2;
                let name = format!("second sleep {id}");
                life.sleeps
                    .push(sleep(&name, id, again, again + 20 * HOUR, stretch.offset));
            }
        } else {
            life.days
                .push(wall_day(now + 12 * HOUR, stretch.cycle_offset));
        }
        for number in 0..stretch.naps {
            let from = woke + number * HOUR;
            let name = format!("nap {id} {number}");
            life.sleeps
                .push(nap(&name, id, from, from + 20 * MINUTE, stretch.offset));
        }
        now = woke + stretch.awake;
    }
    life
}

fn assignments(life: &Life) -> Vec<DateAssignment> {
    life.cycles
        .iter()
        .map(|cycle| {
            let recovery = life
                .recoveries
                .iter()
                .find(|recovery| recovery.cycle_id == cycle.id);
            assignment_of(Some(cycle), recovery, &life.sleeps)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sleep_belongs_to_the_date_on_which_the_member_woke(
        woke in any_second(), asleep in 0..(40 * HOUR), offset in any_offset(), is_nap: bool,
    ) {
        let mut sleep = sleep("any", 1, woke - asleep, woke, offset);
        sleep.nap = is_nap;

        prop_assert_eq!(day_number(of_sleep(&sleep)), wall_day(woke, offset));
    }

    #[test]
    fn a_workout_belongs_to_the_date_of_its_start_even_if_it_ends_after_midnight(
        start in any_second(), lasts in 0..(30 * HOUR), offset in any_offset(),
    ) {
        let workout = workout(start, start + lasts, offset);

        prop_assert_eq!(day_number(of_workout(&workout)), wall_day(start, offset));
    }

    #[test]
    fn a_cycle_has_the_date_on_which_its_night_ended_at_the_offset_of_the_night(
        woke in any_second(), asleep in HOUR..(16 * HOUR), night_offset in any_offset(), cycle_offset in any_offset(),
    ) {
        let night = sleep("night", 7, woke - asleep, woke, night_offset);
        let cycle = cycle(7, woke - asleep, cycle_offset);

        let assignment = assignment_of(Some(&cycle), None, std::slice::from_ref(&night));

        prop_assert_eq!(day_number(assignment.local_date), wall_day(woke, night_offset));
        prop_assert_eq!(assignment.timezone_offset, Some(offset_text(night_offset)));
    }

    #[test]
    fn a_running_cycle_without_a_sleep_is_dated_twelve_hours_after_it_began(
        began in any_second(), offset in any_offset(),
    ) {
        let day = day_of(&assignment_of(Some(&cycle(7, began, offset)), None, &[]));

        prop_assert_eq!(day, wall_day(began + 12 * HOUR, offset));
    }

    #[test]
    fn a_closed_cycle_without_a_sleep_is_dated_by_its_middle_or_twelve_hours_after_it_began(
        began in any_second(), minutes in 0..(51 * 60_i64), offset in any_offset(),
    ) {
        let mut cycle = cycle(7, began, offset);
        cycle.end = Some(instant(began + minutes * MINUTE));

        let day = day_of(&assignment_of(Some(&cycle), None, &[]));

        let half = (minutes * MINUTE / 2).min(12 * HOUR);
        prop_assert_eq!(day, wall_day(began + half, offset));
    }

    #[test]
    fn a_sleep_that_ends_exactly_at_local_midnight_belongs_to_the_day_that_begins(
        day in 1_i64..40_000, offset in any_offset(), asleep in HOUR..(16 * HOUR),
    ) {
        let midnight = day * DAY - offset * MINUTE;
        let mut night = sleep("night", 1, midnight - asleep, midnight, offset);
        prop_assert_eq!(day_number(of_sleep(&night)), day);

        night.end = Some(instant(midnight) - TimeDelta::milliseconds(1));
        prop_assert_eq!(day_number(of_sleep(&night)), day - 1);
    }

    #[test]
    fn every_cycle_of_any_life_gets_the_expected_date(
        stretches in prop::collection::vec(any_stretch(), 1..12), first_night in any_second(),
    ) {
        let life = live(&stretches, first_night);

        let days: Vec<i64> = assignments(&life).iter().map(|assignment| day_number(assignment.local_date)).collect();

        prop_assert_eq!(days, life.days);
    }

    #[test]
    fn a_recovery_has_the_date_of_its_cycle_even_if_the_cycle_is_not_stored_yet(
        stretches in prop::collection::vec(any_stretch(), 1..12), first_night in any_second(),
    ) {
        let life = live(&stretches, first_night);

        for recovery in &life.recoveries {
            let position = usize::try_from(recovery.cycle_id.0 - 1).unwrap();
            let alone = assignment_of(None, Some(recovery), &life.sleeps);
            prop_assert_eq!(day_of(&alone), life.days[position]);
        }
    }

    #[test]
    fn the_order_in_which_sleeps_arrive_does_not_matter(
        (first_night, stretches, order) in (1_usize..12).prop_flat_map(|length| (
            any_second(),
            prop::collection::vec(any_stretch(), length),
            any::<prop::sample::Index>(),
        )),
        seed: u64,
    ) {
        let mut life = live(&stretches, first_night);
        life.recoveries.clear();
        let expected = assignments(&life);

        // The sleeps arrive in reverse order, then rotated, then in a pseudo-random order.
        life.sleeps.reverse();
        prop_assert_eq!(&assignments(&life), &expected);
        if !life.sleeps.is_empty() {
            let by = order.index(life.sleeps.len());
            life.sleeps.rotate_left(by);
        }
        prop_assert_eq!(&assignments(&life), &expected);
        life.sleeps.sort_by_key(|sleep| {
            sleep.id.0.bytes().fold(seed, |hash, byte| hash.rotate_left(7) ^ u64::from(byte))
        });
        prop_assert_eq!(&assignments(&life), &expected);
    }
}
