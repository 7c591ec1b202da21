//! A whole run, from what is known of the members and of the budget.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Slot,
    roster::{FORTNIGHT, NOT_BEFORE, Order, Roster, Standing, roster},
};
use crate::{
    DataType,
    quota::{Limits, PriorityClass, QuotaLedger},
};

/// What a member takes on a day on which they come.
const CALLS_OF_A_VISITOR: u64 = 6;

/// What kind of run it is.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    pub slot: Option<Slot>,
    /// The slot's types, or those that were asked for.
    pub data_types: &'a [DataType],
    pub now: DateTime<Utc>,
    /// What was read within this is fresh and not read again.
    pub freshness: TimeDelta,
}

/// The budget as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Purse<'a> {
    pub ledger: &'a QuotaLedger,
    /// By the clock that the ledger goes by.
    pub now: DateTime<Utc>,
    pub limits: Limits,
}

/// What a run does, and what it shows of the day.
#[derive(Debug, Clone)]
pub struct Run {
    pub roster: Roster,
    pub day: ExpectedDay,
}

/// Calls that a day will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedDay {
    /// Members who stay away cannot do without.
    pub dormant: u32,
    /// Members who come will probably want.
    pub visitors: u32,
}

impl ExpectedDay {
    /// Lets the budget know.
    pub fn tell(self, ledger: &mut QuotaLedger) {
        ledger.set_need(PriorityClass::Inactive, self.dormant);
        ledger.set_need(PriorityClass::Interactive, self.visitors);
    }
}

/// Decides whom a run reads, within what the budget leaves it.
pub fn plan(members: &[Standing], purse: Purse<'_>, occasion: &Occasion<'_>) -> Run {
    let visitors = calls_for_visitors(members, occasion.now);
    let mut ledger = purse.ledger.clone();
    ledger.set_need(PriorityClass::Interactive, visitors);
    let room = |class| ledger.day_room(purse.now, purse.limits, class);
    let order = Order {
        data_types: occasion.data_types,
        now: occasion.now,
        looks_at_everything: occasion.slot == Some(Slot::Night),
        freshness: occasion.freshness,
        calls: room(PriorityClass::Scheduled),
        calls_for_inactive: room(PriorityClass::Inactive),
    };
    let roster = roster(members, &order);
    let away = members
        .iter()
        .filter(|one| one.visits.is_away(occasion.now))
        .count();
    Run {
        roster,
        day: ExpectedDay {
            dormant: calls_for_inactive(away),
            visitors,
        },
    }
}

/// Calls a day that members who come will probably want, from the days on which
/// they came lately: two visits each, the second without the night.
pub fn calls_for_visitors(members: &[Standing], now: DateTime<Utc>) -> u32 {
    let visits: u64 = members
        .iter()
        .map(|one| u64::from(one.visits.days_of_fortnight(now)))
        .sum();
    let calls = visits.saturating_mul(CALLS_OF_A_VISITOR) / FORTNIGHT.num_days().unsigned_abs();
    u32::try_from(calls).unwrap_or(u32::MAX)
}

/// Calls a day for this number of members who do not use the app. They are read again from nine days on, so
/// that all of them are within 14 days although runs begin at fixed hours.
pub fn calls_for_inactive(members: usize) -> u32 {
    let days = usize::try_from(NOT_BEFORE.num_days()).unwrap_or(1);
    let calls = members.saturating_mul(DataType::ALL.len()).div_ceil(days);
    u32::try_from(calls).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{tests::noon, visits::Visits};

    const LIMITS: Limits = Limits {
        per_minute: 100,
        per_day: 1_000,
    };

    /// So many who come every day.
    fn regulars(count: usize) -> Vec<Standing> {
        let visits = (0..20)
            .rev()
            .map(|days| noon() - TimeDelta::days(days))
            .fold(Visits::default(), Visits::with);
        let one = Standing {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at: [Some(noon() - TimeDelta::hours(9)); 4],
            visits,
            signals: None,
            open_beyond: [0; 4],
        };
        vec![one; count]
    }

    fn run(members: &[Standing], ledger: &QuotaLedger) -> Run {
        let purse = Purse {
            ledger,
            now: noon(),
            limits: LIMITS,
        };
        let occasion = Occasion {
            slot: Some(Slot::Morning),
            data_types: Slot::Morning.data_types(),
            now: noon(),
            freshness: TimeDelta::minutes(15),
        };
        plan(members, purse, &occasion)
    }

    #[test]
    fn a_run_leaves_what_the_days_visitors_will_want_before_any_of_them_came() {
        let few = run(&regulars(50), &QuotaLedger::default());
        assert_eq!(few.roster.turns.len(), 50);
        assert_eq!(few.day.visitors, 300);

        let many = run(&regulars(150), &QuotaLedger::default());
        assert_eq!(many.day.visitors, 900);
        assert!(many.roster.turns.len() <= 30, "{}", many.roster.turns.len());
        assert!(many.roster.left >= 120);
    }
}
