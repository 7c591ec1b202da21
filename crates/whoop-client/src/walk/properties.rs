//! What holds for every walk, however the list moves.

use std::collections::BTreeSet;

use proptest::prelude::*;
use whoop_core::plan::Window;

use super::{
    Walk,
    list::{Minute, at, cycles, everything, page_of, recoveries, sleeps},
};
use crate::Listed;

const NOTHING: [Minute; 0] = [];

#[derive(Debug, Clone)]
enum Change {
    Insert(Minute),
    /// Takes out one of those that are there.
    Remove(prop::sample::Index),
}

impl Change {
    fn apply(&self, starts: &mut BTreeSet<Minute>) {
        match self {
            Self::Insert(start) => {
                starts.insert(*start);
            }
            Self::Remove(which) if !starts.is_empty() => {
                let start = *which.get(&starts.iter().copied().collect::<Vec<_>>());
                starts.remove(&start);
            }
            Self::Remove(_) => {}
        }
    }
}

/// Walks until one walk finishes; the list changes before each page.
///
/// Returns what that walk saw, nothing twice, and what was there from its
/// first page on.
fn walk<R: Listed>(
    window: Window,
    mut starts: BTreeSet<Minute>,
    list: impl Fn(&BTreeSet<Minute>) -> Vec<R>,
    changes: Vec<Vec<Change>>,
) -> (BTreeSet<String>, BTreeSet<Minute>) {
    let mut changes = changes.into_iter();
    'walks: loop {
        let mut walk = Walk::<R>::new(window);
        let mut seen = BTreeSet::new();
        let mut throughout = starts.clone();
        while let Some(query) = walk.query() {
            let page = page_of(&list(&starts), &query);
            if walk.accept(&page).is_err() {
                continue 'walks;
            }
            for record in &page.records {
                assert!(seen.insert(record.id()), "{} came twice", record.id());
            }
            for change in changes.next().into_iter().flatten() {
                change.apply(&mut starts);
                throughout.retain(|start| starts.contains(start));
            }
        }
        return (seen, throughout);
    }
}

/// Even minutes are there from the beginning, odd ones come later.
fn starts() -> impl Strategy<Value = BTreeSet<Minute>> {
    prop::collection::btree_set((0..100_i64).prop_map(|n| 2 * n), 0..40)
}

fn insertion() -> impl Strategy<Value = Change> {
    (0..100_i64).prop_map(|n| Change::Insert(2 * n + 1))
}

fn insertions() -> impl Strategy<Value = Vec<Vec<Change>>> {
    prop::collection::vec(prop::collection::vec(insertion(), 0..8), 0..12)
}

fn insertions_and_removals() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change = prop_oneof![
        insertion(),
        any::<prop::sample::Index>().prop_map(Change::Remove)
    ];
    prop::collection::vec(prop::collection::vec(change, 0..6), 0..12)
}

fn missed(seen: &BTreeSet<String>, throughout: &BTreeSet<Minute>) -> Vec<Minute> {
    throughout
        .iter()
        .copied()
        .filter(|start| !seen.contains(&start.to_string()))
        .collect()
}

proptest! {
    #[test]
    fn sleeps_inserted_between_pages_hide_no_other(starts in starts(), changes in insertions()) {
        let (seen, throughout) = walk(everything(), starts, sleeps, changes);
        prop_assert_eq!(missed(&seen, &throughout), NOTHING);
    }

    /// They carry no start, so only their ids tell.
    #[test]
    fn recoveries_inserted_between_pages_hide_no_other(starts in starts(), changes in insertions()) {
        let (seen, throughout) = walk(everything(), starts, recoveries, changes);
        prop_assert_eq!(missed(&seen, &throughout), NOTHING);
    }

    /// A cycle that goes is taken over by its neighbour, so the rest still
    /// follow one another and a hole at a seam shows.
    #[test]
    fn cycles_that_come_and_go_between_pages_hide_no_other(
        starts in starts(), changes in insertions_and_removals(),
    ) {
        let (seen, throughout) = walk(everything(), starts, cycles, changes);
        prop_assert_eq!(missed(&seen, &throughout), NOTHING);
    }

    #[test]
    fn a_walk_that_stops_early_has_all_it_must_reach(
        starts in starts(), changes in insertions(), must_reach in 0..200_i64,
    ) {
        let window = Window { must_reach: Some(at(must_reach)), ..everything() };
        let owed = |throughout: &BTreeSet<Minute>| throughout.range(must_reach..).copied().collect();

        let (seen, throughout) = walk(window, starts.clone(), sleeps, changes.clone());
        prop_assert_eq!(missed(&seen, &owed(&throughout)), NOTHING);

        let (seen, throughout) = walk(window, starts, recoveries, changes);
        prop_assert_eq!(missed(&seen, &owed(&throughout)), NOTHING);
    }
}
