//! What a simulation counts while it goes.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{DataType, quota::PriorityClass};

#[derive(Debug, Default)]
pub(super) struct Tally {
    calls: Vec<(DateTime<Utc>, PriorityClass, u32)>,
    pub(super) visits: u64,
    pub(super) visits_without_a_call: u64,
    pub(super) visits_put_off: Vec<DateTime<Utc>>,
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
    pub(super) fn calls(&mut self) -> &[(DateTime<Utc>, PriorityClass, u32)] {
        self.calls.sort_by_key(|(at, _, _)| *at);
        &self.calls
    }

    /// The most calls that any window of this length holds. Counted from the
    /// calls themselves, not from what the budget believes.
    pub(super) fn most_within(&mut self, length: TimeDelta) -> u32 {
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
