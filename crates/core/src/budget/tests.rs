use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    per_minute: 100,
    per_day: 10_000,
};

fn noon() -> DateTime<Utc> {
    "2026-03-20T12:00:00Z".parse().unwrap()
}

fn after(seconds: f64) -> DateTime<Utc> {
    noon() + std::time::Duration::from_secs_f64(seconds)
}

/// Takes as much as there is, as often as the ledger says that it is worth it.
fn greedy(ledger: &mut Ledger, class: Class, from: DateTime<Utc>, until: DateTime<Utc>) -> u32 {
    let (mut now, mut made) = (from, 0);
    while now < until {
        match ledger.take(now, LIMITS, class, 4) {
            Leave::Granted(calls) => made += calls,
            Leave::Later { at, .. } => now = at,
        }
    }
    made
}

#[test]
fn a_run_that_nobody_disturbs_spends_nearly_all_that_whoop_allows() {
    for minutes in [1, 20, 60] {
        let mut ledger = Ledger::default();
        let end = noon() + TimeDelta::minutes(minutes);
        let made = greedy(&mut ledger, Class::Slot, noon(), end);

        assert!(i64::from(made) >= 95 * minutes, "{made} in {minutes} min");
    }
}

#[test]
fn whoever_waits_finds_a_fifth_of_the_minute_while_others_are_greedy() {
    let mut ledger = Ledger::default();
    assert_eq!(
        ledger.take(noon(), LIMITS, Class::Waiting, 4),
        Leave::Granted(4)
    );
    greedy(&mut ledger, Class::Slot, noon(), after(200.0));

    let left = ledger.room(after(200.0), LIMITS, Class::Waiting);

    assert!(left >= 20, "{left} calls left");
}

#[test]
fn the_first_to_wait_finds_calls_within_a_few_seconds() {
    for start in [10.0, 55.0, 61.9, 130.0, 185.9] {
        let mut ledger = Ledger::default();
        greedy(&mut ledger, Class::Slot, noon(), after(start));
        let mut now = after(start);
        let mut wanted = 4;
        while wanted > 0 {
            match ledger.take(now, LIMITS, Class::Waiting, wanted) {
                Leave::Granted(calls) => wanted -= calls,
                Leave::Later { at, .. } => now = at,
            }
        }
        assert!(
            now - after(start) <= TimeDelta::seconds(4),
            "after {start} s: {}",
            now - after(start)
        );
    }
}

#[test]
fn what_members_wanted_yesterday_is_held_back_from_everybody_else() {
    let mut ledger = Ledger::default();
    for minute in 0..24 * 60 {
        let now = noon() + TimeDelta::minutes(minute);
        ledger.take(now, LIMITS, Class::Waiting, 5);
    }
    let tomorrow = noon() + TimeDelta::days(1);

    let slots = greedy(
        &mut ledger,
        Class::Slot,
        tomorrow,
        tomorrow + TimeDelta::hours(20),
    );

    assert!(
        (2_300..=2_500).contains(&slots),
        "{slots} of what 7,200 and a margin leave"
    );
}

#[test]
fn a_class_finds_what_it_needs_behind_a_greedy_one() {
    let mut ledger = Ledger::default();
    ledger.need(Class::Dormant, 1_290);
    greedy(
        &mut ledger,
        Class::Slot,
        noon(),
        noon() + TimeDelta::hours(20),
    );
    let evening = noon() + TimeDelta::hours(20);

    assert!(ledger.day_room(evening, LIMITS, Class::Dormant) >= 1_290);
    assert!(ledger.day_room(evening, LIMITS, Class::History) >= 100);
}

#[test]
fn a_day_that_is_spent_says_when_it_goes_on() {
    let mut ledger = Ledger::default();
    greedy(
        &mut ledger,
        Class::History,
        noon(),
        noon() + TimeDelta::hours(12),
    );
    let night = noon() + TimeDelta::hours(12);

    let Leave::Later { at, period } = ledger.take(night, LIMITS, Class::History, 1) else {
        panic!("there is room");
    };

    assert_eq!(period, Period::Day);
    assert!(
        at >= noon() + DAY && at <= noon() + DAY + TimeDelta::minutes(10),
        "{at}"
    );
}

#[test]
fn what_another_client_of_the_app_spends_is_left_to_it() {
    let mut ledger = Ledger::default();
    ledger.take(noon(), LIMITS, Class::Slot, 10);

    assert!(ledger.whoop_counted(after(1.0), Period::Minute, 70, TimeDelta::seconds(30)));
    assert_eq!(ledger.room(after(2.0), LIMITS, Class::Waiting), 30);
    // The same reply, seen by another process.
    assert!(!ledger.whoop_counted(after(2.0), Period::Minute, 70, TimeDelta::seconds(30)));
    assert_eq!(ledger.room(after(31.0), LIMITS, Class::Waiting), 90);
}

#[test]
fn a_count_of_whoops_that_is_all_ours_corrects_nothing() {
    let mut ledger = Ledger::default();
    ledger.take(noon(), LIMITS, Class::Slot, 10);

    assert!(!ledger.whoop_counted(after(1.0), Period::Minute, 7, TimeDelta::seconds(30)));
    assert_eq!(ledger.room(after(2.0), LIMITS, Class::Waiting), 90);
}

#[test]
fn after_a_refusal_nobody_calls_before_the_limit_has_turned() {
    let mut ledger = Ledger::default();
    ledger.close(after(37.0), Period::Minute);
    ledger.close(after(12.0), Period::Minute);

    let refused = Leave::Later {
        at: after(37.0),
        period: Period::Minute,
    };
    for class in Class::ALL {
        assert_eq!(ledger.take(after(36.0), LIMITS, class, 1), refused);
    }
    assert_eq!(
        ledger.take(after(37.0), LIMITS, Class::Waiting, 1),
        Leave::Granted(1)
    );
}

#[test]
fn calls_that_a_clock_dated_to_the_future_hold_nobody_up_for_longer_than_their_limit() {
    // The database's clock was a day ahead for a minute.
    let mut ledger = Ledger::default();
    let ahead = noon() + TimeDelta::days(1);
    greedy(
        &mut ledger,
        Class::Slot,
        ahead,
        ahead + TimeDelta::minutes(1),
    );
    ledger.close(ahead + TimeDelta::seconds(60), Period::Minute);

    let mut bounded = ledger.clone().bounded_by(noon());

    assert_eq!(bounded.room(noon(), LIMITS, Class::Waiting), 0);
    let soon = after(130.0);
    assert!(bounded.room(soon, LIMITS, Class::Waiting) > 50);
    assert!(matches!(
        bounded.take(soon, LIMITS, Class::Waiting, 4),
        Leave::Granted(4)
    ));
    assert_eq!(
        ledger.room(soon, LIMITS, Class::Waiting),
        0,
        "without the bound"
    );
}

#[test]
fn a_ledger_survives_its_row() {
    let mut ledger = Ledger::default();
    greedy(&mut ledger, Class::Slot, noon(), after(300.0));
    ledger.close(after(400.0), Period::Day);
    ledger.whoop_counted(after(301.0), Period::Day, 5_000, TimeDelta::hours(3));

    let text = serde_json::to_string(&ledger).unwrap();
    let back: Ledger = serde_json::from_str(&text).unwrap();

    assert_eq!(
        back.spent(after(301.0)),
        ledger.spent(after(301.0)),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<Ledger>("{}").unwrap(),
        Ledger::default()
    );
}

/// Turns of two calls while a member comes now and then, or nobody does.
#[test]
fn turns_of_two_calls_use_every_call_where_nobody_comes_and_come_whole_where_somebody_does() {
    let minutes = 20;
    let run = |visits: bool| {
        let mut ledger = Ledger::default();
        let (mut now, mut made) = (noon(), 0);
        let mut next_visit = noon();
        while now < noon() + TimeDelta::minutes(minutes) {
            if visits && now >= next_visit {
                ledger.take(now, LIMITS, Class::Waiting, 4);
                next_visit += TimeDelta::minutes(3);
            }
            match ledger.take_at_least(now, LIMITS, Class::Slot, 2, 2) {
                Leave::Granted(calls) => {
                    assert!(calls == 2 || !visits);
                    made += i64::from(calls);
                }
                Leave::Later { at, .. } => now = at,
            }
        }
        made / minutes
    };

    assert!(run(false) >= 95, "{} a minute", run(false));
    assert!(run(true) >= 70, "{} a minute", run(true));
}

/// A run that begins when everybody wakes takes nothing from them.
#[test]
fn a_run_beside_a_busy_morning_leaves_the_minute_to_those_who_wait() {
    let mut ledger = Ledger::default();
    let mut run = 0;
    for second in 0..60 * 60 {
        let now = noon() + TimeDelta::seconds(second);
        // Eight visits at once, of four calls each, and then a pause.
        for _ in 0..if second % 40 == 0 { 8 } else { 0 } {
            let leave = ledger.take(now, LIMITS, Class::Waiting, 4);
            assert_eq!(leave, Leave::Granted(4), "after {second} s");
        }
        // The run comes when they have been coming for ten minutes.
        if second > 600
            && let Leave::Granted(calls) = ledger.take(now, LIMITS, Class::Slot, 16)
        {
            run += calls;
        }
    }
    assert!(run > 200, "the run got {run} calls");
}

/// A service that is upgraded has spent its day all the same.
#[test]
fn a_ledger_from_before_minutes_were_counted_keeps_its_calls_for_the_whole_day() {
    let text = format!(
        r#"{{"day":{{"slices":[{{"from":{},"made":[7,0,90,0,0],"wanted":[9,0,90,0,0]}}]}}}}"#,
        noon().timestamp()
    );

    let mut ledger: Ledger = serde_json::from_str(&text).unwrap();

    assert_eq!(ledger.spent(after(60.0)).day, 97);
    let almost_out = noon() + TimeDelta::hours(24) + TimeDelta::minutes(9);
    assert_eq!(ledger.spent(almost_out).day, 97);
    assert_eq!(ledger.spent(almost_out + TimeDelta::minutes(1)).day, 0);
    let day = Limits {
        per_minute: 100,
        per_day: 97,
    };
    assert!(matches!(
        ledger.take(after(60.0), day, Class::Waiting, 1),
        Leave::Later {
            period: Period::Day,
            ..
        }
    ));
}

/// Calls leave the day minute by minute, and none too early.
#[test]
fn a_minutes_calls_leave_the_day_together_when_the_youngest_may() {
    let mut ledger = Ledger::default();
    ledger.take(noon(), LIMITS, Class::Waiting, 10);
    ledger.take(after(59.0), LIMITS, Class::Waiting, 10);
    ledger.take(after(60.0), LIMITS, Class::Waiting, 10);

    let tomorrow = noon() + TimeDelta::hours(24);
    let spent = |seconds| ledger.spent(tomorrow + TimeDelta::seconds(seconds)).day;
    assert_eq!((spent(0), spent(59)), (30, 30));
    assert_eq!((spent(60), spent(119), spent(120)), (10, 10, 0));
}

#[test]
fn a_day_is_scarce_where_those_who_wait_may_not_find_enough() {
    let mut ledger = Ledger::default();
    assert!(!ledger.is_scarce(noon(), LIMITS));

    ledger.foresee(noon(), Class::Waiting, 5_500);
    assert!(!ledger.is_scarce(noon(), LIMITS));
    greedy(
        &mut ledger,
        Class::Slot,
        noon(),
        noon() + TimeDelta::hours(3),
    );
    assert!(ledger.is_scarce(noon() + TimeDelta::hours(3), LIMITS));

    let mut busy = Ledger::default();
    busy.foresee(noon(), Class::Waiting, 6_500);
    assert!(busy.is_scarce(noon(), LIMITS));
}

/// A wish to call: how many milliseconds after the one before, who, how much.
fn wishes() -> impl Strategy<Value = Vec<(i64, Class, u32)>> {
    let pause = prop_oneof![0..500_i64, 500..30_000_i64, 60_000..3_000_000_i64];
    let wish = (pause, prop::sample::select(Class::ALL.to_vec()), 1_u32..40);
    prop::collection::vec(wish, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Law 7, whoever asks, and whenever.
    #[test]
    fn no_minute_and_no_day_holds_more_than_whoop_allows(wishes in wishes()) {
        let limits = Limits { per_minute: 30, per_day: 200 };
        let mut ledger = Ledger::default();
        let mut now = noon();
        let mut made: Vec<(DateTime<Utc>, u32)> = Vec::new();
        for (pause, class, want) in wishes {
            now += TimeDelta::milliseconds(pause);
            if let Leave::Granted(calls) = ledger.take(now, limits, class, want) {
                prop_assert!(calls <= want && calls > 0);
                made.push((now, calls));
            }
            let within = |length| made.iter().filter(|(at, _)| now - *at < length).map(|(_, calls)| calls).sum::<u32>();
            prop_assert!(within(TimeDelta::seconds(60)) <= 30);
            prop_assert!(within(TimeDelta::days(1)) <= 200);
        }
    }

    /// Whoever wants several calls at once gets all of them or none, and gets them
    /// in the end.
    #[test]
    fn calls_that_are_wanted_together_come_together(wishes in wishes(), class in prop::sample::select(Class::ALL.to_vec()), least in 1_u32..=5) {
        let limits = Limits { per_minute: 100, per_day: 2_000 };
        prop_assert_eq!(limits.together(), 5);
        let mut ledger = Ledger::default();
        let mut now = noon();
        for (pause, class, want) in wishes {
            now += TimeDelta::milliseconds(pause);
            ledger.take(now, limits, class, want);
        }
        ledger.take(now, limits, Class::Waiting, 1);
        let mut asked = 0;
        for _ in 0..8 {
            asked += 1;
            match ledger.take_at_least(now, limits, class, least, least) {
                Leave::Granted(calls) => {
                    prop_assert_eq!(calls, least);
                    return Ok(());
                }
                Leave::Later { at, .. } => {
                    prop_assert!(at > now);
                    now = at;
                }
            }
        }
        prop_assert!(false, "put off {} times, the last until {}", asked, now);
    }

    #[test]
    fn whoever_is_told_a_time_is_let_in_then(wishes in wishes(), class in prop::sample::select(Class::ALL.to_vec())) {
        let limits = Limits { per_minute: 30, per_day: 300 };
        let mut ledger = Ledger::default();
        let mut now = noon();
        for (pause, class, want) in wishes {
            now += TimeDelta::milliseconds(pause);
            ledger.take(now, limits, class, want);
        }
        // The minute and the day may both stand in the way, one after the other.
        for _ in 0..3 {
            match ledger.take(now, limits, class, 1) {
                Leave::Granted(_) => return Ok(()),
                Leave::Later { at, .. } => {
                    prop_assert!(at > now);
                    now = at;
                }
            }
        }
        prop_assert!(false, "put off three times, the last until {now}");
    }
}
