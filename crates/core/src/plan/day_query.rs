//! Requests for a day: determines the reads that are necessary before the response.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    LOOK_BACK, NIGHT_MARGIN, ReadReason, ReadRequest, ReadWindow, sync_window,
    webhook_signals::{Signal, WebhookSignals},
};
use crate::{
    DataType,
    coverage::{Coverage, span_of_date},
    day::DanglingReferences,
};

/// Time since the last read of the recoveries after which they are read even if the quota is
/// conserved: 24 hours.
///
/// After a longer absence, the recoveries of earlier days are missing as well.
const MAX_SKIPPED_AGE: TimeDelta = TimeDelta::hours(24);

/// Mode of a request for a day: decides which data may be read from WHOOP for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefreshMode {
    /// Read data that is missing or stale.
    #[default]
    Auto,
    /// Read nothing from WHOOP; the response contains only stored data.
    Never,
    /// Read all data of the day again (a forced read), except data types that were read less than
    /// [`DayQuery::forced_read_interval`] ago.
    Force,
}

/// State of WHOOP's scores for one night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NightState {
    /// There is no sleep yet, or the sleep has no score.
    #[default]
    Unscored,
    /// The sleep has its score, but the recovery is absent or has no score.
    SleepScored,
    /// Both the sleep and the recovery have their scores.
    Scored,
}

/// Request for one day of a member, with all facts that determine the necessary reads from WHOOP.
#[derive(Debug, Clone, Copy)]
pub struct DayQuery {
    pub date: NaiveDate,
    /// The member's local date at the time `now`.
    pub today: NaiveDate,
    /// The member's current offset from UTC, in seconds east of UTC.
    pub offset_seconds: i32,
    pub now: DateTime<Utc>,
    /// Freshness interval: age after which stored data of today or yesterday is stale.
    pub freshness: TimeDelta,
    pub refresh: RefreshMode,
    /// Minimum interval between a forced read of a data type and the previous read of the data
    /// type. A forced read that is requested earlier uses the result of the previous read.
    pub forced_read_interval: TimeDelta,
    /// State of the scores of the stored night of the date.
    pub night_state: NightState,
    /// References from stored records of the date to records that are not stored.
    pub dangling_references: DanglingReferences,
    /// Whether to conserve the quota because app requests may need most of the day's calls. If so,
    /// a night that already has its scores is not read again before the next scheduled run.
    pub conserve_quota: bool,
    /// Open webhook signals: the data types for which WHOOP announced a change that was not read
    /// yet. `None` if it is not known whether the member's webhooks arrive.
    pub signals: Option<WebhookSignals>,
}

impl DayQuery {
    /// Returns whether the date is today, yesterday or later, so that WHOOP may still add records
    /// to it.
    pub fn is_live(&self) -> bool {
        self.date >= self.today - chrono::Days::new(1)
    }

    fn is_recent(&self) -> bool {
        let (from, _) = span_of_date(self.date, self.offset_seconds);
        from >= self.now - LOOK_BACK
    }

    /// Returns whether the stored data of one data type is complete for this date.
    ///
    /// A date to which WHOOP may still add records changes after it was read. It is complete only
    /// if its stored data is also current, see [`Self::is_current`].
    pub fn is_covered(&self, coverage: &Coverage) -> bool {
        if self.has_unread_reference(coverage) {
            return false;
        }
        let (from, until) = span_of_date(self.date, self.offset_seconds);
        if self.is_live() {
            let last_read = coverage
                .last_read_at(self.now)
                .unwrap_or(from)
                .min(self.now);
            self.is_current(coverage)
                && coverage.was_listed(from.min(last_read), last_read.min(until))
        } else {
            coverage.contains(from, until)
        }
    }

    /// Returns whether a stored record of the date names a record of this data type that is not
    /// stored, and the data type was not read since.
    ///
    /// After one read in vain, the function returns `false`, so that the absent record is not
    /// requested again and again.
    fn has_unread_reference(&self, coverage: &Coverage) -> bool {
        // A time in the future was written by a process with a wrong clock. Without this filter,
        // every app request would cause a call.
        let since = self.dangling_references.referenced_at(coverage.data_type);
        let since = since.filter(|since| *since <= self.now);
        since.is_some_and(|since| {
            coverage
                .last_read_at(self.now)
                .is_none_or(|last| last < since)
        })
    }

    /// Returns whether the data type was read within the freshness interval.
    pub fn is_fresh(&self, coverage: &Coverage) -> bool {
        coverage.was_read_within(self.freshness, self.now)
    }

    /// Returns the refresh mode that applies to a data type.
    ///
    /// A forced read becomes [`RefreshMode::Auto`] if the data type was read within the minimum
    /// interval between forced reads. This exception does not apply to a day that is older than
    /// [`LOOK_BACK`], because reads up to the present do not contain such a day.
    fn effective_refresh(&self, coverage: &Coverage) -> RefreshMode {
        match self.refresh {
            RefreshMode::Force
                if self.is_recent()
                    && coverage.was_read_within(self.forced_read_interval, self.now) =>
            {
                RefreshMode::Auto
            }
            refresh => refresh,
        }
    }

    /// Returns whether the stored data of a data type can be returned without a read, for a date to
    /// which WHOOP may still add records.
    pub fn is_current(&self, coverage: &Coverage) -> bool {
        let Some(last) = coverage.last_read_at(self.now) else {
            return false;
        };
        if self.has_unread_reference(coverage) {
            return false;
        }
        let signal = self.signals.map_or(Signal::Unknown, |signals| {
            signals.signal(coverage.data_type, last, self.now)
        });
        match signal {
            Signal::Changed => false,
            // The webhook about the missing score may have been lost. Therefore, the absence of
            // webhooks is no evidence that WHOOP still has no score.
            Signal::Unchanged if !self.lacks_night_score(coverage.data_type) => true,
            Signal::Unchanged | Signal::Unknown => {
                self.is_fresh(coverage) || self.can_skip_read(coverage, last)
            }
        }
    }

    /// Returns whether the date's night lacks the score that belongs to this data type.
    fn lacks_night_score(&self, data_type: DataType) -> bool {
        match data_type {
            DataType::Sleep => self.night_state == NightState::Unscored,
            DataType::Recovery => self.night_state != NightState::Scored,
            DataType::Workout | DataType::Cycle => false,
        }
    }

    /// Returns whether the read of a data type can be skipped to conserve the quota.
    ///
    /// If the night has its scores, WHOOP may have scored it again, and the next scheduled run will
    /// read the new score. If the sleep has no score, there is no new recovery either, because
    /// WHOOP scores the sleep first.
    fn can_skip_read(&self, coverage: &Coverage, last: DateTime<Utc>) -> bool {
        self.conserve_quota
            && match (coverage.data_type, self.night_state) {
                (DataType::Recovery | DataType::Sleep, NightState::Scored) => true,
                (DataType::Recovery, NightState::Unscored) => self.now - last < MAX_SKIPPED_AGE,
                _ => false,
            }
    }

    /// Returns the reads that are necessary before the response; usually there are none.
    ///
    /// While the quota is conserved, the caller should call this function again after these reads:
    /// if the sleep got its score, the recovery has to be read as well.
    pub fn read_requests(&self, coverage: &[Coverage]) -> Vec<ReadRequest> {
        coverage
            .iter()
            .filter_map(|one| {
                Some(ReadRequest {
                    data_type: one.data_type,
                    window: self.read_window(one),
                    reason: self.read_reason(one)?,
                })
            })
            .collect()
    }

    fn read_reason(&self, coverage: &Coverage) -> Option<ReadReason> {
        match self.effective_refresh(coverage) {
            RefreshMode::Never => None,
            RefreshMode::Force => Some(ReadReason::Asked),
            RefreshMode::Auto if self.is_live() => {
                let last = coverage.last_sync_at;
                if self.is_current(coverage) {
                    None
                } else if last.is_none() {
                    Some(ReadReason::NeverRead)
                } else if self.has_unread_reference(coverage) {
                    Some(ReadReason::Missing)
                } else if self.is_fresh(coverage) {
                    Some(ReadReason::Webhook)
                } else {
                    Some(ReadReason::Stale)
                }
            }
            RefreshMode::Auto if self.is_recent() && self.has_unread_reference(coverage) => {
                Some(ReadReason::Missing)
            }
            // If WHOOP's list ended recently without a record of this date, only a read on another
            // day can confirm that it ends there. A read now would be useless.
            RefreshMode::Auto if self.is_recent() && !self.is_covered(coverage) => {
                (!coverage.has_recent_list_end(self.now)).then_some(ReadReason::Missing)
            }
            RefreshMode::Auto => None,
        }
    }

    fn read_window(&self, coverage: &Coverage) -> ReadWindow {
        let (from, until) = span_of_date(self.date, self.offset_seconds);
        let from = from - NIGHT_MARGIN;
        if !self.is_recent() {
            // A day that is older than `LOOK_BACK` is read on its own, without the days between it
            // and the present.
            return ReadWindow {
                must_reach: from,
                end: (until + NIGHT_MARGIN).min(self.now),
            };
        }
        let mut window = sync_window(None, coverage, None, self.now);
        if !coverage.contains(from, until.min(self.now)) {
            window.must_reach = window.must_reach.min(from);
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{noon, read_at};

    /// Returns the coverage of all four data types, which were last read `minutes_ago` minutes ago.
    fn all_read(minutes_ago: i64) -> Vec<Coverage> {
        let last = noon() - TimeDelta::minutes(minutes_ago);
        let of = |data_type| Coverage {
            data_type,
            ..read_at(last, TimeDelta::days(30))
        };
        DataType::ALL.into_iter().map(of).collect()
    }

    fn types_of(requests: &[ReadRequest]) -> Vec<DataType> {
        requests.iter().map(|request| request.data_type).collect()
    }

    #[test]
    fn if_calls_are_scarce_a_scored_night_is_not_read_again() {
        let today = query("2026-03-20", RefreshMode::Auto);
        let conserving = DayQuery {
            conserve_quota: true,
            ..today
        };
        let unscored = DayQuery {
            night_state: NightState::Unscored,
            ..conserving
        };
        let old = all_read(300);

        assert_eq!(today.read_requests(&old).len(), 4);
        assert_eq!(
            types_of(&conserving.read_requests(&old)),
            [DataType::Workout, DataType::Cycle]
        );
        assert_eq!(
            types_of(&unscored.read_requests(&old)),
            [DataType::Sleep, DataType::Workout, DataType::Cycle]
        );
        let sleep_scored = DayQuery {
            night_state: NightState::SleepScored,
            ..conserving
        };
        assert_eq!(sleep_scored.read_requests(&old).len(), 4);
        // After an absence of more than a day, the recoveries of the days in between are missing,
        // too.
        assert_eq!(unscored.read_requests(&all_read(23 * 60)).len(), 3);
        assert_eq!(unscored.read_requests(&all_read(25 * 60)).len(), 4);
        assert!(old.iter().all(|one| !today.is_current(one)));
    }

    #[test]
    fn if_webhooks_arrive_only_announced_data_types_and_cycles_are_read() {
        let with_signals = |open: &[DataType]| DayQuery {
            signals: Some(open.iter().copied().collect()),
            ..query("2026-03-20", RefreshMode::Auto)
        };

        let today = with_signals(&[DataType::Sleep, DataType::Workout]);
        let requests = today.read_requests(&all_read(300));
        assert_eq!(
            types_of(&requests),
            [DataType::Sleep, DataType::Workout, DataType::Cycle]
        );

        let requests = with_signals(&[DataType::Workout]).read_requests(&all_read(5));
        assert_eq!(types_of(&requests), [DataType::Workout]);
        assert_eq!(requests[0].reason, ReadReason::Webhook);
    }

    #[test]
    fn the_absence_of_webhooks_is_trusted_for_two_days() {
        let today = DayQuery {
            signals: Some(WebhookSignals::default()),
            ..query("2026-03-20", RefreshMode::Auto)
        };

        assert_eq!(
            types_of(&today.read_requests(&all_read(47 * 60))),
            [DataType::Cycle]
        );
        assert_eq!(today.read_requests(&all_read(48 * 60)).len(), 4);
    }

    #[test]
    fn a_cycle_that_a_night_names_is_read_once_after_the_night_was_stored() {
        let of_date = |date| DayQuery {
            dangling_references: DanglingReferences {
                cycle: Some(noon() - TimeDelta::minutes(3)),
                sleep: None,
            },
            ..query(date, RefreshMode::Auto)
        };
        for date in ["2026-03-20", "2026-03-10"] {
            let requests = of_date(date).read_requests(&all_read(5));
            assert_eq!(types_of(&requests), [DataType::Cycle], "{date}");
            assert_eq!(requests[0].reason, ReadReason::Missing);
            assert!(
                !all_read(5).iter().any(|one| {
                    one.data_type == DataType::Cycle && of_date(date).is_covered(one)
                })
            );
            assert_eq!(of_date(date).read_requests(&all_read(2)), [], "{date}");
        }
        // A missing record of an old date is not requested by the app request. The next run reads
        // it.
        assert_eq!(of_date("2025-01-10").read_requests(&all_read(5)), []);
    }

    fn query(date: &str, refresh: RefreshMode) -> DayQuery {
        DayQuery {
            date: date.parse().unwrap(),
            today: "2026-03-20".parse().unwrap(),
            offset_seconds: 3600,
            now: noon(),
            freshness: TimeDelta::minutes(15),
            refresh,
            forced_read_interval: TimeDelta::minutes(1),
            night_state: NightState::Scored,
            dangling_references: DanglingReferences::default(),
            conserve_quota: false,
            signals: None,
        }
    }

    #[test]
    fn a_fresh_day_needs_no_read() {
        let fresh = [read_at(
            noon() - TimeDelta::minutes(14),
            TimeDelta::days(30),
        )];

        for date in ["2026-03-20", "2026-03-19", "2026-03-05", "2024-01-01"] {
            assert_eq!(
                query(date, RefreshMode::Auto).read_requests(&fresh),
                vec![],
                "{date}"
            );
        }
    }

    #[test]
    fn a_read_with_a_time_in_the_future_is_ignored() {
        let ahead = |minutes| {
            [read_at(
                noon() + TimeDelta::minutes(minutes),
                TimeDelta::days(30),
            )]
        };
        let today = query("2026-03-20", RefreshMode::Auto);

        // The clocks of machines usually differ by seconds, and at most by some minutes.
        assert_eq!(today.read_requests(&ahead(4)), []);
        assert_eq!(today.read_requests(&ahead(6)).len(), 1);
        assert!(!today.is_current(&ahead(30 * 24 * 60)[0]));
    }

    #[test]
    fn only_today_and_yesterday_are_read_again_when_stale() {
        let old = [read_at(
            noon() - TimeDelta::minutes(16),
            TimeDelta::days(30),
        )];

        assert_eq!(
            query("2026-03-20", RefreshMode::Auto)
                .read_requests(&old)
                .len(),
            1
        );
        assert_eq!(
            query("2026-03-19", RefreshMode::Auto)
                .read_requests(&old)
                .len(),
            1
        );
        assert_eq!(
            query("2026-03-18", RefreshMode::Auto).read_requests(&old),
            vec![]
        );
    }

    #[test]
    fn a_missing_recent_day_is_read_and_an_old_one_waits_for_the_backfill() {
        let never = [Coverage::empty(DataType::Sleep)];

        assert_eq!(
            query("2026-03-10", RefreshMode::Auto)
                .read_requests(&never)
                .len(),
            1
        );
        assert_eq!(
            query("2025-03-10", RefreshMode::Auto).read_requests(&never),
            vec![]
        );
        assert_eq!(
            query("2026-03-10", RefreshMode::Never).read_requests(&never),
            vec![]
        );
        assert_eq!(
            query("2025-03-10", RefreshMode::Force)
                .read_requests(&never)
                .len(),
            1
        );
    }

    #[test]
    fn a_forced_read_within_a_minute_of_the_last_one_is_shared() {
        let read = |seconds| {
            let last = noon() - TimeDelta::seconds(seconds);
            [read_at(last, TimeDelta::days(30))]
        };
        for date in ["2026-03-20", "2026-03-10"] {
            let force = query(date, RefreshMode::Force);

            assert_eq!(force.read_requests(&read(59)), [], "{date}");
            assert_eq!(force.read_requests(&read(60)).len(), 1, "{date}");
            let unlimited = DayQuery {
                forced_read_interval: TimeDelta::zero(),
                ..force
            };
            assert_eq!(unlimited.read_requests(&read(0)).len(), 1, "{date}");
        }
        // A recent read does not replace a forced read if it did not reach back to the requested
        // day.
        let short = [read_at(noon(), TimeDelta::days(5))];
        assert_eq!(
            query("2026-03-10", RefreshMode::Force)
                .read_requests(&short)
                .len(),
            1
        );
        // A recent read does not replace a forced read of a day that is older than 21 days, nor of
        // a data type for which a webhook has announced a change since the recent read.
        assert_eq!(
            query("2025-01-10", RefreshMode::Force)
                .read_requests(&read(5))
                .len(),
            1
        );
        let announced = DayQuery {
            signals: Some([DataType::Sleep].into_iter().collect()),
            ..query("2026-03-20", RefreshMode::Force)
        };
        assert_eq!(announced.read_requests(&read(5)).len(), 1);
    }
}
