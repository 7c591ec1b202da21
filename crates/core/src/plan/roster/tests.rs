use proptest::prelude::*;

use super::*;
use crate::plan::run::calls_for_inactive;

fn noon() -> DateTime<Utc> {
    "2026-03-20T12:00:00Z".parse().unwrap()
}

fn read(hours_ago: i64) -> Standing {
    Standing {
        not_granted: Vec::new(),
        is_failing: false,
        backing_off: Vec::new(),
        last_sync_at: [Some(noon() - TimeDelta::hours(hours_ago)); 4],
        visits: Visits::default(),
        signals: None,
        open_beyond: [0; 4],
    }
}

fn seen(hours_ago: i64) -> Visits {
    Visits::default().with(noon() - TimeDelta::hours(hours_ago))
}

fn order(calls: u32) -> Order<'static> {
    Order {
        data_types: &[DataType::Recovery, DataType::Sleep],
        now: noon(),
        looks_at_everything: false,
        freshness: TimeDelta::minutes(15),
        calls,
        calls_for_inactive: 100,
    }
}

fn members_of(roster: &Roster) -> Vec<usize> {
    roster.turns.iter().map(|turn| turn.member).collect()
}

#[test]
fn what_a_member_did_not_grant_is_no_reason_for_a_turn() {
    let modest = Standing {
        last_sync_at: [Some(noon()), Some(noon()), None, Some(noon())],
        not_granted: vec![DataType::Workout],
        ..read(0)
    };

    let roster = roster(&[modest], &order(100));

    assert_eq!((roster.turns.len(), roster.fresh), (0, 1));
}

#[test]
fn where_calls_are_plentiful_everybody_is_read() {
    let members = [read(9), read(400), read(1)];

    let roster = roster(&members, &order(100));

    assert_eq!(roster.turns.len(), 3);
    assert_eq!((roster.fresh, roster.left), (0, 0));
    assert!(
        roster
            .turns
            .iter()
            .all(|turn| turn.data_types == order(0).data_types)
    );
}

#[test]
fn what_was_read_a_moment_ago_is_left_out() {
    let mut half = read(9);
    half.last_sync_at[0] = Some(noon() - TimeDelta::minutes(5));

    let roster = roster(&[read(0), half], &order(100));

    assert_eq!(roster.fresh, 1);
    assert_eq!(roster.turns.len(), 1);
    assert_eq!(roster.turns[0].data_types.len(), 1);
}

#[test]
fn where_webhooks_arrive_only_the_night_reads_what_they_did_not_name() {
    let member = Standing {
        signals: Some([DataType::Sleep].into_iter().collect()),
        ..read(5)
    };
    let types = |looks_at_everything| {
        let order = Order {
            looks_at_everything,
            ..order(100)
        };
        roster(std::slice::from_ref(&member), &order).turns[0]
            .data_types
            .clone()
    };

    assert_eq!(types(false), [DataType::Sleep]);
    assert_eq!(types(true), [DataType::Recovery, DataType::Sleep]);
}

#[test]
fn where_calls_are_scarce_new_members_and_likely_visitors_come_first() {
    let new = Standing {
        not_granted: Vec::new(),
        is_failing: false,
        backing_off: Vec::new(),
        last_sync_at: [None; 4],
        visits: Visits::default(),
        signals: None,
        open_beyond: [0; 4],
    };
    let yesterday = Standing {
        visits: seen(20),
        ..read(9)
    };
    let last_week = Standing {
        visits: seen(170),
        ..read(9)
    };

    // A new member's first window has one page of each data type.
    let roster = roster(&[read(9), last_week, yesterday, new], &order(5));

    assert_eq!(members_of(&roster), [3, 2]);
    assert_eq!(roster.turns[0].reason, Reason::NeverRead);
    assert_eq!(roster.left, 2);
}

#[test]
fn calls_by_id_and_second_pages_are_in_the_cost() {
    let cost = |standing: &Standing| standing.calls(&[DataType::Recovery, DataType::Sleep], noon());
    let of = |days: i64, open_beyond| Standing {
        open_beyond,
        ..read(days * 24)
    };

    assert_eq!(cost(&of(1, [0; 4])), 2);
    // Of the data types that are read only, and not more than a sync asks for.
    assert_eq!(cost(&of(1, [3, 40, 7, 7])), 2 + 3 + 10);
    assert_eq!(cost(&of(20, [0; 4])), 4);
    // After a longer absence and the first time the newest days are read, in one page.
    assert_eq!(cost(&of(200, [0; 4])), 2);
    let never = Standing {
        last_sync_at: [None; 4],
        ..of(0, [0; 4])
    };
    assert_eq!(cost(&never), 2);
}

#[test]
fn members_who_cost_too_much_are_left_and_delay_no_other() {
    let dear = Standing {
        open_beyond: [10; 4],
        ..read(13 * 24 + 13)
    };
    let order = Order {
        calls_for_inactive: 30,
        ..order(0)
    };

    let roster = roster(&[dear, read(13 * 24 + 12)], &order);

    assert_eq!(members_of(&roster), [1]);
    assert_eq!(roster.left, 1);
}

#[test]
fn a_member_who_does_not_come_is_read_whole_before_the_fortnight_is_over() {
    let roster = roster(&[read(13 * 24 + 13), read(9 * 24)], &order(0));

    assert_eq!(members_of(&roster), [0]);
    assert_eq!(roster.turns[0].reason, Reason::Fortnight);
    assert_eq!(roster.turns[0].class(), PriorityClass::Inactive);
    assert_eq!(roster.turns[0].data_types, DataType::ALL);
}

#[test]
fn a_member_who_cannot_be_read_comes_after_all_others_and_not_before_their_pause_is_over() {
    let failing = Standing {
        is_failing: true,
        visits: seen(0),
        ..read(30 * 24)
    };
    let pausing = Standing {
        backing_off: DataType::ALL.to_vec(),
        ..failing.clone()
    };

    let roster = roster(&[failing, pausing, read(9)], &order(100));

    assert_eq!(members_of(&roster), [2, 0]);
}

#[test]
fn whoever_is_near_the_fortnight_is_read_however_many_they_are() {
    let due = vec![read(12 * 24 + 1); 40];
    assert_eq!(
        roster(
            &due,
            &Order {
                calls_for_inactive: 200,
                ..order(0)
            }
        )
        .turns
        .len(),
        40
    );

    // Before that, even shares: nobody falls due together.
    let early = vec![read(11 * 24); 40];
    assert_eq!(
        roster(
            &early,
            &Order {
                calls_for_inactive: 200,
                ..order(0)
            }
        )
        .turns
        .len(),
        4
    );
}

fn standing() -> impl Strategy<Value = Standing> {
    let at = prop::option::of(
        (0_i64..60 * 24 * 20).prop_map(|minutes| noon() - TimeDelta::minutes(minutes)),
    );
    let visits = prop::collection::vec(0_i64..24 * 40, 0..4);
    let open = prop::array::uniform4(0_usize..20);
    (prop::array::uniform4(at), visits, open).prop_map(|(last_sync_at, hours, open_beyond)| {
        let mut hours = hours;
        hours.sort_unstable_by(|one, other| other.cmp(one));
        let visits = hours.into_iter().fold(Visits::default(), |visits, hours| {
            visits.with(noon() - TimeDelta::hours(hours))
        });
        Standing {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at,
            visits,
            signals: None,
            open_beyond,
        }
    })
}

proptest! {
    #[test]
    fn a_run_never_exceeds_what_it_was_given_and_asks_nothing_twice(
        members in prop::collection::vec(standing(), 0..60), calls in 0_u32..150, dormant in 0_u32..50,
    ) {
        let order = Order { calls_for_inactive: dormant, ..order(calls) };
        let roster = roster(&members, &order);

        let cost = |class| roster.turns.iter().filter(|turn| turn.class() == class).map(|turn| turn.calls).sum::<u32>();
        prop_assert!(cost(PriorityClass::Scheduled) <= calls);
        prop_assert!(cost(PriorityClass::Inactive) <= dormant);
        let mut visited = members_of(&roster);
        visited.sort_unstable();
        visited.dedup();
        prop_assert_eq!(visited.len(), roster.turns.len());
        prop_assert_eq!(roster.turns.len() + roster.fresh + roster.left, members.len());
        for turn in &roster.turns {
            let fresh = turn.data_types.iter().filter(|one| {
                turn.reason == Reason::Slot && members[turn.member].of(**one).is_some_and(|at| noon() - at < order.freshness)
            });
            prop_assert_eq!(fresh.count(), 0);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Nobody who does not come waits for longer than a fortnight, as long
    /// as there is a call for each who is due.
    #[test]
    fn members_who_stay_away_are_read_once_in_a_fortnight(count in 1_usize..120, ages in prop::collection::vec(0_i64..14 * 24, 120)) {
        let mut members: Vec<Standing> = ages.iter().take(count).map(|hours| read(*hours)).collect();
        let a_day = calls_for_inactive(count);
        for run in 0..4 * 30 {
            let now = noon() + TimeDelta::hours(6 * run);
            let order = Order { now, calls: 0, calls_for_inactive: a_day.max(4) * 14, ..order(0) };
            for turn in roster(&members, &order).turns {
                members[turn.member].last_sync_at = [Some(now); 4];
            }
            let oldest = members.iter().filter_map(Standing::oldest).min().unwrap();
            prop_assert!(now - oldest <= FORTNIGHT, "{}", now - oldest);
        }
    }
}
