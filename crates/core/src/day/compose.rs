use std::collections::BTreeMap;

use super::{
    Connection, CyclePart, Day, Meta, Missing, Others, RecoveryPart, SleepPart, WorkoutPart,
};
use crate::{
    DataType, UserId,
    coverage::Coverage,
    plan::{DayQuery, Night},
    record::{Cycle, Record, Recovery, ScoreState, Sleep, Workout},
};

/// All records of one member that belong to one date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    pub recoveries: Vec<Recovery>,
    pub sleeps: Vec<Sleep>,
    pub cycles: Vec<Cycle>,
    pub workouts: Vec<Workout>,
}

impl Records {
    /// How far the date's night has come; with several, all of them.
    pub fn night(&self) -> Night {
        let mut nights = self
            .sleeps
            .iter()
            .filter(|sleep| !sleep.is_nap())
            .peekable();
        let has_scored_sleep = nights.peek().is_some() && nights.all(is_scored);
        let has_recovery = !self.recoveries.is_empty() && self.recoveries.iter().all(is_scored);
        match (has_scored_sleep, has_recovery) {
            (false, _) => Night::Unscored,
            (true, false) => Night::SleepScored,
            (true, true) => Night::Scored,
        }
    }
}

/// What decides the reason for an absent part.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    pub query: &'a DayQuery,
    /// One entry a type; a type without one was not granted.
    pub coverage: &'a [Coverage],
    pub connection: Connection,
    /// Whether this request was turned away by WHOOP's quota.
    pub quota_spent: bool,
}

impl Knowledge<'_> {
    fn coverage(&self, data_type: DataType) -> Option<&Coverage> {
        self.coverage.iter().find(|one| one.data_type == data_type)
    }

    fn why_absent(&self, data_type: DataType) -> Missing {
        match self.coverage(data_type) {
            None => return Missing::NotGranted,
            Some(one) if self.query.is_known(one) => return Missing::NotRecorded,
            Some(_) => {}
        }
        match self.connection {
            Connection::ReauthRequired => Missing::ReauthRequired,
            _ if self.quota_spent => Missing::Quota,
            _ => Missing::NotSynced,
        }
    }
}

/// Puts a day together. The order in which records are given does not matter.
pub fn compose(user_id: UserId, records: &Records, known: Knowledge<'_>, meta: Meta) -> Day {
    let mut nights: Vec<&Sleep> = records
        .sleeps
        .iter()
        .filter(|sleep| !sleep.is_nap())
        .collect();
    nights.sort_by_key(|sleep| (sleep.weight(), sleep.start, sleep.id.0.as_str()));
    let sleep = nights.pop();
    nights.sort_by_key(|sleep| (sleep.start, sleep.id.0.as_str()));

    let mut cycles: Vec<&Cycle> = records.cycles.iter().collect();
    cycles.sort_by_key(|cycle| (cycle.start, cycle.id));
    let cycle = take_own(
        &mut cycles,
        sleep.map(|sleep| move |cycle: &Cycle| sleep.cycle_id == Some(cycle.id)),
    );

    let mut recoveries: Vec<&Recovery> = records.recoveries.iter().collect();
    recoveries.sort_by_key(|recovery| recovery.cycle_id);
    let recovery = take_own(
        &mut recoveries,
        sleep.map(|sleep| {
            move |recovery: &Recovery| {
                recovery.sleep_id == sleep.id || sleep.cycle_id == Some(recovery.cycle_id)
            }
        }),
    );

    let mut naps: Vec<&Sleep> = records
        .sleeps
        .iter()
        .filter(|sleep| sleep.is_nap())
        .collect();
    naps.sort_by_key(|nap| (nap.start, nap.id.0.as_str()));
    let mut workouts: Vec<&Workout> = records.workouts.iter().collect();
    workouts.sort_by_key(|workout| (workout.start, workout.id.0.as_str()));

    let others = Others {
        sleeps: nights.into_iter().map(SleepPart::from).collect(),
        recoveries: recoveries.into_iter().map(RecoveryPart::from).collect(),
        cycles: cycles.into_iter().map(CyclePart::from).collect(),
    };
    let mut missing = BTreeMap::new();
    let mut explain = |part, reason: Option<Missing>| {
        if let Some(reason) = reason {
            missing.insert(part, reason);
        }
    };
    explain("recovery", why(recovery, &known));
    explain("sleep", why(sleep, &known));
    explain("cycle", why(cycle, &known));
    if workouts.is_empty() {
        explain("workouts", Some(known.why_absent(DataType::Workout)));
    }
    Day {
        user_id,
        date: known.query.date,
        // A recovery without its score says nothing: it has no times either.
        recovery: recovery
            .filter(|recovery| is_scored(*recovery))
            .map(RecoveryPart::from),
        sleep: sleep.map(SleepPart::from),
        naps: naps.into_iter().map(SleepPart::from).collect(),
        cycle: cycle.map(CyclePart::from),
        workouts: workouts.into_iter().map(WorkoutPart::from).collect(),
        others: Some(others).filter(|others| !others.is_empty()),
        missing,
        meta,
    }
}

/// Takes the record that goes with the chosen night; without a night, or where
/// the night knows none, the last one.
fn take_own<'a, R>(
    candidates: &mut Vec<&'a R>,
    is_own: Option<impl Fn(&R) -> bool>,
) -> Option<&'a R> {
    match is_own {
        Some(is_own) => {
            let own = candidates.iter().rposition(|candidate| is_own(candidate))?;
            Some(candidates.remove(own))
        }
        None => candidates.pop(),
    }
}

fn is_scored<R: Record>(record: &R) -> bool {
    matches!(record.score_state(), ScoreState::Scored)
}

fn why<R: Record>(record: Option<&R>, known: &Knowledge<'_>) -> Option<Missing> {
    match record.map(Record::score_state) {
        None => Some(known.why_absent(R::DATA_TYPE)),
        Some(ScoreState::Unscorable) => Some(Missing::Unscorable),
        Some(state) => state.may_change().then_some(Missing::PendingScore),
    }
}
