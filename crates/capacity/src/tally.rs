//! Counters of a simulation.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{DataType, quota::PriorityClass};

#[derive(Debug, Default)]
pub(super) struct Tally {
    calls: Vec<(DateTime<Utc>, PriorityClass, u32)>,
    /// Pages after the first one of a list.
    pub(super) second_pages: u64,
    pub(super) calls_by_id: u64,
    /// Calls for members whose calls always fail.
    pub(super) calls_of_failing_members: u64,
    pub(super) calls_during_outages: u64,
    pub(super) refreshes: u64,
    pub(super) visits: u64,
    pub(super) visits_without_a_call: u64,
    pub(super) visits_put_off: Vec<DateTime<Utc>>,
    pub(super) visits_during_outages: u64,
    pub(super) visits_of_failing_members: u64,
    pub(super) turns: u64,
    pub(super) turns_put_off: u64,
    pub(super) left: u64,
    /// Seconds behind WHOOP at a visit, in the order of [`DataType::ALL`].
    pub(super) behind: [Vec<i64>; 4],
    /// The same of nights that were left because they have their score.
    pub(super) settled: Vec<i64>,
    /// Seconds since members who did not come were read.
    pub(super) away: Vec<i64>,
    pub(super) away_at_most: i64,
    pub(super) launch: LaunchTally,
}

/// Counters of a launch.
#[derive(Debug, Default)]
pub(super) struct LaunchTally {
    /// New members whose first sync has ended.
    pub(super) first_syncs: usize,
    pub(super) last_first_sync: Option<DateTime<Utc>>,
    /// App requests of new members that waited for the first sync.
    pub(super) shared_first_sync: u64,
    /// App requests of other members until the last first sync.
    pub(super) visits: u64,
    pub(super) visits_put_off: u64,
    pub(super) longest_wait: TimeDelta,
    /// App requests of all members after the last first sync.
    pub(super) visits_afterwards: u64,
    pub(super) visits_afterwards_put_off: u64,
}

impl LaunchTally {
    pub(super) fn first_sync_ended(&mut self, now: DateTime<Utc>) {
        self.first_syncs += 1;
        self.last_first_sync = Some(now);
    }

    /// Notes the answer to an app request of another member.
    pub(super) fn answer_took(&mut self, time: TimeDelta, is_deferred: bool) {
        self.visits += 1;
        self.visits_put_off += u64::from(is_deferred);
        self.longest_wait = self.longest_wait.max(time);
    }
}

impl Tally {
    pub(super) fn call(&mut self, at: DateTime<Utc>, class: PriorityClass, calls: u32) {
        self.calls.push((at, class, calls));
    }

    pub(super) fn behind(&mut self, data_type: DataType, behind: TimeDelta) {
        for (list, one) in self.behind.iter_mut().zip(DataType::ALL) {
            if one == data_type {
                list.push(behind.num_seconds());
            }
        }
    }

    pub(super) fn away(&mut self, age: TimeDelta) {
        self.away_at_most = self.away_at_most.max(age.num_seconds());
    }

    /// All calls, the oldest first.
    pub(super) fn calls(&self) -> &[(DateTime<Utc>, PriorityClass, u32)] {
        &self.calls
    }

    /// The most calls that any window of this length holds. Counted from the
    /// calls themselves, not from what the budget believes.
    pub(super) fn most_within(&self, length: TimeDelta) -> u32 {
        let calls = self.calls();
        let (mut most, mut sum, mut oldest) = (0, 0, calls.iter());
        for (at, _, made) in calls {
            sum += made;
            while let Some((gone, _, gone_made)) = oldest.as_slice().first() {
                if *at - *gone < length {
                    break;
                }
                sum -= gone_made;
                oldest.next();
            }
            most = most.max(sum);
        }
        most
    }
}
