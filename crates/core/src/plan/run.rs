//! Plan of a scheduled run, derived from the states of all members and from the available quota.

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

/// Expected number of calls for one member on a day on which the member opens the app.
///
/// The first app request of the day reads all four data types. The second one reads only workouts
/// and cycles, because the first one has already read the night.
const CALLS_PER_APP_DAY: u64 = 6;

/// Parameters of a scheduled run or of a run that the operator started.
#[derive(Debug, Clone)]
pub struct RunParameters<'a> {
    pub slot: Option<Slot>,
    /// Data types of the run's time of day (slot), or the data types that the operator named.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// Freshness interval: data that was read less than this interval ago is not read again.
    pub freshness: TimeDelta,
}

/// State of WHOOP's quota at one point in time.
#[derive(Debug, Clone, Copy)]
pub struct QuotaSnapshot<'a> {
    pub ledger: &'a QuotaLedger,
    /// Current time of the database's clock, by which the ledger counts calls.
    pub now: DateTime<Utc>,
    pub limits: QuotaLimits,
}

/// Plan of a run: the selected members, and the expected calls of a day.
#[derive(Debug, Clone)]
pub struct RunPlan {
    pub selection: MemberSelection,
    pub expected_calls: ExpectedCalls,
}

/// Expected number of calls per day for two priority classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedCalls {
    /// Calls per day that are necessary for the reads of inactive members.
    pub inactive: u32,
    /// Calls per day that are expected for app requests.
    pub interactive: u32,
}

impl ExpectedCalls {
    /// Sets the expected calls in the quota ledger, which reserves them for the two priority
    /// classes.
    pub fn set_needs(self, ledger: &mut QuotaLedger) {
        ledger.set_need(PriorityClass::Inactive, self.inactive);
        ledger.set_need(PriorityClass::Interactive, self.interactive);
    }
}

/// Selects the members that a run syncs within the available quota, and returns the expected calls
/// of a day.
pub fn plan_run(
    members: &[MemberSyncState],
    quota: QuotaSnapshot<'_>,
    parameters: &RunParameters<'_>,
) -> RunPlan {
    let interactive_calls = interactive_calls_per_day(members, parameters.now);
    let mut ledger = quota.ledger.clone();
    ledger.set_need(PriorityClass::Interactive, interactive_calls);
    let available = |class| ledger.available_in_day(quota.now, quota.limits, class);
    let selection_parameters = SelectionParameters {
        data_types: parameters.data_types,
        now: parameters.now,
        rechecks_unchanged: parameters.slot == Some(Slot::Night),
        freshness: parameters.freshness,
        call_limit: available(PriorityClass::Scheduled),
        inactive_call_limit: available(PriorityClass::Inactive),
    };
    let selection = select_members(members, &selection_parameters);
    let inactive_members = members
        .iter()
        .filter(|member| member.app_opens.is_inactive(parameters.now))
        .count();
    RunPlan {
        selection,
        expected_calls: ExpectedCalls {
            inactive: inactive_calls_per_day(inactive_members),
            interactive: interactive_calls,
        },
    }
}

/// Returns the expected number of calls per day for app requests.
///
/// The number of members who open the app on a day is the average of the last 14 days. Each of them
/// is expected to make two app requests on that day, of which the second does not read the night
/// again.
pub fn interactive_calls_per_day(members: &[MemberSyncState], now: DateTime<Utc>) -> u32 {
    let open_days: u64 = members
        .iter()
        .map(|member| u64::from(member.app_opens.count_days_in_fortnight(now)))
        .sum();
    let calls = open_days.saturating_mul(CALLS_PER_APP_DAY) / FORTNIGHT.num_days().unsigned_abs();
    u32::try_from(calls).unwrap_or(u32::MAX)
}

/// Returns the number of calls per day that are necessary to read this number of inactive members.
///
/// Each inactive member is due nine days after the last read. All of them are then read within 14
/// days, although runs begin only at fixed hours.
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

    /// Creates the states of `count` members who open the app every day.
    fn daily_members(count: usize) -> Vec<MemberSyncState> {
        let app_opens = (0..20)
            .rev()
            .map(|days| noon() - TimeDelta::days(days))
            .fold(AppOpenHistory::default(), AppOpenHistory::with_open);
        let member = MemberSyncState {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at: [Some(noon() - TimeDelta::hours(9)); 4],
            app_opens,
            signals: None,
            old_pending_counts: [0; 4],
        };
        vec![member; count]
    }

    fn run(members: &[MemberSyncState], ledger: &QuotaLedger) -> RunPlan {
        let quota = QuotaSnapshot {
            ledger,
            now: noon(),
            limits: LIMITS,
        };
        let parameters = RunParameters {
            slot: Some(Slot::Morning),
            data_types: Slot::Morning.data_types(),
            now: noon(),
            freshness: TimeDelta::minutes(15),
        };
        plan_run(members, quota, &parameters)
    }

    #[test]
    fn a_run_reserves_the_calls_that_app_opens_will_need() {
        let few = run(&daily_members(50), &QuotaLedger::default());
        assert_eq!(few.selection.entries.len(), 50);
        assert_eq!(few.expected_calls.interactive, 300);

        let many = run(&daily_members(150), &QuotaLedger::default());
        assert_eq!(many.expected_calls.interactive, 900);
        assert!(
            many.selection.entries.len() <= 30,
            "{}",
            many.selection.entries.len()
        );
        assert!(many.selection.skipped_for_quota >= 120);
    }
}
