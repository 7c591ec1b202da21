//! A visit: what a request for a day reads before it is answered.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    Call, LOOK_BACK, NIGHT_BEFORE, Reason, Window,
    webhook_signals::{Signal, WebhookSignals},
    window,
};
use crate::{
    DataType,
    coverage::{Coverage, span_of},
    day::Named,
};

/// Whoever was away for longer lacks the recoveries of earlier days as well.
const SPARED_FOR: TimeDelta = TimeDelta::hours(24);

/// How much a request for a day may ask of WHOOP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// What is missing or out of date.
    #[default]
    Auto,
    /// Nothing.
    Never,
    /// Everything that belongs to the day, unless it was read less than
    /// [`DayQuery::forced_reads_every`] ago.
    Force,
}

/// How far a night has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Night {
    /// There is none, or its sleep has no score yet.
    #[default]
    Unscored,
    /// The sleep has its score, and the recovery is not there or has none.
    SleepScored,
    /// Both have their scores.
    Scored,
}

/// A request for a day, with all that decides whether WHOOP is asked.
#[derive(Debug, Clone, Copy)]
pub struct DayQuery {
    pub date: NaiveDate,
    /// The member's date at `now`.
    pub today: NaiveDate,
    /// The member's offset from UTC, in seconds east.
    pub offset_seconds: i32,
    pub now: DateTime<Utc>,
    /// How old today's data may be before WHOOP is asked.
    pub freshness: TimeDelta,
    pub refresh: Refresh,
    /// Minimum interval between two forced reads of a data type. One that comes earlier shares the
    /// result of the last read.
    pub forced_reads_every: TimeDelta,
    /// What is stored of the date's night.
    pub night: Night,
    /// Records that are not stored and that others of the date name.
    pub named: Named,
    /// Whether members who wait may need most of the day's calls: then a night
    /// that has its score is left to the next slot.
    pub thrifty: bool,
    /// `None` where webhooks are not known to arrive.
    pub signals: Option<WebhookSignals>,
}

impl DayQuery {
    /// Today and yesterday: WHOOP may still add to them at any moment.
    pub fn is_live(&self) -> bool {
        self.date >= self.today - chrono::Days::new(1)
    }

    fn is_recent(&self) -> bool {
        let (from, _) = span_of(self.date, self.offset_seconds);
        from >= self.now - LOOK_BACK
    }

    /// Whether the stored state of one type answers for this date.
    ///
    /// A live date is never read "to its end"; it is known as of the last
    /// sync, while that is fresh.
    pub fn is_known(&self, coverage: &Coverage) -> bool {
        if self.names_unread(coverage) {
            return false;
        }
        let (from, until) = span_of(self.date, self.offset_seconds);
        if self.is_live() {
            let asked = coverage.last_read(self.now).unwrap_or(from).min(self.now);
            self.is_current(coverage) && coverage.was_listed(from.min(asked), asked.min(until))
        } else {
            coverage.contains(from, until)
        }
    }

    /// Whether a record of this type is named by one that was stored after the type was read.
    fn names_unread(&self, coverage: &Coverage) -> bool {
        // A time in the future was written by a wrong clock, and would ask WHOOP at every visit.
        let since = self.named.since(coverage.data_type);
        let since = since.filter(|since| *since <= self.now);
        since.is_some_and(|since| coverage.last_read(self.now).is_none_or(|last| last < since))
    }

    /// Whether the type was read within the freshness interval.
    pub fn is_fresh(&self, coverage: &Coverage) -> bool {
        coverage.was_read_within(self.freshness, self.now)
    }

    /// The refresh mode for a data type. A forced read of an old day is for that day alone, and no read up
    /// to the present answers it.
    fn refresh_of(&self, coverage: &Coverage) -> Refresh {
        match self.refresh {
            Refresh::Force
                if self.is_recent()
                    && coverage.was_read_within(self.forced_reads_every, self.now) =>
            {
                Refresh::Auto
            }
            refresh => refresh,
        }
    }

    /// Whether what is stored of a type may be shown as it is, on a date to
    /// which WHOOP may still add.
    pub fn is_current(&self, coverage: &Coverage) -> bool {
        let Some(last) = coverage.last_read(self.now) else {
            return false;
        };
        if self.names_unread(coverage) {
            return false;
        }
        let signal = self.signals.map_or(Signal::Unknown, |signals| {
            signals.signal(coverage.data_type, last, self.now)
        });
        match signal {
            Signal::Changed => false,
            // What is not here may have been announced to nobody: while it is missed,
            // silence says nothing.
            Signal::Unchanged if !self.misses(coverage.data_type) => true,
            Signal::Unchanged | Signal::Unknown => {
                self.is_fresh(coverage) || self.is_settled(coverage, last)
            }
        }
    }

    /// Whether the date's night is not here, or not as it will be.
    fn misses(&self, data_type: DataType) -> bool {
        match data_type {
            DataType::Sleep => self.night == Night::Unscored,
            DataType::Recovery => self.night != Night::Scored,
            DataType::Workout | DataType::Cycle => false,
        }
    }

    /// Whether reading a type can be spared. WHOOP may score a night again,
    /// which the next slot will see; and before a sleep has its score there is
    /// no new recovery.
    fn is_settled(&self, coverage: &Coverage, last: DateTime<Utc>) -> bool {
        self.thrifty
            && match (coverage.data_type, self.night) {
                (DataType::Recovery | DataType::Sleep, Night::Scored) => true,
                (DataType::Recovery, Night::Unscored) => self.now - last < SPARED_FOR,
                _ => false,
            }
    }

    /// What to read before answering; usually nothing. Where that is thrifty,
    /// what was read may call for one thing more.
    pub fn calls(&self, coverage: &[Coverage]) -> Vec<Call> {
        coverage
            .iter()
            .filter_map(|one| {
                Some(Call {
                    data_type: one.data_type,
                    window: self.window(one),
                    reason: self.reason(one)?,
                })
            })
            .collect()
    }

    fn reason(&self, coverage: &Coverage) -> Option<Reason> {
        match self.refresh_of(coverage) {
            Refresh::Never => None,
            Refresh::Force => Some(Reason::Asked),
            Refresh::Auto if self.is_live() => {
                let last = coverage.last_sync_at;
                if self.is_current(coverage) {
                    None
                } else if last.is_none() {
                    Some(Reason::NeverRead)
                } else if self.names_unread(coverage) {
                    Some(Reason::Missing)
                } else if self.is_fresh(coverage) {
                    Some(Reason::Webhook)
                } else {
                    Some(Reason::Stale)
                }
            }
            Refresh::Auto if self.is_recent() && self.names_unread(coverage) => {
                Some(Reason::Missing)
            }
            // What WHOOP claimed once is asked for again on another day.
            Refresh::Auto if self.is_recent() && !self.is_known(coverage) => {
                (!coverage.has_recent_list_end(self.now)).then_some(Reason::Missing)
            }
            Refresh::Auto => None,
        }
    }

    fn window(&self, coverage: &Coverage) -> Window {
        let (from, until) = span_of(self.date, self.offset_seconds);
        let from = from - NIGHT_BEFORE;
        if !self.is_recent() {
            // An old day on demand is read for itself alone.
            return Window {
                must_reach: from,
                end: (until + NIGHT_BEFORE).min(self.now),
            };
        }
        let mut window = window(None, coverage, None, self.now);
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

    /// All four types, read so many minutes ago.
    fn all_read(minutes_ago: i64) -> Vec<Coverage> {
        let last = noon() - TimeDelta::minutes(minutes_ago);
        let of = |data_type| Coverage {
            data_type,
            ..read_at(last, TimeDelta::days(30))
        };
        DataType::ALL.into_iter().map(of).collect()
    }

    fn types_of(calls: &[Call]) -> Vec<DataType> {
        calls.iter().map(|call| call.data_type).collect()
    }

    #[test]
    fn where_calls_are_scarce_a_night_with_its_score_is_not_asked_for_again() {
        let today = query("2026-03-20", Refresh::Auto);
        let thrifty = DayQuery {
            thrifty: true,
            ..today
        };
        let unscored = DayQuery {
            night: Night::Unscored,
            ..thrifty
        };
        let old = all_read(300);

        assert_eq!(today.calls(&old).len(), 4);
        assert_eq!(
            types_of(&thrifty.calls(&old)),
            [DataType::Workout, DataType::Cycle]
        );
        assert_eq!(
            types_of(&unscored.calls(&old)),
            [DataType::Sleep, DataType::Workout, DataType::Cycle]
        );
        let half = DayQuery {
            night: Night::SleepScored,
            ..thrifty
        };
        assert_eq!(half.calls(&old).len(), 4);
        // Whoever was away lacks the recoveries of the days between.
        assert_eq!(unscored.calls(&all_read(23 * 60)).len(), 3);
        assert_eq!(unscored.calls(&all_read(25 * 60)).len(), 4);
        assert!(old.iter().all(|one| !today.is_current(one)));
    }

    #[test]
    fn where_webhooks_arrive_only_what_they_named_and_the_running_cycle_are_read() {
        let with_signals = |open: &[DataType]| DayQuery {
            signals: Some(open.iter().copied().collect()),
            ..query("2026-03-20", Refresh::Auto)
        };

        let today = with_signals(&[DataType::Sleep, DataType::Workout]);
        let calls = today.calls(&all_read(300));
        assert_eq!(
            types_of(&calls),
            [DataType::Sleep, DataType::Workout, DataType::Cycle]
        );

        let calls = with_signals(&[DataType::Workout]).calls(&all_read(5));
        assert_eq!(types_of(&calls), [DataType::Workout]);
        assert_eq!(calls[0].reason, Reason::Webhook);
    }

    #[test]
    fn webhooks_that_say_nothing_for_two_days_are_not_relied_on() {
        let today = DayQuery {
            signals: Some(WebhookSignals::default()),
            ..query("2026-03-20", Refresh::Auto)
        };

        assert_eq!(
            types_of(&today.calls(&all_read(47 * 60))),
            [DataType::Cycle]
        );
        assert_eq!(today.calls(&all_read(48 * 60)).len(), 4);
    }

    #[test]
    fn a_cycle_that_a_night_names_is_read_once_after_the_night_was_stored() {
        let of_date = |date| DayQuery {
            named: Named {
                cycle: Some(noon() - TimeDelta::minutes(3)),
                sleep: None,
            },
            ..query(date, Refresh::Auto)
        };
        for date in ["2026-03-20", "2026-03-10"] {
            let calls = of_date(date).calls(&all_read(5));
            assert_eq!(types_of(&calls), [DataType::Cycle], "{date}");
            assert_eq!(calls[0].reason, Reason::Missing);
            assert!(
                !all_read(5)
                    .iter()
                    .any(|one| { one.data_type == DataType::Cycle && of_date(date).is_known(one) })
            );
            assert_eq!(of_date(date).calls(&all_read(2)), [], "{date}");
        }
        // An old date is read by the next run.
        assert_eq!(of_date("2025-01-10").calls(&all_read(5)), []);
    }

    fn query(date: &str, refresh: Refresh) -> DayQuery {
        DayQuery {
            date: date.parse().unwrap(),
            today: "2026-03-20".parse().unwrap(),
            offset_seconds: 3600,
            now: noon(),
            freshness: TimeDelta::minutes(15),
            refresh,
            forced_reads_every: TimeDelta::minutes(1),
            night: Night::Scored,
            named: Named::default(),
            thrifty: false,
            signals: None,
        }
    }

    #[test]
    fn a_day_that_was_read_moments_ago_asks_for_nothing() {
        let fresh = [read_at(
            noon() - TimeDelta::minutes(14),
            TimeDelta::days(30),
        )];

        for date in ["2026-03-20", "2026-03-19", "2026-03-05", "2024-01-01"] {
            assert_eq!(query(date, Refresh::Auto).calls(&fresh), vec![], "{date}");
        }
    }

    #[test]
    fn a_read_that_a_wrong_clock_dated_to_the_future_counts_as_none() {
        let ahead = |minutes| {
            [read_at(
                noon() + TimeDelta::minutes(minutes),
                TimeDelta::days(30),
            )]
        };
        let today = query("2026-03-20", Refresh::Auto);

        // Machines differ by seconds, and by minutes at most.
        assert_eq!(today.calls(&ahead(4)), []);
        assert_eq!(today.calls(&ahead(6)).len(), 1);
        assert!(!today.is_current(&ahead(30 * 24 * 60)[0]));
    }

    #[test]
    fn only_today_and_yesterday_are_asked_again_when_the_last_read_is_old() {
        let old = [read_at(
            noon() - TimeDelta::minutes(16),
            TimeDelta::days(30),
        )];

        assert_eq!(query("2026-03-20", Refresh::Auto).calls(&old).len(), 1);
        assert_eq!(query("2026-03-19", Refresh::Auto).calls(&old).len(), 1);
        assert_eq!(query("2026-03-18", Refresh::Auto).calls(&old), vec![]);
    }

    #[test]
    fn a_recent_day_never_read_is_asked_for_and_an_old_one_is_left_to_the_back_fill() {
        let never = [Coverage::none(DataType::Sleep)];

        assert_eq!(query("2026-03-10", Refresh::Auto).calls(&never).len(), 1);
        assert_eq!(query("2025-03-10", Refresh::Auto).calls(&never), vec![]);
        assert_eq!(query("2026-03-10", Refresh::Never).calls(&never), vec![]);
        assert_eq!(query("2025-03-10", Refresh::Force).calls(&never).len(), 1);
    }

    #[test]
    fn a_forced_read_within_a_minute_of_the_last_one_is_shared() {
        let read = |seconds| {
            let last = noon() - TimeDelta::seconds(seconds);
            [read_at(last, TimeDelta::days(30))]
        };
        for date in ["2026-03-20", "2026-03-10"] {
            let force = query(date, Refresh::Force);

            assert_eq!(force.calls(&read(59)), [], "{date}");
            assert_eq!(force.calls(&read(60)).len(), 1, "{date}");
            let unlimited = DayQuery {
                forced_reads_every: TimeDelta::zero(),
                ..force
            };
            assert_eq!(unlimited.calls(&read(0)).len(), 1, "{date}");
        }
        // The last read did not reach back to the day.
        let short = [read_at(noon(), TimeDelta::days(5))];
        assert_eq!(query("2026-03-10", Refresh::Force).calls(&short).len(), 1);
        // It answers neither an old day nor a change that a webhook has announced since.
        assert_eq!(query("2025-01-10", Refresh::Force).calls(&read(5)).len(), 1);
        let announced = DayQuery {
            signals: Some([DataType::Sleep].into_iter().collect()),
            ..query("2026-03-20", Refresh::Force)
        };
        assert_eq!(announced.calls(&read(5)).len(), 1);
    }
}
