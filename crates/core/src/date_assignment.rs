//! Assignment of local dates: determines the date of each cycle, recovery and main sleep, and the
//! cycle that is displayed for each date.
//!
//! A cycle, its recovery and its main sleeps form one group, and all records of a group get the
//! same date. The date of a group is determined in this order:
//!
//! 1. the date of the main sleep that the recovery names;
//! 2. otherwise the date of the longest main sleep of the group;
//! 3. otherwise the date of the middle of the cycle.
//!
//! If two closed cycles with a main sleep claim the same date, the later cycle moves to the next
//! date, provided that more than half of the cycle lies on the next date and that no other group
//! claims the next date.
//!
//! One cycle is displayed for each date. A cycle with a scored recovery has precedence over a cycle
//! with an unscored recovery, and that has precedence over a cycle without a recovery. Among
//! equals, the cycle with the longest sleep has precedence, then the cycle that starts later. The
//! records of the other groups of the date are listed in `others`.
//!
//! The result depends only on the set of records, not on the order in which they arrive.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days as DaysLater, NaiveDate, TimeDelta, Utc};

use crate::{
    CycleId, SleepId, local_date,
    offset::{self, local_date as date_at},
    record::{Cycle, Recovery, Sleep},
};

/// Maximum length of a running cycle: 48 hours.
///
/// WHOOP closes a cycle after 24 hours without the strap, and few cycles last longer than two days.
/// If an older cycle has no end, it has ended at WHOOP, but its end was not read yet.
const LONGEST_CYCLE: TimeDelta = TimeDelta::hours(48);

/// Fields of a sleep that determine its date and the date of its cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SleepTimes {
    pub id: SleepId,
    pub cycle_id: Option<CycleId>,
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub nap: bool,
    /// Time asleep. If the sleep has no score, the time from its start to its end.
    pub ranking_duration: TimeDelta,
}

impl SleepTimes {
    fn local_date(&self) -> NaiveDate {
        local_date::of_sleep(self.start, self.end, self.timezone_offset.as_deref())
    }

    fn sort_key(&self) -> (TimeDelta, DateTime<Utc>, &str) {
        (self.ranking_duration, self.start, self.id.0.as_str())
    }
}

impl From<&Sleep> for SleepTimes {
    fn from(sleep: &Sleep) -> Self {
        Self {
            id: sleep.id.clone(),
            cycle_id: sleep.cycle_id,
            start: sleep.start,
            end: sleep.end,
            timezone_offset: sleep.timezone_offset.clone(),
            nap: sleep.is_nap(),
            ranking_duration: sleep.ranking_duration(),
        }
    }
}

/// Fields of a cycle that determine its date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleTimes {
    pub id: CycleId,
    pub start: DateTime<Utc>,
    /// End of the cycle; `None` if the cycle is still running.
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
}

impl CycleTimes {
    fn contains(&self, instant: DateTime<Utc>) -> bool {
        let elapsed = instant - self.start;
        (TimeDelta::zero()..LONGEST_CYCLE).contains(&elapsed)
            && self.end.is_none_or(|end| instant < end)
    }

    fn local_date(&self) -> NaiveDate {
        local_date::of_sleepless_cycle(self.start, self.end, self.timezone_offset.as_deref())
    }

    /// Returns whether more than half of the cycle lies on `date`, at the cycle's own UTC offset.
    ///
    /// Returns `false` for a running cycle.
    fn lies_mostly_on(&self, date: NaiveDate) -> bool {
        let Some(end) = self.end else { return false };
        let offset = self.timezone_offset.as_deref().and_then(offset::parse);
        let east = offset.map_or(TimeDelta::zero(), |offset| {
            TimeDelta::seconds(i64::from(offset.local_minus_utc()))
        });
        let midnight = |date: NaiveDate| date.and_time(chrono::NaiveTime::MIN).and_utc() - east;
        let from = self.start.max(midnight(date));
        let until = end.min(midnight(date + DaysLater::new(1)));
        (until - from) * 2 > end - self.start
    }
}

impl From<&Cycle> for CycleTimes {
    fn from(cycle: &Cycle) -> Self {
        Self {
            id: cycle.id,
            start: cycle.start,
            end: cycle.end,
            timezone_offset: cycle.timezone_offset.clone(),
        }
    }
}

/// Fields of a recovery that determine its date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryLinks {
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub created_at: DateTime<Utc>,
    pub is_scored: bool,
}

impl From<&Recovery> for RecoveryLinks {
    fn from(recovery: &Recovery) -> Self {
        Self {
            cycle_id: recovery.cycle_id,
            sleep_id: recovery.sleep_id.clone(),
            created_at: recovery.created_at,
            is_scored: recovery.score_state.is_scored(),
        }
    }
}

/// Records of one member for which the local dates are determined. No record is contained twice.
///
/// The input has to include the records of the neighbouring dates; without them, dates may be
/// wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DateAssignmentInput {
    pub cycles: Vec<CycleTimes>,
    pub recoveries: Vec<RecoveryLinks>,
    /// Main sleeps. The list may also contain naps, which are ignored.
    pub sleeps: Vec<SleepTimes>,
}

/// Local date of a record, and whether the record belongs to the cycle that is displayed for the
/// date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateAssignment {
    /// Date of the day that contains the record. The end of a main sleep may lie on another date.
    pub local_date: NaiveDate,
    /// Whether another cycle is displayed for the date, so that this record is listed in `others`.
    pub in_others: bool,
    /// UTC offset that was used to determine the date. It is the offset of the main sleep if there
    /// is one.
    pub timezone_offset: Option<String>,
}

/// Local dates of all cycles, recoveries and main sleeps of the input. Recoveries are identified by
/// the id of their cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DateAssignments {
    pub cycles: BTreeMap<CycleId, DateAssignment>,
    pub recoveries: BTreeMap<CycleId, DateAssignment>,
    pub sleeps: BTreeMap<SleepId, DateAssignment>,
}

/// Key of a group: the id of a cycle, or the id of a main sleep for which no cycle is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum GroupKey {
    Cycle(CycleId),
    Sleep(SleepId),
}

/// Group of records with the same date: a cycle, its recovery and its main sleeps.
#[derive(Debug, Clone, Default)]
struct CycleGroup<'a> {
    cycle: Option<&'a CycleTimes>,
    recovery: Option<&'a RecoveryLinks>,
    sleeps: Vec<&'a SleepTimes>,
    /// Main sleep that determines the date of the group.
    ///
    /// This can be a sleep of another cycle, because a recovery may name a sleep of another cycle.
    dating_sleep: Option<&'a SleepTimes>,
}

impl CycleGroup<'_> {
    /// Returns the date that the group claims, and the UTC offset that was used to determine this
    /// date.
    fn claimed_date(&self) -> Option<(NaiveDate, Option<&str>)> {
        if let Some(night) = self.dating_sleep {
            return Some((night.local_date(), night.timezone_offset.as_deref()));
        }
        if let Some(cycle) = self.cycle {
            return Some((cycle.local_date(), cycle.timezone_offset.as_deref()));
        }
        // The recovery arrived before its sleep and its cycle. The time at which WHOOP created the
        // recovery gives a provisional date until the sleep or the cycle arrives. WHOOP creates a
        // recovery when the strap uploads its data, usually at most some hours after the member
        // wakes.
        let recovery = self.recovery?;
        Some((date_at(recovery.created_at, None), None))
    }

    fn starts_at(&self) -> Option<DateTime<Utc>> {
        let cycle = self.cycle.map(|cycle| cycle.start);
        cycle.or(self.dating_sleep.map(|night| night.start))
    }

    /// Returns the sort key of the group. Among all groups of a date, the group with the greatest
    /// key is displayed.
    fn precedence(&self) -> (u8, Option<TimeDelta>, Option<DateTime<Utc>>) {
        let by_recovery = match self.recovery {
            Some(recovery) if recovery.is_scored => 2,
            Some(_) => 1,
            None => 0,
        };
        let longest = self.sleeps.iter().map(|sleep| sleep.ranking_duration).max();
        (by_recovery, longest, self.starts_at())
    }
}

/// Determines the local date of each cycle, recovery and main sleep of the input.
pub fn assign_dates(input: &DateAssignmentInput) -> DateAssignments {
    let groups = group_records(input);
    let claims: BTreeMap<&GroupKey, (NaiveDate, Option<&str>)> = groups
        .iter()
        .filter_map(|(key, group)| Some((key, group.claimed_date()?)))
        .collect();
    let moved = groups_moved_to_next_date(&groups, &claims);
    let date_of = |key: &GroupKey, date: NaiveDate| {
        if moved.contains(key) {
            date + DaysLater::new(1)
        } else {
            date
        }
    };

    let mut shown_groups: BTreeMap<NaiveDate, &GroupKey> = BTreeMap::new();
    for (key, (date, _)) in &claims {
        let rank = |key: &GroupKey| (groups[key].precedence(), key.clone());
        shown_groups
            .entry(date_of(key, *date))
            .and_modify(|shown_key| {
                if rank(key) > rank(shown_key) {
                    *shown_key = key;
                }
            })
            .or_insert(key);
    }

    let mut assignments = DateAssignments::default();
    for (key, (date, timezone_offset)) in claims {
        let local_date = date_of(key, date);
        let assignment = DateAssignment {
            local_date,
            in_others: shown_groups.get(&local_date) != Some(&key),
            timezone_offset: timezone_offset.map(str::to_owned),
        };
        let group = &groups[key];
        if let Some(cycle) = group.cycle {
            assignments.cycles.insert(cycle.id, assignment.clone());
        }
        if let Some(recovery) = group.recovery {
            assignments
                .recoveries
                .insert(recovery.cycle_id, assignment.clone());
        }
        for sleep in &group.sleeps {
            assignments
                .sleeps
                .insert(sleep.id.clone(), assignment.clone());
        }
    }
    assignments
}

fn group_records(input: &DateAssignmentInput) -> BTreeMap<GroupKey, CycleGroup<'_>> {
    let mut groups: BTreeMap<GroupKey, CycleGroup<'_>> = BTreeMap::new();
    for cycle in &input.cycles {
        groups.entry(GroupKey::Cycle(cycle.id)).or_default().cycle = Some(cycle);
    }
    for recovery in &input.recoveries {
        let group = groups
            .entry(GroupKey::Cycle(recovery.cycle_id))
            .or_default();
        group.recovery = Some(recovery);
    }
    let nights: BTreeMap<&SleepId, &SleepTimes> = input
        .sleeps
        .iter()
        .filter(|sleep| !sleep.nap)
        .map(|sleep| (&sleep.id, sleep))
        .collect();
    for sleep in nights.values() {
        let key = find_cycle(sleep, input)
            .map_or_else(|| GroupKey::Sleep(sleep.id.clone()), GroupKey::Cycle);
        groups.entry(key).or_default().sleeps.push(sleep);
    }
    for group in groups.values_mut() {
        let named = group
            .recovery
            .and_then(|recovery| nights.get(&recovery.sleep_id));
        let longest = group.sleeps.iter().max_by_key(|sleep| sleep.sort_key());
        group.dating_sleep = named.or(longest).copied();
    }
    groups
}

/// Returns the cycle to which a main sleep belongs; `None` if no cycle is known.
///
/// This is the cycle that the sleep names, otherwise the cycle with a recovery that names the
/// sleep, otherwise the cycle during which the sleep began.
fn find_cycle(sleep: &SleepTimes, input: &DateAssignmentInput) -> Option<CycleId> {
    if sleep.cycle_id.is_some() {
        return sleep.cycle_id;
    }
    let names_sleep = |recovery: &&RecoveryLinks| recovery.sleep_id == sleep.id;
    let recoveries = input.recoveries.iter().filter(names_sleep);
    recoveries
        .map(|recovery| recovery.cycle_id)
        .max()
        .or_else(|| {
            let cycles = input.cycles.iter();
            cycles
                .filter(|cycle| cycle.contains(sleep.start))
                .max_by_key(|cycle| (cycle.start, cycle.id))
                .map(|cycle| cycle.id)
        })
}

/// Returns the groups that move from the date that they claim to the next date.
///
/// If two closed cycles with a main sleep claim the same date, the later cycle moves, provided that
/// more than half of the cycle lies on the next date and that no other group claims the next date.
fn groups_moved_to_next_date<'a>(
    groups: &BTreeMap<GroupKey, CycleGroup<'_>>,
    claims: &BTreeMap<&'a GroupKey, (NaiveDate, Option<&str>)>,
) -> BTreeSet<&'a GroupKey> {
    let mut by_date: BTreeMap<NaiveDate, Vec<&'a GroupKey>> = BTreeMap::new();
    for (key, (date, _)) in claims {
        by_date.entry(*date).or_default().push(key);
    }
    let mut moved = BTreeSet::new();
    for (date, keys) in &by_date {
        let next = *date + DaysLater::new(1);
        let closed = keys.iter().filter_map(|key| {
            let group = &groups[*key];
            let cycle = group.cycle.filter(|cycle| cycle.end.is_some())?;
            group.dating_sleep.map(|_| (cycle.start, *key, cycle))
        });
        let closed: Vec<_> = closed.collect();
        let latest = closed.iter().max_by_key(|(start, key, _)| (*start, *key));
        if let Some((_, key, cycle)) = latest
            && closed.len() > 1
            && cycle.lies_mostly_on(next)
            && !by_date.contains_key(&next)
        {
            moved.insert(*key);
        }
    }
    moved
}
