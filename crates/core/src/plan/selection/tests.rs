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

fn opened(hours_ago: i64) -> AppOpenHistory {
    AppOpenHistory::default().with_open(noon() - TimeDelta::hours(hours_ago))
}

fn parameters(calls: u32) -> SelectionParameters<'static> {
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
        .map(|entry| entry.member_index)
        .collect()
}

#[test]
fn a_data_type_without_a_grant_is_not_read() {
    let member = MemberSyncState {
        last_sync_at: [Some(noon()), Some(noon()), None, Some(noon())],
        not_granted: vec![DataType::Workout],
        ..read(0)
    };

    let selection = select_members(&[member], &parameters(100));

    assert_eq!((selection.entries.len(), selection.up_to_date), (0, 1));
}

#[test]
fn all_members_are_read_if_calls_are_plentiful() {
    let members = [read(9), read(400), read(1)];

    let selection = select_members(&members, &parameters(100));

    assert_eq!(selection.entries.len(), 3);
    assert_eq!((selection.up_to_date, selection.skipped_for_quota), (0, 0));
    assert!(
        selection
            .entries
            .iter()
            .all(|entry| entry.data_types == parameters(0).data_types)
    );
}

#[test]
fn fresh_data_types_are_not_read_again() {
    let mut half = read(9);
    half.last_sync_at[0] = Some(noon() - TimeDelta::minutes(5));

    let selection = select_members(&[read(0), half], &parameters(100));

    assert_eq!(selection.up_to_date, 1);
    assert_eq!(selection.entries.len(), 1);
    assert_eq!(selection.entries[0].data_types.len(), 1);
}

#[test]
fn only_the_night_run_reads_data_types_without_a_webhook() {
    let member = MemberSyncState {
        signals: Some([DataType::Sleep].into_iter().collect()),
        ..read(5)
    };
    let types = |rechecks_unchanged| {
        let parameters = SelectionParameters {
            rechecks_unchanged,
            ..parameters(100)
        };
        select_members(std::slice::from_ref(&member), &parameters).entries[0]
            .data_types
            .clone()
    };

    assert_eq!(types(false), [DataType::Sleep]);
    assert_eq!(types(true), [DataType::Recovery, DataType::Sleep]);
}

#[test]
fn if_calls_are_scarce_new_and_active_members_are_first() {
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
        app_opens: opened(20),
        ..read(9)
    };
    let last_week = MemberSyncState {
        app_opens: opened(170),
        ..read(9)
    };

    // The first window of a new member takes one call per data type.
    let selection = select_members(&[read(9), last_week, yesterday, new], &parameters(5));

    assert_eq!(members_of(&selection), [3, 2]);
    assert_eq!(selection.entries[0].reason, ReadReason::NeverRead);
    assert_eq!(selection.skipped_for_quota, 2);
}

#[test]
fn calls_by_id_and_second_pages_are_in_the_cost() {
    let cost = |member_state: &MemberSyncState| {
        member_state.expected_calls(&[DataType::Recovery, DataType::Sleep], noon())
    };
    let of = |days: i64, old_pending_counts| MemberSyncState {
        old_pending_counts,
        ..read(days * 24)
    };

    assert_eq!(cost(&of(1, [0; 4])), 2);
    // Only records of the requested data types count, and at most 10 records per data type.
    assert_eq!(cost(&of(1, [3, 40, 7, 7])), 2 + 3 + 10);
    assert_eq!(cost(&of(20, [0; 4])), 4);
    // After an absence of more than 21 days, and at the first read, only one page of the newest
    // days is read per data type.
    assert_eq!(cost(&of(200, [0; 4])), 2);
    let never = MemberSyncState {
        last_sync_at: [None; 4],
        ..of(0, [0; 4])
    };
    assert_eq!(cost(&never), 2);
}

#[test]
fn a_member_with_too_many_calls_is_skipped_and_delays_no_other() {
    let costly = MemberSyncState {
        old_pending_counts: [10; 4],
        ..read(13 * 24 + 13)
    };
    let parameters = SelectionParameters {
        inactive_call_limit: 30,
        ..parameters(0)
    };

    let selection = select_members(&[costly, read(13 * 24 + 12)], &parameters);

    assert_eq!(members_of(&selection), [1]);
    assert_eq!(selection.skipped_for_quota, 1);
}

#[test]
fn an_inactive_member_is_read_completely_within_a_fortnight() {
    let selection = select_members(&[read(13 * 24 + 13), read(9 * 24)], &parameters(0));

    assert_eq!(members_of(&selection), [0]);
    assert_eq!(selection.entries[0].reason, ReadReason::Fortnight);
    assert_eq!(selection.entries[0].class(), PriorityClass::Inactive);
    assert_eq!(selection.entries[0].data_types, DataType::ALL);
}

#[test]
fn a_failing_member_is_last_and_is_not_read_during_the_backoff_pause() {
    let failing = MemberSyncState {
        is_failing: true,
        app_opens: opened(0),
        ..read(30 * 24)
    };
    let pausing = MemberSyncState {
        backing_off: DataType::ALL.to_vec(),
        ..failing.clone()
    };

    let selection = select_members(&[failing, pausing, read(9)], &parameters(100));

    assert_eq!(members_of(&selection), [2, 0]);
}

#[test]
fn all_members_near_the_end_of_the_fortnight_are_read() {
    let due = vec![read(12 * 24 + 1); 40];
    assert_eq!(
        select_members(
            &due,
            &SelectionParameters {
                inactive_call_limit: 200,
                ..parameters(0)
            }
        )
        .entries
        .len(),
        40
    );

    // Before the age of 12 days, each run selects only an even share of the members, so that they
    // are not all read in the same run.
    let early = vec![read(11 * 24); 40];
    assert_eq!(
        select_members(
            &early,
            &SelectionParameters {
                inactive_call_limit: 200,
                ..parameters(0)
            }
        )
        .entries
        .len(),
        4
    );
}

fn member_state() -> impl Strategy<Value = MemberSyncState> {
    let at = prop::option::of(
        (0_i64..60 * 24 * 20).prop_map(|minutes| noon() - TimeDelta::minutes(minutes)),
    );
    let app_opens = prop::collection::vec(0_i64..24 * 40, 0..4);
    let open = prop::array::uniform4(0_usize..20);
    (prop::array::uniform4(at), app_opens, open).prop_map(
        |(last_sync_at, hours, old_pending_counts)| {
            let mut hours = hours;
            hours.sort_unstable_by(|one, other| other.cmp(one));
            let app_opens = hours
                .into_iter()
                .fold(AppOpenHistory::default(), |app_opens, hours| {
                    app_opens.with_open(noon() - TimeDelta::hours(hours))
                });
            MemberSyncState {
                not_granted: Vec::new(),
                is_failing: false,
                backing_off: Vec::new(),
                last_sync_at,
                app_opens,
                signals: None,
                old_pending_counts,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_run_never_exceeds_its_call_limits_and_selects_no_member_twice(
        members in prop::collection::vec(member_state(), 0..60), calls in 0_u32..150, inactive_calls in 0_u32..50,
    ) {
        let parameters = SelectionParameters { inactive_call_limit: inactive_calls, ..parameters(calls) };
        let selection = select_members(&members, &parameters);

        let cost = |class| selection.entries.iter().filter(|entry| entry.class() == class).map(|entry| entry.expected_calls).sum::<u32>();
        prop_assert!(cost(PriorityClass::Scheduled) <= calls);
        prop_assert!(cost(PriorityClass::Inactive) <= inactive_calls);
        let mut selected = members_of(&selection);
        selected.sort_unstable();
        selected.dedup();
        prop_assert_eq!(selected.len(), selection.entries.len());
        prop_assert_eq!(selection.entries.len() + selection.up_to_date + selection.skipped_for_quota, members.len());
        for entry in &selection.entries {
            let fresh = entry.data_types.iter().filter(|one| {
                entry.reason == ReadReason::Slot && members[entry.member_index].last_sync_of(**one).is_some_and(|at| noon() - at < parameters.freshness)
            });
            prop_assert_eq!(fresh.count(), 0);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// No inactive member waits for longer than 14 days, provided that the quota has a call for
    /// each member who is due.
    #[test]
    fn inactive_members_are_read_once_in_a_fortnight(count in 1_usize..120, ages in prop::collection::vec(0_i64..14 * 24, 120)) {
        let mut members: Vec<MemberSyncState> = ages.iter().take(count).map(|hours| read(*hours)).collect();
        let a_day = inactive_calls_per_day(count);
        for run in 0..4 * 30 {
            let now = noon() + TimeDelta::hours(6 * run);
            let parameters = SelectionParameters { now, call_limit: 0, inactive_call_limit: a_day.max(4) * 14, ..parameters(0) };
            for entry in select_members(&members, &parameters).entries {
                members[entry.member_index].last_sync_at = [Some(now); 4];
            }
            let oldest = members.iter().filter_map(MemberSyncState::oldest_sync_at).min().unwrap();
            prop_assert!(now - oldest <= FORTNIGHT, "{}", now - oldest);
        }
    }
}
