//! Selection of the members that a scheduled run syncs, and of the data types that it reads for
//! them.
//!
//! If the quota is plentiful, every run reads all members. If the quota is scarce, a run reads
//! first the members who are most likely to open the app, as many as its maximum number of calls
//! allows. The other members are read when they open the app, and at least every 14 days.

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

/// Maximum time between two reads of an inactive member: 14 days. A page of 25 records usually
/// reaches back over this time.
pub const FORTNIGHT: TimeDelta = TimeDelta::days(14);

/// Number of scheduled runs over which the reads of inactive members are spread: the 12 runs in the
/// three days between [`INACTIVE_MIN_AGE`] and [`INACTIVE_MAX_AGE`].
const INACTIVE_SPREAD_RUNS: usize = 12;

/// Minimum time between two reads of an inactive member: 9 days.
///
/// If the quota does not suffice for a member, the run reads the member as an inactive member,
/// provided that the member's last read is at least this long ago.
pub(crate) const INACTIVE_MIN_AGE: TimeDelta = TimeDelta::days(9);

/// Time since the last read after which an inactive member is read in the next run, even if the run
/// has already selected its share of the inactive members: 12 days.
///
/// It is less than 14 days, because a lack of quota in busy hours may defer the read by two runs.
const INACTIVE_MAX_AGE: TimeDelta = TimeDelta::days(12);

/// State of a member before a run, from which the run decides whether to sync the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSyncState {
    /// End of the latest window up to the present that was read and stored completely, for each
    /// data type in the order of [`DataType::ALL`].
    pub last_sync_at: [Option<DateTime<Utc>>; 4],
    /// Data types for which the member did not grant the scope at WHOOP.
    pub not_granted: Vec<DataType>,
    /// Whether the last read of at least one data type failed.
    pub is_failing: bool,
    /// Data types that are not read now because of a pause after failed reads (backoff).
    ///
    /// The pause is half of the time for which the reads of the data type have been failing, at
    /// most a week. There is no pause if no read of any member has succeeded since the first
    /// failure: after an outage of WHOOP, all data types are read again at once.
    pub backing_off: Vec<DataType>,
    pub app_opens: AppOpenHistory,
    /// Open webhook signals: the data types for which WHOOP announced a change that was not read
    /// yet. `None` if it is not known whether the member's webhooks arrive.
    pub signals: Option<WebhookSignals>,
    /// Number of records with a pending score that are too old for any window, for each data type
    /// in the order of [`DataType::ALL`].
    ///
    /// A sync requests these records by their ids, at most [`MAX_READS_BY_ID`] per data type.
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
        // A time in the future was written by a process with a wrong clock, and counts as never.
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

    /// Returns the expected number of calls to read windows of these data types up to the present,
    /// including second pages and records that are requested by their ids.
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

    /// Returns the time of the last read of the granted data type that was read longest ago.
    ///
    /// Data types that were never read are ignored. Returns `None` if none was ever read.
    fn oldest_sync_at(&self) -> Option<DateTime<Utc>> {
        let read = DataType::ALL.iter().zip(self.last_sync_at);
        read.filter(|(data_type, _)| !self.not_granted.contains(data_type))
            .filter_map(|(_, at)| at)
            .min()
    }
}

/// Parameters for the selection of members.
#[derive(Debug, Clone)]
pub struct SelectionParameters<'a> {
    /// Data types that the run reads, such as those of its time of day (slot).
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// Whether to read also data types for which no webhook announced a change. The night run does
    /// this, because webhooks may have been lost.
    pub rechecks_unchanged: bool,
    /// Freshness interval: data that was read less than this interval ago is not read again.
    pub freshness: TimeDelta,
    /// Maximum number of calls for all selected members except the inactive ones.
    pub call_limit: u32,
    /// Maximum number of calls for inactive members.
    pub inactive_call_limit: u32,
}

/// One selected member, and the data types to read in the member's sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionEntry {
    /// Index of the member in the list of members that was passed to [`select_members`].
    pub member_index: usize,
    pub data_types: Vec<DataType>,
    pub reason: ReadReason,
    /// Expected number of calls for the reads, including second pages and requests by id.
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

/// Members that a run selected, in the order in which they are synced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSelection {
    pub entries: Vec<SelectionEntry>,
    /// Number of members for whom no read is due.
    pub up_to_date: usize,
    /// Number of members that are skipped because the quota does not suffice. They are read when
    /// they open the app.
    pub skipped_for_quota: usize,
}

/// Selects the members that a run syncs, and orders them by priority.
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
    // equal keys are ordered by index, so that the order is always the same.
    candidates.sort_by(|one, other| {
        let key = |entry: &SelectionEntry| {
            let member = members.get(entry.member_index);
            let app_opens = member.map(|member| member.app_opens);
            (
                // Members with failing reads are last, so that they do not delay other members.
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

/// Selects inactive members among the members that were skipped because the quota does not suffice.
///
/// All data types of the selected members are read. Each run selects an even share of the members
/// that were read more than nine days ago, the least recently read first, and in addition all
/// members that would otherwise wait for longer than 14 days.
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
        // A member that needs many calls by id must not prevent the reads of the members after it
        // in the order.
        if let Some(remaining) = calls.checked_sub(entry.expected_calls) {
            calls = remaining;
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests;
