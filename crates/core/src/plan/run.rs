//! Plan of a scheduled run, from the state of the members and of the quota.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Slot,
    selection::{
        FORTNIGHT, INACTIVE_MIN_AGE, MemberSelection, MemberSyncState, SelectionParameters,
        select_members,
    },
};
use crate::{
    DataType,
    quota::{PriorityClass, QuotaLedger, QuotaLimits},
};

/// Calls per member on a day on which the member opens the app.
const CALLS_PER_APP_DAY: u64 = 6;

/// Parameters of a run.
#[derive(Debug, Clone)]
pub struct RunParameters<'a> {
    pub slot: Option<Slot>,
    /// Data types of the slot, or those that the operator requested.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// Freshness interval: data that was read within it is not read again.
    pub freshness: TimeDelta,
}

/// State of the quota.
#[derive(Debug, Clone, Copy)]
pub struct QuotaSnapshot<'a> {
    pub ledger: &'a QuotaLedger,
    /// Current time by the database's clock, which the ledger uses.
    pub now: DateTime<Utc>,
    pub limits: QuotaLimits,
}

/// The selected members of a run, and the expected calls of a day.
#[derive(Debug, Clone)]
pub struct RunPlan {
    pub selection: MemberSelection,
    pub expected_calls: ExpectedCalls,
}

/// Expected number of calls per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedCalls {
    /// Calls needed for inactive members.
    pub inactive: u32,
    /// Expected calls for members who open the app.
    pub interactive: u32,
}

impl ExpectedCalls {
    /// Stores the expected calls in the ledger as the needs of the priority classes.
    pub fn set_needs(self, ledger: &mut QuotaLedger) {
        ledger.set_need(PriorityClass::Inactive, self.inactive);
        ledger.set_need(PriorityClass::Interactive, self.interactive);
    }
}

/// Selects the members that a run syncs within the available quota.
pub fn plan_run(
    members: &[MemberSyncState],
    purse: QuotaSnapshot<'_>,
    occasion: &RunParameters<'_>,
) -> RunPlan {
    let visitors = interactive_calls_per_day(members, occasion.now);
    let mut ledger = purse.ledger.clone();
    ledger.set_need(PriorityClass::Interactive, visitors);
    let room = |class| ledger.available_in_day(purse.now, purse.limits, class);
    let order = SelectionParameters {
        data_types: occasion.data_types,
        now: occasion.now,
        rechecks_unchanged: occasion.slot == Some(Slot::Night),
        freshness: occasion.freshness,
        call_limit: room(PriorityClass::Scheduled),
        inactive_call_limit: room(PriorityClass::Inactive),
    };
    let selection = select_members(members, &order);
    let away = members
        .iter()
        .filter(|one| one.app_opens.is_inactive(occasion.now))
        .count();
    RunPlan {
        selection: selection,
        expected_calls: ExpectedCalls {
            inactive: inactive_calls_per_day(away),
            interactive: visitors,
        },
    }
}

/// Returns the expected calls per day for app requests, from the days on which members opened the
/// app in the last 14 days: two app requests per day, of which the second does not read the night
/// again.
pub fn interactive_calls_per_day(members: &[MemberSyncState], now: DateTime<Utc>) -> u32 {
    let visits: u64 = members
        .iter()
        .map(|one| u64::from(one.app_opens.count_days_in_fortnight(now)))
        .sum();
    let calls = visits.saturating_mul(CALLS_PER_APP_DAY) / FORTNIGHT.num_days().unsigned_abs();
    u32::try_from(calls).unwrap_or(u32::MAX)
}

/// Returns the calls per day for this number of inactive members. They are due nine days after
/// their last read, so that all of them are read within 14 days although runs begin at fixed hours.
pub fn inactive_calls_per_day(members: usize) -> u32 {
    let days = usize::try_from(INACTIVE_MIN_AGE.num_days()).unwrap_or(1);
    let calls = members.saturating_mul(DataType::ALL.len()).div_ceil(days);
    u32::try_from(calls).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{app_opens::AppOpenHistory, tests::noon};

    const LIMITS: QuotaLimits = QuotaLimits {
        per_minute: 100,
        per_day: 1_000,
    };

    /// Creates `count` members who open the app every day.
    fn regulars(count: usize) -> Vec<MemberSyncState> {
        let visits = (0..20)
            .rev()
            .map(|days| noon() - TimeDelta::days(days))
            .fold(AppOpenHistory::default(), AppOpenHistory::with_open);
        let one = MemberSyncState {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at: [Some(noon() - TimeDelta::hours(9)); 4],
            app_opens: visits,
            signals: None,
            old_pending_counts: [0; 4],
        };
        vec![one; count]
    }

    fn run(members: &[MemberSyncState], ledger: &QuotaLedger) -> RunPlan {
        let purse = QuotaSnapshot {
            ledger,
            now: noon(),
            limits: LIMITS,
        };
        let occasion = RunParameters {
            slot: Some(Slot::Morning),
            data_types: Slot::Morning.data_types(),
            now: noon(),
            freshness: TimeDelta::minutes(15),
        };
        plan_run(members, purse, &occasion)
    }

    #[test]
    fn a_run_leaves_what_the_days_visitors_will_want_before_any_of_them_came() {
        let few = run(&regulars(50), &QuotaLedger::default());
        assert_eq!(few.selection.entries.len(), 50);
        assert_eq!(few.expected_calls.interactive, 300);

        let many = run(&regulars(150), &QuotaLedger::default());
        assert_eq!(many.expected_calls.interactive, 900);
        assert!(
            many.selection.entries.len() <= 30,
            "{}",
            many.selection.entries.len()
        );
        assert!(many.selection.skipped_for_quota >= 120);
    }
}
