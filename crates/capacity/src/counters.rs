//! Counters of a simulation, from which the report is computed.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{DataType, quota::PriorityClass};

#[derive(Debug, Default)]
pub(super) struct SimulationCounters {
    calls: Vec<(DateTime<Utc>, PriorityClass, u32)>,
    /// Number of pages that were read after the first page of a list.
    pub(super) second_pages: u64,
    pub(super) calls_by_id: u64,
    /// Number of calls for members for whom WHOOP answers every call with a 5xx.
    pub(super) calls_of_failing_members: u64,
    pub(super) calls_during_outages: u64,
    pub(super) refreshes: u64,
    pub(super) app_requests: u64,
    pub(super) app_requests_without_call: u64,
    pub(super) deferred_app_requests: Vec<DateTime<Utc>>,
    pub(super) app_requests_during_outages: u64,
    pub(super) app_requests_of_failing_members: u64,
    pub(super) selected_members: u64,
    pub(super) deferred_members: u64,
    pub(super) skipped_for_quota: u64,
    /// Seconds by which the stored data was behind WHOOP at each app request, for each data type in
    /// the order of [`DataType::ALL`].
    pub(super) lags: [Vec<i64>; 4],
    /// Seconds by which the stored data was behind WHOOP at each app request, for data types that
    /// were due but were not read because the quota was scarce.
    pub(super) skipped_read_lags: Vec<i64>,
    /// Seconds since the last read of the least recently read data type, measured at each midnight
    /// for each member who did not open the app in the 24 hours before.
    pub(super) inactive_ages: Vec<i64>,
    pub(super) max_inactive_age: i64,
    pub(super) launch: LaunchCounters,
}

/// Counters of a launch, in which many new members connect.
#[derive(Debug, Default)]
pub(super) struct LaunchCounters {
    /// Number of new members whose first sync is complete.
    pub(super) first_syncs: usize,
    pub(super) last_first_sync: Option<DateTime<Utc>>,
    /// Number of app requests of new members that waited for the member's first sync.
    pub(super) shared_first_sync: u64,
    /// Number of app requests of other members between the beginning of the launch and the end of
    /// its last first sync.
    pub(super) app_requests: u64,
    pub(super) deferred_app_requests: u64,
    pub(super) longest_wait: TimeDelta,
    /// Number of app requests of all members after the last first sync of the launch ended.
    pub(super) app_requests_afterwards: u64,
    pub(super) deferred_app_requests_afterwards: u64,
}

impl LaunchCounters {
    pub(super) fn record_first_sync(&mut self, now: DateTime<Utc>) {
        self.first_syncs += 1;
        self.last_first_sync = Some(now);
    }

    /// Records that an app request of a member who is not part of the launch was answered after the
    /// duration `time`.
    pub(super) fn record_answer(&mut self, time: TimeDelta, is_deferred: bool) {
        self.app_requests += 1;
        self.deferred_app_requests += u64::from(is_deferred);
        self.longest_wait = self.longest_wait.max(time);
    }
}

impl SimulationCounters {
    pub(super) fn add_calls(&mut self, at: DateTime<Utc>, class: PriorityClass, calls: u32) {
        self.calls.push((at, class, calls));
    }

    pub(super) fn add_lag(&mut self, data_type: DataType, behind: TimeDelta) {
        for (list, list_type) in self.lags.iter_mut().zip(DataType::ALL) {
            if list_type == data_type {
                list.push(behind.num_seconds());
            }
        }
    }

    pub(super) fn add_inactive_age(&mut self, age: TimeDelta) {
        self.max_inactive_age = self.max_inactive_age.max(age.num_seconds());
    }

    /// Returns all calls, ordered by time.
    pub(super) fn calls(&self) -> &[(DateTime<Utc>, PriorityClass, u32)] {
        &self.calls
    }

    /// Returns the maximum number of calls in any time window of this length.
    ///
    /// The calls themselves are counted, and not the entries of the quota ledger, so that an error
    /// of the ledger is found.
    pub(super) fn max_calls_within(&self, length: TimeDelta) -> u32 {
        let calls = self.calls();
        let (mut max, mut sum, mut oldest) = (0, 0, calls.iter());
        for (at, _, count) in calls {
            sum += count;
            while let Some((oldest_at, _, oldest_count)) = oldest.as_slice().first() {
                if *at - *oldest_at < length {
                    break;
                }
                sum -= oldest_count;
                oldest.next();
            }
            max = max.max(sum);
        }
        max
    }
}
