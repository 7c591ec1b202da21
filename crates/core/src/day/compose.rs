use std::collections::BTreeMap;

use super::{
    ConnectionStatus, CyclePart, Day, DayMeta, DayRecords, MissingReason, OtherRecords,
    RecoveryPart, SleepPart, WorkoutPart,
};
use crate::{DataType, UserId, coverage::Coverage, plan::DayQuery, record::ScoreState};

/// Facts that determine the reason for an absent part of a day.
#[derive(Debug, Clone, Copy)]
pub struct DayContext<'a> {
    pub query: &'a DayQuery,
    /// Coverage of each data type, which is the time span that was read completely. A data type
    /// without an entry was not granted by the member.
    pub coverage: &'a [Coverage],
    pub connection: ConnectionStatus,
    /// Whether the sync for this request was deferred because WHOOP's quota did not allow it.
    pub quota_exhausted: bool,
}

impl DayContext<'_> {
    fn coverage(&self, data_type: DataType) -> Option<&Coverage> {
        self.coverage
            .iter()
            .find(|entry| entry.data_type == data_type)
    }

    fn missing_reason(&self, data_type: DataType) -> MissingReason {
        match self.coverage(data_type) {
            None => return MissingReason::NotGranted,
            Some(coverage) if self.query.is_covered(coverage) => return MissingReason::NotRecorded,
            Some(_) => {}
        }
        match self.connection {
            ConnectionStatus::ReauthRequired => MissingReason::ReauthRequired,
            _ if self.quota_exhausted => MissingReason::Quota,
            _ => MissingReason::NotSynced,
        }
    }
}

/// Assembles the day of a member from the records of a date. The order of the records does not
/// matter.
pub fn assemble_day(
    user_id: UserId,
    records: &DayRecords,
    context: DayContext<'_>,
    meta: DayMeta,
) -> Day {
    let mut recoveries: Vec<_> = records.recoveries.iter().collect();
    recoveries.sort_by_key(|recovery| (!recovery.in_others, recovery.cycle_id));
    let recovery = recoveries.pop_if(|recovery| !recovery.in_others);

    let mut cycles: Vec<_> = records.cycles.iter().collect();
    cycles.sort_by_key(|cycle| (!cycle.in_others, cycle.start, cycle.id));
    let cycle = cycles.pop_if(|cycle| !cycle.in_others);

    let sort_by_start = |sleeps: &mut Vec<&_>| {
        sleeps.sort_by_key(|sleep: &&super::DaySleep| (sleep.start, sleep.id.0.clone()));
    };
    let mut night: Vec<_> = records.main_sleeps().collect();
    sort_by_start(&mut night);
    let sleep = SleepPart::from_main_sleeps(&night, recovery.map(|recovery| &recovery.sleep_id));
    let (mut naps, mut nights): (Vec<_>, Vec<_>) = records
        .sleeps
        .iter()
        .filter(|sleep| sleep.nap || sleep.in_others)
        .partition(|sleep| sleep.nap);
    sort_by_start(&mut naps);
    sort_by_start(&mut nights);
    let mut workouts: Vec<_> = records.workouts.iter().collect();
    workouts.sort_by_key(|workout| (workout.start, workout.id.0.as_str()));

    let others = OtherRecords {
        sleeps: nights.into_iter().map(SleepPart::from).collect(),
        recoveries: recoveries.into_iter().map(RecoveryPart::from).collect(),
        cycles: cycles.into_iter().map(CyclePart::from).collect(),
    };
    let mut missing = BTreeMap::new();
    let mut add_reason = |part, reason: Option<MissingReason>| {
        if let Some(reason) = reason {
            missing.insert(part, reason);
        }
    };
    let reason_for = |state: Option<&ScoreState>, data_type| match state {
        None => Some(context.missing_reason(data_type)),
        Some(ScoreState::Unscorable) => Some(MissingReason::Unscorable),
        Some(state) => state.is_pending().then_some(MissingReason::PendingScore),
    };
    let sleep_state = sleep
        .as_ref()
        .map(|sleep| ScoreState::from(sleep.state.clone()));
    add_reason(
        "recovery",
        reason_for(
            recovery.map(|recovery| &recovery.score_state),
            DataType::Recovery,
        ),
    );
    add_reason("sleep", reason_for(sleep_state.as_ref(), DataType::Sleep));
    add_reason(
        "cycle",
        reason_for(cycle.map(|cycle| &cycle.score_state), DataType::Cycle),
    );
    if workouts.is_empty() {
        add_reason("workouts", Some(context.missing_reason(DataType::Workout)));
    }
    Day {
        user_id,
        date: context.query.date,
        // A recovery without a score is omitted, because it contains neither figures nor times.
        recovery: recovery
            .filter(|recovery| recovery.score_state.is_scored())
            .map(RecoveryPart::from),
        sleep,
        naps: naps.into_iter().map(SleepPart::from).collect(),
        cycle: cycle.map(CyclePart::from),
        workouts: workouts.into_iter().map(WorkoutPart::from).collect(),
        others: Some(others).filter(|others| !others.is_empty()),
        missing,
        meta,
    }
}
