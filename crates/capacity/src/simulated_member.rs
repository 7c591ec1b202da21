//! Simulated member: the data that is stored, and the changes at WHOOP that were not read yet.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use whoop_core::{
    DataType,
    coverage::{Coverage, WindowRead},
    plan::{
        LOOK_BACK, NightState, ReadRequest,
        app_opens::AppOpenHistory,
        selection::MemberSyncState,
        webhook_signals::{MAX_WEBHOOK_DELAY, SILENCE_TRUSTED_FOR, WebhookSignals, is_unannounced},
    },
};

use super::MemberEvent;

/// Maximum pause before a data type whose reads fail is read again: 7 days.
const LONGEST_BACKOFF: TimeDelta = TimeDelta::days(7);

#[derive(Debug, Clone)]
pub(super) struct SimulatedMember {
    pub(super) coverage: [Coverage; 4],
    pub(super) app_opens: AppOpenHistory,
    pub(super) signals: Option<WebhookSignals>,
    /// Time at which the member's access token expires.
    pub(super) token_expires_at: DateTime<Utc>,
    /// Whether WHOOP answers every call for this member with a 5xx.
    pub(super) always_fails: bool,
    /// Start of the history that the backfill has to read; `None` if the whole history is stored.
    pub(super) backfill_from: Option<DateTime<Utc>>,
    failures: [Option<ReadFailures>; 4],
    /// Time of the oldest change at WHOOP that was not read yet, per data type.
    unread_since: [Option<DateTime<Utc>>; 4],
    /// Times of all changes at WHOOP since the last read, per data type.
    changes: [Vec<DateTime<Utc>>; 4],
    /// Time at which the latest webhook arrived, per data type.
    signal_at: [Option<DateTime<Utc>>; 4],
    /// Number of workouts that were deleted at WHOOP and are still stored.
    deleted_workouts: u32,
    scored_night: Option<NaiveDate>,
    sleep_read: Option<NaiveDate>,
    recovery_read: Option<NaiveDate>,
}

/// Failed reads of a data type since its last successful read.
#[derive(Debug, Clone, Copy)]
struct ReadFailures {
    since: DateTime<Utc>,
    last_attempt_at: DateTime<Utc>,
}

impl ReadFailures {
    /// Returns whether the data type is not read now because of a pause after failed reads
    /// (backoff).
    ///
    /// The rule is the same as in `whoop_storage::member_states`. `latest_read` is the time of the
    /// latest successful read of any member.
    fn is_backing_off(self, now: DateTime<Utc>, latest_read: DateTime<Utc>) -> bool {
        let pause = (self.last_attempt_at - self.since) / 2;
        self.since < latest_read && now < self.last_attempt_at + pause.min(LONGEST_BACKOFF)
    }
}

impl SimulatedMember {
    /// Creates a member with a completely stored history that was last read at the time
    /// `last_read`.
    pub(super) fn new(
        last_read: DateTime<Utc>,
        app_opens: AppOpenHistory,
        signals: Option<WebhookSignals>,
    ) -> Self {
        let read = |data_type| Coverage {
            data_type,
            last_sync_at: Some(last_read),
            covered_from: Some(last_read - TimeDelta::days(365)),
            covered_until: Some(last_read),
            earlier: None,
            whole_history: true,
            list_end: None,
        };
        Self {
            coverage: DataType::ALL.map(read),
            app_opens,
            signals,
            token_expires_at: last_read + TimeDelta::hours(1),
            always_fails: false,
            backfill_from: None,
            failures: [None; 4],
            unread_since: [Some(last_read); 4],
            changes: Default::default(),
            signal_at: [None; 4],
            deleted_workouts: 0,
            scored_night: None,
            sleep_read: None,
            recovery_read: None,
        }
    }

    /// Creates a member whose data has not changed at WHOOP since the last read.
    pub(super) fn up_to_date(
        last_read: DateTime<Utc>,
        app_opens: AppOpenHistory,
        signals: Option<WebhookSignals>,
    ) -> Self {
        Self {
            unread_since: [None; 4],
            ..Self::new(last_read, app_opens, signals)
        }
    }

    /// Creates a member who connects at the time `now`. The backfill has to read the member's
    /// history from the time `history_from` on.
    pub(super) fn connecting(
        now: DateTime<Utc>,
        history_from: DateTime<Utc>,
        signals: Option<WebhookSignals>,
    ) -> Self {
        Self {
            coverage: DataType::ALL.map(Coverage::empty),
            token_expires_at: now + TimeDelta::hours(1),
            backfill_from: Some(history_from),
            ..Self::new(now, AppOpenHistory::default(), signals)
        }
    }

    /// Makes every call for this member fail. Each data type counts as failing since its last read.
    pub(super) fn set_always_failing(&mut self, last_attempt_at: DateTime<Utc>) {
        self.always_fails = true;
        for (failure, one) in self.failures.iter_mut().zip(&self.coverage) {
            let since = one.last_sync_at.unwrap_or(last_attempt_at);
            *failure = Some(ReadFailures {
                since: since.min(last_attempt_at),
                last_attempt_at,
            });
        }
    }

    /// Returns the state of the member from which the planner selects members for a run.
    /// `latest_read` is the time of the latest successful read of any member.
    pub(super) fn sync_state(
        &self,
        now: DateTime<Utc>,
        latest_read: DateTime<Utc>,
    ) -> MemberSyncState {
        let mut last_sync_at = [None; 4];
        for (at, one) in last_sync_at.iter_mut().zip(&self.coverage) {
            *at = one.last_sync_at;
        }
        let failures = DataType::ALL.into_iter().zip(self.failures);
        let backing_off = failures.filter_map(|(data_type, failure)| {
            let backs_off = failure?.is_backing_off(now, latest_read);
            backs_off.then_some(data_type)
        });
        MemberSyncState {
            not_granted: Vec::new(),
            is_failing: self.failures.iter().any(Option::is_some),
            backing_off: backing_off.collect(),
            last_sync_at,
            app_opens: self.app_opens,
            signals: self.signals,
            old_pending_counts: [0; 4],
        }
    }

    /// Records that the member's data changes at WHOOP. Returns the data types for which WHOOP
    /// sends a webhook.
    pub(super) fn apply_event(
        &mut self,
        event: MemberEvent,
        at: DateTime<Utc>,
    ) -> &'static [DataType] {
        let announced: &[DataType] = match event {
            MemberEvent::SleepRecorded | MemberEvent::NightScored | MemberEvent::NightRescored => {
                &[DataType::Recovery, DataType::Sleep]
            }
            MemberEvent::NapChanged => &[DataType::Sleep],
            MemberEvent::WorkoutChanged | MemberEvent::WorkoutDeleted => &[DataType::Workout],
            MemberEvent::AppOpened => &[],
        };
        // WHOOP sends a webhook about the recovery as well, but the recovery has no score yet, so
        // there is no change to read.
        let changed: &[DataType] = match event {
            MemberEvent::SleepRecorded => &[DataType::Sleep],
            _ => announced,
        };
        match event {
            MemberEvent::NightScored => self.scored_night = Some(at.date_naive()),
            MemberEvent::WorkoutDeleted => self.deleted_workouts += 1,
            _ => {}
        }
        let known = self.unread_since.iter_mut().zip(&mut self.changes);
        for ((unread, changes), one) in known.zip(&self.coverage) {
            if changed.contains(&one.data_type) {
                unread.get_or_insert(at);
                changes.push(at);
            }
        }
        announced
    }

    /// Opens the signal of a data type, because a webhook about the data type arrives.
    pub(super) fn receive_webhook(&mut self, data_type: DataType, now: DateTime<Utc>) {
        if let Some(signals) = &mut self.signals {
            signals.open(data_type);
        }
        for (signal_at, one) in self.signal_at.iter_mut().zip(DataType::ALL) {
            if one == data_type {
                *signal_at = Some(now);
            }
        }
    }

    /// Returns the latest change that a read of a data type shows now and that WHOOP did not
    /// announce; `None` if there is no such change.
    pub(super) fn unannounced_change(
        &self,
        data_type: DataType,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let known = self.changes.iter().zip(self.signal_at);
        let ((changes, signal_at), one) = known
            .zip(&self.coverage)
            .find(|(_, one)| one.data_type == data_type)?;
        let is_due = |at: &&DateTime<Utc>| now - **at > MAX_WEBHOOK_DELAY;
        let change = changes.iter().filter(is_due).max().copied()?;
        is_unannounced(change, one.last_sync_at, signal_at, now).then_some(change)
    }

    /// Opens the signals of the data types that were last read before `read_before`.
    ///
    /// Does nothing if no webhook of the member arrived within [`SILENCE_TRUSTED_FOR`]. The rule is
    /// the same as in `whoop_storage::table::webhook_signal::open_read_before`.
    pub(super) fn reopen_signals(&mut self, read_before: DateTime<Utc>, now: DateTime<Utc>) {
        let arrived_lately = |at: &DateTime<Utc>| now - *at < SILENCE_TRUSTED_FOR;
        if !self.signal_at.iter().flatten().any(arrived_lately) {
            return;
        }
        let Some(signals) = &mut self.signals else {
            return;
        };
        for one in &self.coverage {
            let is_doubted = one.last_sync_at.is_some_and(|at| at < read_before);
            if is_doubted && one.data_type != DataType::Cycle {
                signals.open(one.data_type);
            }
        }
    }

    /// Records that a window up to the present was read to its end and stored.
    ///
    /// Returns the number of stored records that WHOOP's list did not contain. The service requests
    /// these records by their ids.
    pub(super) fn store_window(&mut self, read_request: &ReadRequest, now: DateTime<Utc>) -> u32 {
        self.extend_coverage(read_request, now);
        let unread = self.unread_since.iter_mut().zip(&mut self.changes);
        let unread = unread.zip(&mut self.failures);
        for (((unread, changes), failure), one) in unread.zip(&mut self.coverage) {
            if one.data_type == read_request.data_type {
                *unread = None;
                changes.clear();
                *failure = None;
                one.last_sync_at = one.last_sync_at.max(Some(read_request.window.end));
            }
        }
        if let Some(signals) = &mut self.signals {
            signals.close(read_request.data_type);
        }
        self.mark_night_read(read_request.data_type);
        match read_request.data_type {
            DataType::Workout => std::mem::take(&mut self.deleted_workouts),
            _ => 0,
        }
    }

    /// Adds a page of a list to the coverage of the data type, which is the time span that was read
    /// completely.
    pub(super) fn extend_coverage(&mut self, read_request: &ReadRequest, now: DateTime<Utc>) {
        for one in &mut self.coverage {
            if one.data_type == read_request.data_type {
                // The oldest record of a full page is older than the start of the window.
                let oldest = read_request
                    .window
                    .must_reach
                    .min(read_request.window.end - LOOK_BACK);
                *one = one.with_read(WindowRead {
                    until: read_request.window.end,
                    oldest: Some(oldest),
                    list_ended: false,
                    read_at: now,
                });
            }
        }
    }

    /// Records that a read of a data type failed.
    pub(super) fn read_failed(&mut self, data_type: DataType, now: DateTime<Utc>) {
        for (failure, one) in self.failures.iter_mut().zip(DataType::ALL) {
            if one == data_type {
                let since = failure.map_or(now, |failure| failure.since);
                *failure = Some(ReadFailures {
                    since,
                    last_attempt_at: now,
                });
            }
        }
    }

    /// Returns the time since which the reads of a data type have been failing; `None` if the last
    /// read succeeded.
    pub(super) fn failing_since(&self, data_type: DataType) -> Option<DateTime<Utc>> {
        let mut failures = self.failures.iter().zip(DataType::ALL);
        let (failure, _) = failures.find(|(_, one)| *one == data_type)?;
        failure.map(|failure| failure.since)
    }

    pub(super) fn coverage_of(&self, data_type: DataType) -> Option<&Coverage> {
        self.coverage.iter().find(|one| one.data_type == data_type)
    }

    /// Returns whether all data types were read at least once since the member connected.
    pub(super) fn was_ever_read(&self) -> bool {
        self.coverage.iter().all(|one| one.last_sync_at.is_some())
    }

    /// Returns whether a webhook announced a change of the data type that was not read yet.
    pub(super) fn has_signal(&self, data_type: DataType, now: DateTime<Utc>) -> bool {
        use whoop_core::plan::webhook_signals::Signal;
        self.signals
            .is_some_and(|signals| signals.signal(data_type, now, now) == Signal::Changed)
    }

    fn mark_night_read(&mut self, data_type: DataType) {
        match data_type {
            DataType::Recovery => self.recovery_read = self.scored_night,
            DataType::Sleep => self.sleep_read = self.scored_night,
            DataType::Workout | DataType::Cycle => {}
        }
    }

    pub(super) fn night_state(&self, date: NaiveDate) -> NightState {
        if self.sleep_read != Some(date) {
            NightState::Unscored
        } else if self.recovery_read != Some(date) {
            NightState::SleepScored
        } else {
            NightState::Scored
        }
    }

    /// Returns the duration by which the stored data of a data type is behind WHOOP's data.
    pub(super) fn data_lag(&self, data_type: DataType, now: DateTime<Utc>) -> TimeDelta {
        let mut types = self.coverage.iter().zip(self.unread_since);
        let Some((coverage, unread)) = types.find(|(one, _)| one.data_type == data_type) else {
            return TimeDelta::zero();
        };
        // The running cycle changes continuously, so its stored data is as old as the last read.
        let since = match data_type {
            DataType::Cycle => coverage.last_sync_at,
            _ => unread,
        };
        since.map_or(TimeDelta::zero(), |since| {
            (now - since).max(TimeDelta::zero())
        })
    }

    /// Returns the time since the last read of the data type that was read longest ago.
    pub(super) fn oldest_read_age(&self, now: DateTime<Utc>) -> TimeDelta {
        let oldest = self
            .coverage
            .iter()
            .filter_map(|one| one.last_sync_at)
            .min();
        oldest.map_or(TimeDelta::zero(), |oldest| now - oldest)
    }
}
