use proptest::prelude::*;

use super::*;
use crate::plan::run::inactive_calls_per_day;

fn noon() -> DateTime<Utc> {
    "2026-03-20T12:00:00Z".parse().unwrap()
}

fn read(hours_ago: i64) -> MemberSyncState {
    MemberSyncState {
        not_granted: Vec::new(),
        is_failing: false,
        backing_off: Vec::new(),
        last_sync_at: [Some(noon() - TimeDelta::hours(hours_ago)); 4],
        app_opens: AppOpenHistory::default(),
        signals: None,
        old_pending_counts: [0; 4],
    }
}

fn seen(hours_ago: i64) -> AppOpenHistory {
    AppOpenHistory::default().with_open(noon() - TimeDelta::hours(hours_ago))
}

fn order(calls: u32) -> SelectionParameters<'static> {
    SelectionParameters {
        data_types: &[DataType::Recovery, DataType::Sleep],
        now: noon(),
        rechecks_unchanged: false,
        freshness: TimeDelta::minutes(15),
        call_limit: calls,
        inactive_call_limit: 100,
    }
}

fn members_of(selection: &MemberSelection) -> Vec<usize> {
    selection
        .entries
        .iter()
        .map(|turn| turn.member_index)
        .collect()
}

#[test]
fn what_a_member_did_not_grant_is_no_reason_for_a_turn() {
    let modest = MemberSyncState {
        last_sync_at: [Some(noon()), Some(noon()), None, Some(noon())],
        not_granted: vec![DataType::Workout],
        ..read(0)
    };

    let roster = select_members(&[modest], &order(100));

    assert_eq!((roster.entries.len(), roster.up_to_date), (0, 1));
}

#[test]
fn where_calls_are_plentiful_everybody_is_read() {
    let members = [read(9), read(400), read(1)];

    let roster = select_members(&members, &order(100));

    assert_eq!(roster.entries.len(), 3);
    assert_eq!((roster.up_to_date, roster.skipped_for_quota), (0, 0));
    assert!(
        roster
            .entries
            .iter()
            .all(|turn| turn.data_types == order(0).data_types)
    );
}

#[test]
fn what_was_read_a_moment_ago_is_left_out() {
    let mut half = read(9);
    half.last_sync_at[0] = Some(noon() - TimeDelta::minutes(5));

    let roster = select_members(&[read(0), half], &order(100));

    assert_eq!(roster.up_to_date, 1);
    assert_eq!(roster.entries.len(), 1);
    assert_eq!(roster.entries[0].data_types.len(), 1);
}

#[test]
fn where_webhooks_arrive_only_the_night_reads_what_they_did_not_name() {
    let member = MemberSyncState {
        signals: Some([DataType::Sleep].into_iter().collect()),
        ..read(5)
    };
    let types = |looks_at_everything| {
        let order = SelectionParameters {
            rechecks_unchanged: looks_at_everything,
            ..order(100)
        };
        select_members(std::slice::from_ref(&member), &order).entries[0]
            .data_types
            .clone()
    };

    assert_eq!(types(false), [DataType::Sleep]);
    assert_eq!(types(true), [DataType::Recovery, DataType::Sleep]);
}

#[test]
fn where_calls_are_scarce_new_members_and_likely_visitors_come_first() {
    let new = MemberSyncState {
        not_granted: Vec::new(),
        is_failing: false,
        backing_off: Vec::new(),
        last_sync_at: [None; 4],
        app_opens: AppOpenHistory::default(),
        signals: None,
        old_pending_counts: [0; 4],
    };
    let yesterday = MemberSyncState {
        app_opens: seen(20),
        ..read(9)
    };
    let last_week = MemberSyncState {
        app_opens: seen(170),
        ..read(9)
    };

    // A new member's first window has one page of each data type.
    let roster = select_members(&[read(9), last_week, yesterday, new], &order(5));

    assert_eq!(members_of(&roster), [3, 2]);
    assert_eq!(roster.entries[0].reason, ReadReason::NeverRead);
    assert_eq!(roster.skipped_for_quota, 2);
}

#[test]
fn calls_by_id_and_second_pages_are_in_the_cost() {
    let cost = |standing: &MemberSyncState| {
        standing.expected_calls(&[DataType::Recovery, DataType::Sleep], noon())
    };
    let of = |days: i64, open_beyond| MemberSyncState {
        old_pending_counts: open_beyond,
        ..read(days * 24)
    };

    assert_eq!(cost(&of(1, [0; 4])), 2);
    // Only the data types that are read count, and not more records than a sync requests.
    assert_eq!(cost(&of(1, [3, 40, 7, 7])), 2 + 3 + 10);
    assert_eq!(cost(&of(20, [0; 4])), 4);
    // After a longer absence, and at the first read, one page of the newest days is read.
    assert_eq!(cost(&of(200, [0; 4])), 2);
    let never = MemberSyncState {
        last_sync_at: [None; 4],
        ..of(0, [0; 4])
    };
    assert_eq!(cost(&never), 2);
}

#[test]
fn members_who_cost_too_much_are_left_and_delay_no_other() {
    let dear = MemberSyncState {
        old_pending_counts: [10; 4],
        ..read(13 * 24 + 13)
    };
    let order = SelectionParameters {
        inactive_call_limit: 30,
        ..order(0)
    };

    let roster = select_members(&[dear, read(13 * 24 + 12)], &order);

    assert_eq!(members_of(&roster), [1]);
    assert_eq!(roster.skipped_for_quota, 1);
}

#[test]
fn a_member_who_does_not_come_is_read_whole_before_the_fortnight_is_over() {
    let roster = select_members(&[read(13 * 24 + 13), read(9 * 24)], &order(0));

    assert_eq!(members_of(&roster), [0]);
    assert_eq!(roster.entries[0].reason, ReadReason::Fortnight);
    assert_eq!(roster.entries[0].class(), PriorityClass::Inactive);
    assert_eq!(roster.entries[0].data_types, DataType::ALL);
}

#[test]
fn a_member_who_cannot_be_read_comes_after_all_others_and_not_before_their_pause_is_over() {
    let failing = MemberSyncState {
        is_failing: true,
        app_opens: seen(0),
        ..read(30 * 24)
    };
    let pausing = MemberSyncState {
        backing_off: DataType::ALL.to_vec(),
        ..failing.clone()
    };

    let roster = select_members(&[failing, pausing, read(9)], &order(100));

    assert_eq!(members_of(&roster), [2, 0]);
}

#[test]
fn whoever_is_near_the_fortnight_is_read_however_many_they_are() {
    let due = vec![read(12 * 24 + 1); 40];
    assert_eq!(
        select_members(
            &due,
            &SelectionParameters {
                inactive_call_limit: 200,
                ..order(0)
            }
        )
        .entries
        .len(),
        40
    );

    // Before that age, each run reads an even share, so that the members are not all due at once.
    let early = vec![read(11 * 24); 40];
    assert_eq!(
        select_members(
            &early,
            &SelectionParameters {
                inactive_call_limit: 200,
                ..order(0)
            }
        )
        .entries
        .len(),
        4
    );
}

fn standing() -> impl Strategy<Value = MemberSyncState> {
    let at = prop::option::of(
        (0_i64..60 * 24 * 20).prop_map(|minutes| noon() - TimeDelta::minutes(minutes)),
    );
    let visits = prop::collection::vec(0_i64..24 * 40, 0..4);
    let open = prop::array::uniform4(0_usize..20);
    (prop::array::uniform4(at), visits, open).prop_map(|(last_sync_at, hours, open_beyond)| {
        let mut hours = hours;
        hours.sort_unstable_by(|one, other| other.cmp(one));
        let visits = hours
            .into_iter()
            .fold(AppOpenHistory::default(), |visits, hours| {
                visits.with_open(noon() - TimeDelta::hours(hours))
            });
        MemberSyncState {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at,
            app_opens: visits,
            signals: None,
            old_pending_counts: open_beyond,
        }
    })
}

proptest! {
    #[test]
    fn a_run_never_exceeds_what_it_was_given_and_asks_nothing_twice(
        members in prop::collection::vec(standing(), 0..60), calls in 0_u32..150, dormant in 0_u32..50,
    ) {
        let order = SelectionParameters { inactive_call_limit: dormant, ..order(calls) };
        let roster = select_members(&members, &order);

        let cost = |class| roster.entries.iter().filter(|turn| turn.class() == class).map(|turn| turn.expected_calls).sum::<u32>();
        prop_assert!(cost(PriorityClass::Scheduled) <= calls);
        prop_assert!(cost(PriorityClass::Inactive) <= dormant);
        let mut visited = members_of(&roster);
        visited.sort_unstable();
        visited.dedup();
        prop_assert_eq!(visited.len(), roster.entries.len());
        prop_assert_eq!(roster.entries.len() + roster.up_to_date + roster.skipped_for_quota, members.len());
        for turn in &roster.entries {
            let fresh = turn.data_types.iter().filter(|one| {
                turn.reason == ReadReason::Slot && members[turn.member_index].last_sync_of(**one).is_some_and(|at| noon() - at < order.freshness)
            });
            prop_assert_eq!(fresh.count(), 0);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// No inactive member waits for longer than 14 days, if there is a call for each member who is
    /// due.
    #[test]
    fn members_who_stay_away_are_read_once_in_a_fortnight(count in 1_usize..120, ages in prop::collection::vec(0_i64..14 * 24, 120)) {
        let mut members: Vec<MemberSyncState> = ages.iter().take(count).map(|hours| read(*hours)).collect();
        let a_day = inactive_calls_per_day(count);
        for run in 0..4 * 30 {
            let now = noon() + TimeDelta::hours(6 * run);
            let order = SelectionParameters { now, call_limit: 0, inactive_call_limit: a_day.max(4) * 14, ..order(0) };
            for turn in select_members(&members, &order).entries {
                members[turn.member_index].last_sync_at = [Some(now); 4];
            }
            let oldest = members.iter().filter_map(MemberSyncState::oldest_sync_at).min().unwrap();
            prop_assert!(now - oldest <= FORTNIGHT, "{}", now - oldest);
        }
    }
}
