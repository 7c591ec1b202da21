use std::collections::BTreeSet;

use whoop_core::{
    DataType, SleepId,
    record::{Cycle, Rejected, Sleep},
};

use super::{
    list::{Minute, at, cycle, cycles, everything, page, page_of, sleep, sleeps},
    *,
};

fn numbered(range: std::ops::Range<Minute>) -> BTreeSet<Minute> {
    range.collect()
}

/// What a walk cannot see, as the module says: no page tells of it.
#[test]
fn a_sleep_that_goes_between_two_pages_hides_the_one_at_the_seam() {
    let mut starts = numbered(0..6);
    let mut walk = Walk::<Sleep>::new(everything());
    let query = walk.query().unwrap();
    walk.accept(&page_of(&sleeps(&starts), &query)).unwrap();

    starts.remove(&4);
    let last = page_of(&sleeps(&starts), &walk.query().unwrap());
    walk.accept(&last).unwrap();

    assert!(walk.is_complete());
    assert_eq!(
        last.records
            .iter()
            .map(Listed::sort_key)
            .collect::<Vec<_>>(),
        [Some(at(1)), Some(at(0))],
        "3 was on neither page"
    );
}

#[test]
fn an_unchanged_list_is_read_once_from_end_to_end() {
    let starts = numbered(0..10);
    let mut walk = Walk::<Cycle>::new(everything());
    let mut pages = 0;

    while let Some(query) = walk.query() {
        assert_eq!(query.end, everything().end);
        walk.accept(&page_of(&cycles(&starts), &query)).unwrap();
        pages += 1;
    }

    assert_eq!(pages, 4);
    assert!(walk.is_complete());
    assert_eq!(walk.reached(), Some(at(0)));
}

#[test]
fn a_walk_that_was_far_enough_is_over_but_not_complete() {
    let starts = numbered(0..9);
    let window = Window {
        must_reach: Some(at(6)),
        ..everything()
    };
    let mut walk = Walk::<Sleep>::new(window);

    let query = walk.query().unwrap();
    walk.accept(&page_of(&sleeps(&starts), &query)).unwrap();
    assert!(walk.query().is_some(), "another one may have begun at 6");

    let query = walk.query().unwrap();
    walk.accept(&page_of(&sleeps(&starts), &query)).unwrap();
    assert_eq!(walk.query(), None);
    assert!(!walk.is_complete());
    assert_eq!(walk.reached(), Some(at(3)));
}

#[test]
fn nothing_at_all_is_complete() {
    let mut walk = Walk::<Sleep>::new(everything());

    walk.accept(&page(vec![], None)).unwrap();

    assert!(walk.is_complete());
    assert_eq!(walk.reached(), None);
}

#[test]
fn a_repeated_record_sends_the_walk_back_to_its_first_page() {
    let mut walk = Walk::new(everything());
    let first = walk.query();
    walk.accept(&page(vec![sleep(9), sleep(8)], Some("2".to_owned())))
        .unwrap();

    let shifted = walk.accept(&page(vec![sleep(8), sleep(7)], None));

    assert_eq!(shifted, Err(Shifted::Repeats { id: "8".to_owned() }));
    assert_eq!(walk.query(), first);
    walk.accept(&page(vec![sleep(9), sleep(8)], None)).unwrap();
    assert!(walk.is_complete());
}

#[test]
fn a_page_of_later_records_does_not_join() {
    let mut walk = Walk::new(everything());
    walk.accept(&page(vec![sleep(9), sleep(8)], Some("2".to_owned())))
        .unwrap();

    let shifted = walk.accept(&page(vec![sleep(12), sleep(11)], None));

    assert_eq!(shifted, Err(Shifted::OutOfOrder));
}

#[test]
fn two_that_began_at_the_same_instant_may_lie_on_two_pages() {
    let twin = Sleep {
        id: SleepId("twin".to_owned()),
        ..sleep(8)
    };
    let mut walk = Walk::new(everything());
    walk.accept(&page(vec![sleep(9), sleep(8)], Some("2".to_owned())))
        .unwrap();

    walk.accept(&page(vec![twin], None)).unwrap();

    assert!(walk.is_complete());
}

#[test]
fn a_walk_has_not_come_further_back_than_its_window() {
    let window = Window {
        start: Some(at(5)),
        ..everything()
    };
    let mut walk = Walk::new(window);

    walk.accept(&page(vec![cycle(9, None), cycle(3, Some(9))], None))
        .unwrap();

    assert_eq!(walk.reached(), Some(at(5)));
}

#[test]
fn a_hole_between_cycles_is_doubted_once_and_believed_the_second_time() {
    let mut walk = Walk::new(everything());
    let newest = page(
        vec![cycle(9, None), cycle(8, Some(9))],
        Some("2".to_owned()),
    );
    let oldest = page(vec![cycle(5, Some(6)), cycle(4, Some(5))], None);

    walk.accept(&newest).unwrap();
    assert_eq!(walk.accept(&oldest), Err(Shifted::Gap));

    walk.accept(&newest).unwrap();
    walk.accept(&oldest).unwrap();
    assert!(walk.is_complete());
}

#[test]
fn beside_a_cycle_that_cannot_be_read_a_hole_is_no_shift() {
    let mut walk = Walk::new(everything());
    let mut newest = page(
        vec![cycle(9, None), cycle(8, Some(9))],
        Some("3".to_owned()),
    );
    newest.rejected.push(Rejected {
        data_type: DataType::Cycle,
        record_id: Some("7".to_owned()),
        raw: "{}".to_owned(),
        reason: "start: expected a time".to_owned(),
    });
    walk.accept(&newest).unwrap();

    walk.accept(&page(vec![cycle(6, Some(7))], None)).unwrap();

    assert!(walk.is_complete());
}

#[test]
fn an_empty_page_never_counts_as_the_end_of_a_list_that_promised_more() {
    let mut walk = Walk::<Sleep>::new(everything());
    let nothing_yet = page(vec![], Some("25".to_owned()));
    assert_eq!(walk.accept(&nothing_yet), Err(Shifted::Empty));
    assert_eq!(walk.accept(&nothing_yet), Err(Shifted::Empty));
    assert!(!walk.is_complete());

    let full = page(vec![sleep(9), sleep(8)], Some("2".to_owned()));
    walk.accept(&full).unwrap();
    assert_eq!(walk.accept(&page(vec![], None)), Err(Shifted::Empty));

    // The same again: the list has exactly two records and a token too many.
    walk.accept(&full).unwrap();
    walk.accept(&page(vec![], None)).unwrap();
    assert!(walk.is_complete());
}

#[test]
fn a_token_that_comes_back_does_not_lead_in_circles() {
    let mut walk = Walk::new(everything());
    let token = || Some("2".to_owned());
    walk.accept(&page(vec![sleep(9)], token())).unwrap();

    assert_eq!(
        walk.accept(&page(vec![sleep(8)], token())),
        Err(Shifted::Circle)
    );
    assert!(!walk.is_complete());
}
