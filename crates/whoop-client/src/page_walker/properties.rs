//! Properties of the page walker, tested with any changes of the list between the pages.

use std::collections::BTreeSet;

use proptest::prelude::*;
use whoop_core::plan::ReadWindow;

use super::{
    PageWalker,
    list::{StartMinute, at, everything, page_of, recoveries, sleeps},
};
use crate::ListedRecord;

const NOTHING: [StartMinute; 0] = [];

#[derive(Debug, Clone)]
enum ListChange {
    Insert(StartMinute),
    /// Removes one of the records that are on the list.
    Remove(prop::sample::Index),
}

impl ListChange {
    fn apply(&self, starts: &mut BTreeSet<StartMinute>) {
        match self {
            Self::Insert(start) => {
                starts.insert(*start);
            }
            Self::Remove(index) if !starts.is_empty() => {
                let start = *index.get(&starts.iter().copied().collect::<Vec<_>>());
                starts.remove(&start);
            }
            Self::Remove(_) => {}
        }
    }
}

/// Reads a window while the list changes after each page. If the list cannot be read further, the
/// function starts again with a new page walker.
///
/// Returns the ids of the records on the pages, and the records that were on the list during the
/// whole read.
fn walk<R: ListedRecord>(
    window: ReadWindow,
    mut starts: BTreeSet<StartMinute>,
    list: impl Fn(&BTreeSet<StartMinute>) -> Vec<R>,
    changes: Vec<Vec<ListChange>>,
) -> (BTreeSet<String>, BTreeSet<StartMinute>) {
    let mut changes = changes.into_iter();
    'walks: loop {
        let mut walker = PageWalker::new(window);
        let mut seen = BTreeSet::new();
        let mut unchanged = starts.clone();
        while let Some(query) = walker.query() {
            let page = page_of(&list(&starts), query);
            if walker.accept(&page).is_err() {
                continue 'walks;
            }
            seen.extend(page.records.iter().map(R::id));
            for change in changes.next().into_iter().flatten() {
                change.apply(&mut starts);
                unchanged.retain(|start| starts.contains(start));
            }
        }
        return (seen, unchanged);
    }
}

/// Generates the initial records. They begin at even minutes; records that are added later begin at
/// odd minutes.
fn starts() -> impl Strategy<Value = BTreeSet<StartMinute>> {
    prop::collection::btree_set((0..100_i64).prop_map(|n| 2 * n), 0..40)
}

fn insertion() -> impl Strategy<Value = ListChange> {
    (0..100_i64).prop_map(|n| ListChange::Insert(2 * n + 1))
}

fn insertions() -> impl Strategy<Value = Vec<Vec<ListChange>>> {
    prop::collection::vec(prop::collection::vec(insertion(), 0..8), 0..12)
}

fn insertions_and_removals() -> impl Strategy<Value = Vec<Vec<ListChange>>> {
    let change = prop_oneof![
        insertion(),
        any::<prop::sample::Index>().prop_map(ListChange::Remove)
    ];
    prop::collection::vec(prop::collection::vec(change, 0..6), 0..12)
}

fn missed(seen: &BTreeSet<String>, unchanged: &BTreeSet<StartMinute>) -> Vec<StartMinute> {
    unchanged
        .iter()
        .copied()
        .filter(|start| !seen.contains(&start.to_string()))
        .collect()
}

proptest! {
    #[test]
    fn sleeps_inserted_or_removed_between_pages_hide_no_other(
        starts in starts(), changes in insertions_and_removals(),
    ) {
        let (seen, unchanged) = walk(everything(), starts, sleeps, changes);
        prop_assert_eq!(missed(&seen, &unchanged), NOTHING);
    }

    /// Recoveries do not contain the start of their sleep, so they are read by offset.
    #[test]
    fn recoveries_inserted_between_pages_hide_no_other(starts in starts(), changes in insertions()) {
        let (seen, unchanged) = walk(everything(), starts, recoveries, changes);
        prop_assert_eq!(missed(&seen, &unchanged), NOTHING);
    }

    #[test]
    fn a_walk_that_stops_early_covers_its_window(
        starts in starts(), changes in insertions(), must_reach in 0..200_i64,
    ) {
        let window = ReadWindow { must_reach: at(must_reach), ..everything() };
        let expected = |unchanged: &BTreeSet<StartMinute>| unchanged.range(must_reach..).copied().collect();

        let (seen, unchanged) = walk(window, starts.clone(), sleeps, changes.clone());
        prop_assert_eq!(missed(&seen, &expected(&unchanged)), NOTHING);

        let (seen, unchanged) = walk(window, starts, recoveries, changes);
        prop_assert_eq!(missed(&seen, &expected(&unchanged)), NOTHING);
    }
}
