use std::collections::BTreeSet;

use whoop_core::{
    DataType, SleepId,
    record::{Recovery, RejectedRecord, Sleep},
};

use super::{
    list::{StartMinute, at, everything, page, page_of, recoveries, recovery, sleep, sleeps},
    *,
};

fn numbered(range: std::ops::Range<StartMinute>) -> BTreeSet<StartMinute> {
    range.collect()
}

/// Reads a list that does not change during the read. Returns the number of pages.
fn read<R: ListedRecord>(walker: &mut PageWalker, list: &[R]) -> usize {
    let mut pages = 0;
    while let Some(query) = walker.query() {
        walker.accept(&page_of(list, query)).unwrap();
        pages += 1;
    }
    pages
}

#[test]
fn each_page_begins_with_the_last_record_of_the_one_before() {
    let mut walker = PageWalker::new(everything());

    let pages = read(&mut walker, &sleeps(&numbered(0..9)));

    assert_eq!(pages, 4);
    assert!(walker.list_ended());
    assert_eq!(walker.oldest(), Some(at(0)));
    assert_eq!(walker.ids().len(), 9);
}

#[test]
fn recoveries_are_read_by_token_at_the_same_end() {
    let list = recoveries(&numbered(0..9));
    let mut walker = PageWalker::new(everything());

    walker
        .accept(&page_of(&list, walker.query().unwrap()))
        .unwrap();

    let second = walker.query().unwrap();
    assert_eq!(second.end, everything().end);
    assert_eq!(second.next_token.as_deref(), Some("3"));
    assert_eq!(read(&mut walker, &list), 2);
}

/// A deletion between two pages hides one recovery. The documentation of the module `page_walker`
/// describes this limitation.
#[test]
fn a_recovery_removed_between_two_pages_hides_the_one_at_the_border() {
    let mut starts = numbered(0..6);
    let mut walker = PageWalker::new(everything());
    let first = page_of(&recoveries(&starts), walker.query().unwrap());
    walker.accept(&first).unwrap();

    starts.remove(&4);
    read(&mut walker, &recoveries(&starts));

    assert!(walker.list_ended());
    assert!(
        !walker.ids().contains("2"),
        "the record was on neither page"
    );
}

#[test]
fn a_walk_that_covers_its_window_stops_before_the_list_ends() {
    let window = ReadWindow {
        must_reach: at(6),
        ..everything()
    };
    let list = sleeps(&numbered(0..9));
    let mut walker = PageWalker::new(window);

    walker
        .accept(&page_of(&list, walker.query().unwrap()))
        .unwrap();
    assert!(
        walker.query().is_some(),
        "another record may have begun at minute 6"
    );

    walker
        .accept(&page_of(&list, walker.query().unwrap()))
        .unwrap();
    assert_eq!(walker.query(), None);
    assert!(!walker.list_ended());
    assert_eq!(walker.oldest(), Some(at(4)));
}

#[test]
fn an_empty_list_has_ended() {
    let mut walker = PageWalker::new(everything());

    walker.accept::<Sleep>(&page(vec![], None)).unwrap();

    assert!(walker.list_ended());
    assert_eq!(walker.oldest(), None);
}

#[test]
fn records_that_began_together_and_fill_a_page_are_read_by_token() {
    let twin = |id: &str| Sleep {
        id: SleepId(id.to_owned()),
        ..sleep(8)
    };
    let list = [
        twin("a"),
        twin("b"),
        twin("c"),
        twin("d"),
        twin("e"),
        sleep(7),
    ];
    let mut walker = PageWalker::new(everything());

    read(&mut walker, &list);

    assert!(walker.list_ended());
    assert_eq!(walker.ids().len(), 6);
}

#[test]
fn a_page_of_unreadable_records_does_not_end_the_walk() {
    let mut walker = PageWalker::new(everything());
    let mut unreadable = page::<Sleep>(vec![], Some("3".to_owned()));
    unreadable.rejected.push(RejectedRecord {
        data_type: DataType::Sleep,
        record_id: Some("7".to_owned()),
        raw: "{}".to_owned(),
        reason: "start: expected a time".to_owned(),
    });

    walker.accept(&unreadable).unwrap();
    walker.accept(&page(vec![sleep(6)], None)).unwrap();

    assert!(walker.list_ended());
    assert!(walker.ids().contains("7"));
}

#[test]
fn an_empty_page_with_a_next_token_is_an_error() {
    let mut walker = PageWalker::new(everything());

    let accepted = walker.accept::<Sleep>(&page(vec![], Some("25".to_owned())));

    assert_eq!(accepted, Err(BrokenList::EmptyPage));
    assert!(!walker.list_ended());
}

/// A page that was requested by time repeats the last record of the previous page, so it cannot be
/// empty.
#[test]
fn an_empty_page_in_the_middle_of_a_walk_is_an_error() {
    let list = sleeps(&numbered(0..9));
    let mut walker = PageWalker::new(everything());
    walker
        .accept(&page_of(&list, walker.query().unwrap()))
        .unwrap();

    let accepted = walker.accept::<Sleep>(&page(vec![], None));

    assert_eq!(accepted, Err(BrokenList::EmptyPage));
    assert!(!walker.list_ended());
}

#[test]
fn a_list_without_readable_records_is_an_error() {
    let mut walker = PageWalker::new(everything());
    let mut accepted = Ok(());
    for token in ["3", "6", "9", "12"] {
        let mut unreadable = page::<Sleep>(vec![], Some(token.to_owned()));
        unreadable.rejected.push(RejectedRecord {
            data_type: DataType::Sleep,
            record_id: None,
            raw: "{}".to_owned(),
            reason: "start: expected a time".to_owned(),
        });
        accepted = walker.accept(&unreadable);
    }

    assert_eq!(accepted, Err(BrokenList::Unreadable));
}

#[test]
fn a_repeated_token_is_an_error() {
    let mut walker = PageWalker::new(everything());
    let token = || Some("2".to_owned());
    walker.accept(&page(vec![recovery(9)], token())).unwrap();

    let accepted = walker.accept::<Recovery>(&page(vec![recovery(8)], token()));

    assert_eq!(accepted, Err(BrokenList::Loop));
    assert!(!walker.list_ended());
}
