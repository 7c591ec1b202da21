//! A whole run, from what is known of the members and of the budget.

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

/// What a member takes on a day on which they come.
const CALLS_PER_APP_DAY: u64 = 6;

/// What kind of run it is.
#[derive(Debug, Clone)]
pub struct RunParameters<'a> {
    pub slot: Option<Slot>,
    /// The slot's types, or those that were asked for.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// What was read within this is fresh and not read again.
    pub freshness: TimeDelta,
}

/// The budget as it stands.
#[derive(Debug, Clone, Copy)]
pub struct QuotaSnapshot<'a> {
    pub ledger: &'a QuotaLedger,
    /// By the clock that the ledger goes by.
    pub now: DateTime<Utc>,
    pub limits: QuotaLimits,
}

/// What a run does, and what it shows of the day.
#[derive(Debug, Clone)]
pub struct RunPlan {
    pub selection: MemberSelection,
    pub expected_calls: ExpectedCalls,
}

/// Calls that a day will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedCalls {
    /// Members who stay away cannot do without.
    pub inactive: u32,
    /// Members who come will probably want.
    pub interactive: u32,
}

impl ExpectedCalls {
    /// Lets the budget know.
    pub fn set_needs(self, ledger: &mut QuotaLedger) {
        ledger.set_need(PriorityClass::Inactive, self.inactive);
        ledger.set_need(PriorityClass::Interactive, self.interactive);
    }
}

/// Decides whom a run reads, within what the budget leaves it.
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

/// Calls a day that members who come will probably want, from the days on which
/// they came lately: two visits each, the second without the night.
pub fn interactive_calls_per_day(members: &[MemberSyncState], now: DateTime<Utc>) -> u32 {
    let visits: u64 = members
        .iter()
        .map(|one| u64::from(one.app_opens.count_days_in_fortnight(now)))
        .sum();
    let calls = visits.saturating_mul(CALLS_PER_APP_DAY) / FORTNIGHT.num_days().unsigned_abs();
    u32::try_from(calls).unwrap_or(u32::MAX)
}

/// Calls a day for this number of members who do not use the app. They are read again from nine days on, so
/// that all of them are within 14 days although runs begin at fixed hours.
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

    /// So many who come every day.
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
