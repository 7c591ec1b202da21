//! Whom a run visits, for what, and whom it leaves to their next visit.
//!
//! Where the quota is plentiful everybody is read at every slot. Where it is
//! scarce the likeliest visitors come first, as far as the slot's allowance
//! goes; the others are read when they open the app, and once in a fortnight.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    DataType,
    coverage::{CLOCK_SKEW_TOLERANCE, Coverage},
    plan::{
        MAX_READS_BY_ID, ReadReason,
        app_opens::AppOpenHistory,
        sync_window,
        webhook_signals::{Signal, WebhookSignals},
    },
    quota::PriorityClass,
};

/// A member who does not come is read at least this often: a page of 25 records
/// reaches back over it.
pub const FORTNIGHT: TimeDelta = TimeDelta::days(14);

/// Runs between [`NOT_BEFORE`] and [`NOT_AFTER`].
const INACTIVE_SPREAD_RUNS: usize = 12;

/// A member who has not come is not read again before this, however much is
/// left.
pub(crate) const INACTIVE_MIN_AGE: TimeDelta = TimeDelta::days(9);

/// Whoever has reached this age is read now, whatever the share: busy hours may
/// put a turn off until the run after the next.
const INACTIVE_MAX_AGE: TimeDelta = TimeDelta::days(12);

/// What is known of a member before a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSyncState {
    /// When a whole window up to the present was last stored, in the order of
    /// [`DataType::ALL`].
    pub last_sync_at: [Option<DateTime<Utc>>; 4],
    /// What WHOOP does not give of this member, because they did not allow it.
    pub not_granted: Vec<DataType>,
    /// Whether the last read of a data type failed.
    pub is_failing: bool,
    /// Data types that are not tried again yet: for half of the time that their reads have been failing, at
    /// most for a week. Only if other reads succeeded since the first failure: after an outage of WHOOP all are tried at once.
    pub backing_off: Vec<DataType>,
    pub app_opens: AppOpenHistory,
    /// `None` where webhooks are not known to arrive.
    pub signals: Option<WebhookSignals>,
    /// Records that still wait for their score and are older than any window, in the order of
    /// [`DataType::ALL`]. A sync asks for them by id, for [`MOST_BY_ID`] of a data type at most.
    pub old_pending_counts: [usize; 4],
}

impl MemberSyncState {
    fn last_sync_of(&self, data_type: DataType) -> Option<DateTime<Utc>> {
        let known = DataType::ALL.iter().zip(self.last_sync_at);
        known
            .filter(|(one, _)| **one == data_type)
            .find_map(|(_, at)| at)
    }

    fn needs_read(&self, data_type: DataType, order: &SelectionParameters<'_>) -> bool {
        if self.not_granted.contains(&data_type) || self.backing_off.contains(&data_type) {
            return false;
        }
        // A time in the future was written by a wrong clock.
        let known = self.last_sync_of(data_type);
        let Some(at) = known.filter(|at| *at <= order.now + CLOCK_SKEW_TOLERANCE) else {
            return true;
        };
        let signal = self.signals.map_or(Signal::Unknown, |signals| {
            signals.signal(data_type, at, order.now)
        });
        match signal {
            Signal::Changed => true,
            Signal::Unchanged if !order.rechecks_unchanged => false,
            Signal::Unchanged | Signal::Unknown => order.now - at >= order.freshness,
        }
    }

    /// Calls for windows of these data types up to the present, second pages included, and for records
    /// that are asked for by id.
    fn expected_calls(&self, data_types: &[DataType], now: DateTime<Utc>) -> u32 {
        let calls = |data_type: &DataType| {
            let known = Coverage {
                covered_until: self.last_sync_of(*data_type),
                ..Coverage::empty(*data_type)
            };
            let mut open = DataType::ALL.iter().zip(self.old_pending_counts);
            let open = open.find(|(one, _)| *one == data_type);
            let by_id = open.map_or(0, |(_, count)| count.min(MAX_READS_BY_ID));
            let pages = sync_window(None, &known, None, now).expected_calls();
            pages.saturating_add(u32::try_from(by_id).unwrap_or(u32::MAX))
        };
        data_types.iter().map(calls).sum()
    }

    /// When the type that was longest not read was read, of those that ever were.
    fn oldest_sync_at(&self) -> Option<DateTime<Utc>> {
        let read = DataType::ALL.iter().zip(self.last_sync_at);
        read.filter(|(data_type, _)| !self.not_granted.contains(data_type))
            .filter_map(|(_, at)| at)
            .min()
    }
}

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct SelectionParameters<'a> {
    /// The slot's types.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// Reads also what webhooks have not named: the night does, for the sake of
    /// those that were lost.
    pub rechecks_unchanged: bool,
    /// What was read within this is fresh and not read again.
    pub freshness: TimeDelta,
    /// Calls that the slot may make.
    pub call_limit: u32,
    /// Calls for members who have not come.
    pub inactive_call_limit: u32,
}

/// One member's turn in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionEntry {
    /// The member's place in the list that was given.
    pub member_index: usize,
    pub data_types: Vec<DataType>,
    pub reason: ReadReason,
    /// Calls that the reads take, second pages and calls by id included.
    expected_calls: u32,
}

impl SelectionEntry {
    pub const fn class(&self) -> PriorityClass {
        match self.reason {
            ReadReason::Fortnight => PriorityClass::Inactive,
            _ => PriorityClass::Scheduled,
        }
    }
}

/// A run's members in the order of their turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSelection {
    pub entries: Vec<SelectionEntry>,
    /// Members of whom everything was read a moment ago.
    pub up_to_date: usize,
    /// Members who are read when they come, because the quota is scarce.
    pub skipped_for_quota: usize,
}

/// Decides whom a run reads.
pub fn select_members(
    members: &[MemberSyncState],
    order: &SelectionParameters<'_>,
) -> MemberSelection {
    let mut selection = MemberSelection::default();
    let mut wanted: Vec<SelectionEntry> = Vec::new();
    for (member, standing) in members.iter().enumerate() {
        match select_member(member, standing, order) {
            Some(turn) => wanted.push(turn),
            None => selection.up_to_date += 1,
        }
    }
    // New members first, then the likeliest visitors; the rest by their names'
    // order, so that two runs agree.
    wanted.sort_by(|one, other| {
        let key = |turn: &SelectionEntry| {
            let member = members.get(turn.member_index);
            let visits = member.map(|member| member.app_opens);
            (
                // A member who cannot be read never delays another.
                member.is_some_and(|member| member.is_failing),
                turn.reason != ReadReason::NeverRead,
                std::cmp::Reverse(visits.map_or(0, |visits| visits.likelihood(order.now))),
                turn.member_index,
            )
        };
        key(one).cmp(&key(other))
    });

    let mut calls = order.call_limit;
    let mut away = Vec::new();
    for turn in wanted {
        match calls.checked_sub(turn.expected_calls) {
            Some(left) => {
                calls = left;
                selection.entries.push(turn);
            }
            None => away.push(turn.member_index),
        }
    }
    selection.skipped_for_quota = away.len();
    for turn in select_inactive(members, away, order) {
        selection.skipped_for_quota -= 1;
        selection.entries.push(turn);
    }
    selection
}

fn select_member(
    member: usize,
    standing: &MemberSyncState,
    order: &SelectionParameters<'_>,
) -> Option<SelectionEntry> {
    let data_types: Vec<DataType> = order
        .data_types
        .iter()
        .copied()
        .filter(|data_type| standing.needs_read(*data_type, order))
        .collect();
    (!data_types.is_empty()).then_some(SelectionEntry {
        member_index: member,
        expected_calls: standing.expected_calls(&data_types, order.now),
        data_types,
        reason: match standing.oldest_sync_at() {
            None => ReadReason::NeverRead,
            Some(_) => ReadReason::Slot,
        },
    })
}

/// Everything of those who were not read for longest: a steady share of them
/// at every run, and whoever would wait for longer than a fortnight.
fn select_inactive(
    members: &[MemberSyncState],
    away: Vec<usize>,
    order: &SelectionParameters<'_>,
) -> Vec<SelectionEntry> {
    let mut by_age: Vec<(TimeDelta, usize)> = away
        .into_iter()
        .filter_map(|member| {
            let oldest = members.get(member)?.oldest_sync_at()?;
            Some((order.now - oldest, member))
        })
        .filter(|(age, _)| *age >= INACTIVE_MIN_AGE)
        .filter(|(_, member)| {
            members
                .get(*member)
                .is_some_and(|one| one.backing_off.is_empty())
        })
        .collect();
    let share = by_age.len().div_ceil(INACTIVE_SPREAD_RUNS);
    by_age.sort_by_key(|(age, member)| {
        let is_failing = members.get(*member).is_some_and(|one| one.is_failing);
        (is_failing, std::cmp::Reverse(*age), *member)
    });

    let mut calls = order.inactive_call_limit;
    let mut turns = Vec::new();
    for (place, (age, member)) in by_age.into_iter().enumerate() {
        if place >= share && age < INACTIVE_MAX_AGE {
            break;
        }
        let Some(standing) = members.get(member) else {
            continue;
        };
        let turn = SelectionEntry {
            member_index: member,
            data_types: DataType::ALL.to_vec(),
            reason: ReadReason::Fortnight,
            expected_calls: standing.expected_calls(&DataType::ALL, order.now),
        };
        // A member with many calls by id must not keep those behind from being read.
        if let Some(left) = calls.checked_sub(turn.expected_calls) {
            calls = left;
            turns.push(turn);
        }
    }
    turns
}

#[cfg(test)]
mod tests;
