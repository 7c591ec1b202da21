//! Selection of the members that a run syncs, and of the data types to read.
//!
//! If the quota is plentiful, every slot reads all members. If it is scarce, the members who are
//! most likely to open the app are first, within the slot's calls; the others are read when they
//! open the app, and at least every 14 days.

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

/// Maximum time between two reads of an inactive member: a page of 25 records reaches back over it.
pub const FORTNIGHT: TimeDelta = TimeDelta::days(14);

/// Number of runs between [`INACTIVE_MIN_AGE`] and [`INACTIVE_MAX_AGE`].
const INACTIVE_SPREAD_RUNS: usize = 12;

/// Minimum time between two reads of an inactive member, even if the quota is plentiful.
pub(crate) const INACTIVE_MIN_AGE: TimeDelta = TimeDelta::days(9);

/// Age from which an inactive member is read in the next run, beyond the even share of the run. It
/// is below 14 days, because busy hours may defer the read by two runs.
const INACTIVE_MAX_AGE: TimeDelta = TimeDelta::days(12);

/// State of a member before a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSyncState {
    /// End of the latest window up to the present that was stored completely, in the order of
    /// [`DataType::ALL`].
    pub last_sync_at: [Option<DateTime<Utc>>; 4],
    /// Data types that the member did not allow at WHOOP.
    pub not_granted: Vec<DataType>,
    /// Whether the last read of a data type failed.
    pub is_failing: bool,
    /// Data types in their backoff pause, which is half of the time for which their reads have been
    /// failing, at most a week. The pause applies only if other reads succeeded since the first
    /// failure: after an outage of WHOOP all data types are read at once.
    pub backing_off: Vec<DataType>,
    pub app_opens: AppOpenHistory,
    /// Open webhook signals; `None` if it is not known that the member's webhooks arrive.
    pub signals: Option<WebhookSignals>,
    /// Number of records with a pending score that are older than any window, in the order of
    /// [`DataType::ALL`]. A sync requests them by id, at most [`MAX_READS_BY_ID`] per data type.
    pub old_pending_counts: [usize; 4],
}

impl MemberSyncState {
    fn last_sync_of(&self, data_type: DataType) -> Option<DateTime<Utc>> {
        let known = DataType::ALL.iter().zip(self.last_sync_at);
        known
            .filter(|(one, _)| **one == data_type)
            .find_map(|(_, at)| at)
    }

    fn needs_read(&self, data_type: DataType, parameters: &SelectionParameters<'_>) -> bool {
        if self.not_granted.contains(&data_type) || self.backing_off.contains(&data_type) {
            return false;
        }
        // A time in the future was written by a wrong clock.
        let last_sync = self.last_sync_of(data_type);
        let Some(at) = last_sync.filter(|at| *at <= parameters.now + CLOCK_SKEW_TOLERANCE) else {
            return true;
        };
        let signal = self.signals.map_or(Signal::Unknown, |signals| {
            signals.signal(data_type, at, parameters.now)
        });
        match signal {
            Signal::Changed => true,
            Signal::Unchanged if !parameters.rechecks_unchanged => false,
            Signal::Unchanged | Signal::Unknown => parameters.now - at >= parameters.freshness,
        }
    }

    /// Returns the expected calls for windows of these data types up to the present, including
    /// second pages and records that are requested by id.
    fn expected_calls(&self, data_types: &[DataType], now: DateTime<Utc>) -> u32 {
        let calls = |data_type: &DataType| {
            let coverage = Coverage {
                covered_until: self.last_sync_of(*data_type),
                ..Coverage::empty(*data_type)
            };
            let mut pending = DataType::ALL.iter().zip(self.old_pending_counts);
            let pending = pending.find(|(one, _)| *one == data_type);
            let by_id = pending.map_or(0, |(_, count)| count.min(MAX_READS_BY_ID));
            let pages = sync_window(None, &coverage, None, now).expected_calls();
            pages.saturating_add(u32::try_from(by_id).unwrap_or(u32::MAX))
        };
        data_types.iter().map(calls).sum()
    }

    /// Returns the last read of the least recently read data type, among those that were ever read.
    fn oldest_sync_at(&self) -> Option<DateTime<Utc>> {
        let read = DataType::ALL.iter().zip(self.last_sync_at);
        read.filter(|(data_type, _)| !self.not_granted.contains(data_type))
            .filter_map(|(_, at)| at)
            .min()
    }
}

/// Parameters of a selection.
#[derive(Debug, Clone)]
pub struct SelectionParameters<'a> {
    /// Data types of the slot.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// Whether to read data types without a webhook signal, too. The night run does, because
    /// webhooks may have been lost.
    pub rechecks_unchanged: bool,
    /// Freshness interval: data that was read within it is not read again.
    pub freshness: TimeDelta,
    /// Maximum number of calls of the slot.
    pub call_limit: u32,
    /// Maximum number of calls for inactive members.
    pub inactive_call_limit: u32,
}

/// A selected member and the reads of the member's sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionEntry {
    /// Index of the member in the list that was passed in.
    pub member_index: usize,
    pub data_types: Vec<DataType>,
    pub reason: ReadReason,
    /// Expected calls of the reads, including second pages and calls by id.
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

/// The selected members of a run, in the order of their syncs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSelection {
    pub entries: Vec<SelectionEntry>,
    /// Number of members for whom no read is due.
    pub up_to_date: usize,
    /// Number of members that are skipped because the quota is scarce; they are read when they open
    /// the app.
    pub skipped_for_quota: usize,
}

/// Selects the members that a run reads.
pub fn select_members(
    members: &[MemberSyncState],
    parameters: &SelectionParameters<'_>,
) -> MemberSelection {
    let mut selection = MemberSelection::default();
    let mut candidates: Vec<SelectionEntry> = Vec::new();
    for (member, state) in members.iter().enumerate() {
        match select_member(member, state, parameters) {
            Some(entry) => candidates.push(entry),
            None => selection.up_to_date += 1,
        }
    }
    // New members are first, then the members who are most likely to open the app. Members with
    // equal keys are ordered by index, so that two runs have the same order.
    candidates.sort_by(|one, other| {
        let key = |entry: &SelectionEntry| {
            let member = members.get(entry.member_index);
            let app_opens = member.map(|member| member.app_opens);
            (
                // Members with failing reads are last, so that they delay no other member.
                member.is_some_and(|member| member.is_failing),
                entry.reason != ReadReason::NeverRead,
                std::cmp::Reverse(
                    app_opens.map_or(0, |app_opens| app_opens.likelihood(parameters.now)),
                ),
                entry.member_index,
            )
        };
        key(one).cmp(&key(other))
    });

    let mut calls = parameters.call_limit;
    let mut skipped = Vec::new();
    for entry in candidates {
        match calls.checked_sub(entry.expected_calls) {
            Some(remaining) => {
                calls = remaining;
                selection.entries.push(entry);
            }
            None => skipped.push(entry.member_index),
        }
    }
    selection.skipped_for_quota = skipped.len();
    for entry in select_inactive(members, skipped, parameters) {
        selection.skipped_for_quota -= 1;
        selection.entries.push(entry);
    }
    selection
}

fn select_member(
    member_index: usize,
    state: &MemberSyncState,
    parameters: &SelectionParameters<'_>,
) -> Option<SelectionEntry> {
    let data_types: Vec<DataType> = parameters
        .data_types
        .iter()
        .copied()
        .filter(|data_type| state.needs_read(*data_type, parameters))
        .collect();
    (!data_types.is_empty()).then_some(SelectionEntry {
        member_index,
        expected_calls: state.expected_calls(&data_types, parameters.now),
        data_types,
        reason: match state.oldest_sync_at() {
            None => ReadReason::NeverRead,
            Some(_) => ReadReason::Slot,
        },
    })
}

/// Selects skipped members to read all their data types, the least recently read first: an even
/// share of them in each run, and all who would otherwise wait for longer than 14 days.
fn select_inactive(
    members: &[MemberSyncState],
    skipped: Vec<usize>,
    parameters: &SelectionParameters<'_>,
) -> Vec<SelectionEntry> {
    let mut by_age: Vec<(TimeDelta, usize)> = skipped
        .into_iter()
        .filter_map(|member| {
            let oldest = members.get(member)?.oldest_sync_at()?;
            Some((parameters.now - oldest, member))
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

    let mut calls = parameters.inactive_call_limit;
    let mut entries = Vec::new();
    for (rank, (age, member)) in by_age.into_iter().enumerate() {
        if rank >= share && age < INACTIVE_MAX_AGE {
            break;
        }
        let Some(state) = members.get(member) else {
            continue;
        };
        let entry = SelectionEntry {
            member_index: member,
            data_types: DataType::ALL.to_vec(),
            reason: ReadReason::Fortnight,
            expected_calls: state.expected_calls(&DataType::ALL, parameters.now),
        };
        // A member with many calls by id must not prevent the reads of the members after it.
        if let Some(remaining) = calls.checked_sub(entry.expected_calls) {
            calls = remaining;
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests;
