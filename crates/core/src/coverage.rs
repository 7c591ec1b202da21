//! Coverage: the time span of each data type that was read completely, and the evidence that is
//! required for it.
//!
//! WHOOP's list ends with a page without a following page, with an empty page, or with status 404
//! instead of a page. None of these answers proves that no older records exist, because WHOOP
//! sometimes sends such an answer for a short time although older records exist. The service
//! accepts only this evidence:
//!
//! - **A time span was read completely** if a page contains a record that is older than the span.
//!   WHOOP lists records without gaps, so the pages contain every record between this older record
//!   and the end of the window.
//! - **A record is the first of the member's history** if WHOOP's list ended at the same record in
//!   two reads that are at least [`CONFIRM_AFTER`] apart. After the first of these reads, the end
//!   of the list is stored as a [`ListEnd`], and the time before the record does not count as
//!   covered.
//! - **A record was deleted** only after WHOOP was asked for it by its id; see the crate `sync`.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::{DataType, plan::LOOK_BACK};

/// Minimum time between two reads whose lists ended at the same record, before this record counts
/// as the beginning of the member's history.
///
/// The time is 20 hours and not 24, so that the scheduled run of the next day can confirm the end
/// of the list even if it starts some minutes earlier than the run of the day before.
pub const CONFIRM_AFTER: TimeDelta = TimeDelta::hours(20);

/// Maximum difference between the clocks of two machines.
///
/// A stored time that lies farther in the future was written by a process with a wrong clock. Such
/// a time is ignored.
pub const CLOCK_SKEW_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Coverage of one data type of one member: the time span that was read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub data_type: DataType,
    /// End of the latest window up to the present that was read and stored completely.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// Start of the coverage. Every record that WHOOP has between `covered_from` and
    /// `covered_until` is stored.
    pub covered_from: Option<DateTime<Utc>>,
    /// End of the coverage. Later records were not read yet.
    pub covered_until: Option<DateTime<Utc>>,
    /// Older time span that was also read completely, separated from `covered_from` by a gap.
    ///
    /// A gap arises when a member was away for a long time. The backfill reads the gap and then
    /// joins the two spans.
    pub earlier: Option<CoveredSpan>,
    /// Whether `covered_from` is the beginning of the member's history.
    ///
    /// This is known after WHOOP's list ended at the same record in two reads that are at least
    /// [`CONFIRM_AFTER`] apart.
    pub whole_history: bool,
    /// End of WHOOP's list, if only one read has shown it so far and a second read has to confirm
    /// it.
    pub list_end: Option<ListEnd>,
}

/// Time span for which all of WHOOP's records are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoveredSpan {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl CoveredSpan {
    fn contains(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        self.from <= from && until <= self.until
    }

    /// Returns the part of the span from `from` to `until` that still counts as covered if a gap
    /// follows it.
    ///
    /// WHOOP scores and edits records after they were read. The last [`LOOK_BACK`] of the span
    /// therefore no longer counts as covered, and the backfill reads this part again together with
    /// the gap. Returns `None` if nothing remains.
    fn behind_gap(from: DateTime<Utc>, until: DateTime<Utc>) -> Option<Self> {
        let until = until - LOOK_BACK;
        (from < until).then_some(Self { from, until })
    }

    fn longer(self, other: Self) -> Self {
        match other.until - other.from > self.until - self.from {
            true => other,
            false => self,
        }
    }
}

/// End of WHOOP's list: a read found no record that is older than `oldest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListEnd {
    /// Time of the oldest record on the list; `None` if the list was empty.
    pub oldest: Option<DateTime<Utc>>,
    /// Time of the first read in which the list ended at this record.
    pub seen_at: DateTime<Utc>,
}

impl ListEnd {
    /// Returns whether `seen_at` is in the past.
    ///
    /// A `seen_at` in the future was written by a process with a wrong clock. Such an end of the
    /// list is ignored.
    fn is_past(&self, now: DateTime<Utc>) -> bool {
        self.seen_at <= now
    }
}

/// Result of reading all pages of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRead {
    /// End of the window: the pages contain only records that began before this time.
    pub until: DateTime<Utc>,
    /// Time of the oldest record on the pages; `None` if the pages were empty.
    pub oldest: Option<DateTime<Utc>>,
    /// Whether the last page had no following page, so that WHOOP's list contained nothing older.
    pub list_ended: bool,
    /// Time at which the pages were read.
    pub read_at: DateTime<Utc>,
}

impl Coverage {
    /// Returns the coverage of a data type that was never read: no time span is covered.
    pub const fn empty(data_type: DataType) -> Self {
        Self {
            data_type,
            last_sync_at: None,
            covered_from: None,
            covered_until: None,
            earlier: None,
            whole_history: false,
            list_end: None,
        }
    }

    /// Returns a copy of this coverage in which `earlier` is the older covered span.
    ///
    /// If no unread gap lies between the two spans, they are joined and the result has no older
    /// span.
    #[must_use]
    pub fn with_earlier(self, earlier: Option<CoveredSpan>) -> Self {
        let Some((covered_from, span)) = self.covered_from.zip(earlier) else {
            return Self {
                earlier: None,
                ..self
            };
        };
        let is_read_between = self.whole_history || covered_from <= span.until;
        Self {
            covered_from: Some(match is_read_between {
                true => covered_from.min(span.from),
                false => covered_from,
            }),
            earlier: earlier.filter(|_| !is_read_between),
            ..self
        }
    }

    /// Returns whether it is proven that every record between `from` and `until` is stored.
    pub fn contains(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let (Some(covered_from), Some(covered_until)) = (self.covered_from, self.covered_until)
        else {
            return false;
        };
        let is_in_coverage = (self.whole_history || covered_from <= from) && until <= covered_until;
        is_in_coverage || self.earlier.is_some_and(|span| span.contains(from, until))
    }

    /// Returns whether every record that WHOOP's lists contained between `from` and `until` is
    /// stored.
    ///
    /// Unlike [`Self::contains`], this function already accepts an end of the list that was seen
    /// only once as the beginning of the member's history.
    pub fn was_listed(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let claimed = Self {
            // While the backfill fills a gap, the older span shows that records exist before the
            // gap. An end of the list is then no evidence that the time before `covered_from` is
            // empty.
            whole_history: self.whole_history || self.list_end.is_some() && self.earlier.is_none(),
            ..self.clone()
        };
        claimed.contains(from, until)
    }

    /// Returns the time of the last complete read up to the present (`last_sync_at`).
    ///
    /// Returns `None` if there was no read, or if the stored time lies in the future because of a
    /// wrong clock.
    pub fn last_read_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.last_sync_at
            .filter(|last| *last <= now + CLOCK_SKEW_TOLERANCE)
    }

    /// Returns whether the last complete read up to the present is less than `interval` ago.
    pub fn was_read_within(&self, interval: TimeDelta, now: DateTime<Utc>) -> bool {
        self.last_read_at(now)
            .is_some_and(|last| now - last < interval)
    }

    /// Returns whether an end of WHOOP's list was first seen less than [`CONFIRM_AFTER`] ago.
    ///
    /// Until that time has passed, another read cannot confirm the end of the list.
    pub fn has_recent_list_end(&self, now: DateTime<Utc>) -> bool {
        self.list_end
            .filter(|end| end.is_past(now))
            .is_some_and(|end| now < end.seen_at + CONFIRM_AFTER)
    }

    /// Returns whether any process has completed a read up to the present after `before` was
    /// recorded.
    pub fn was_read_since(&self, before: &LastReads) -> bool {
        let mut known = DataType::ALL.into_iter().zip(before);
        known
            .find(|(data_type, _)| *data_type == self.data_type)
            .is_some_and(|(_, before)| self.last_sync_at > *before)
    }

    /// Returns the coverage of the data type after the window `read` was read completely.
    #[must_use]
    pub fn with_read(&self, read: WindowRead) -> Self {
        let from = read
            .oldest
            .map_or(read.until, |oldest| oldest.min(read.until));
        // A record that is older than the supposed beginning of the history disproves that
        // beginning.
        let mut whole_history =
            self.whole_history && self.covered_from.is_none_or(|known| known <= from);
        let meets_coverage =
            whole_history || self.covered_from.is_none_or(|known| read.until >= known);
        if !meets_coverage {
            // The time between the end of this window and the start of the coverage was not read.
            // An end of the list behind this gap is no proof that the gap is empty. The window is
            // therefore not recorded.
            return Self {
                whole_history,
                ..self.clone()
            };
        }
        let mut list_end = self.list_end;
        if read.list_ended && !whole_history {
            let known =
                list_end.filter(|end| end.oldest == read.oldest && end.is_past(read.read_at));
            let seen_at = known.map_or(read.read_at, |end| end.seen_at);
            whole_history = known.is_some() && read.read_at >= seen_at + CONFIRM_AFTER;
            list_end = (!whole_history).then_some(ListEnd {
                oldest: read.oldest,
                seen_at,
            });
        } else if list_end.is_some_and(|end| end.oldest.is_none_or(|oldest| from < oldest)) {
            // The window contains a record that is older than the known end of the list.
            list_end = None;
        }
        let is_read_between = read.list_ended && whole_history;
        let mut earlier = self.earlier;
        let (covered_from, covered_until) = match (self.covered_from, self.covered_until) {
            (Some(known_from), Some(known_until)) if from <= known_until || is_read_between => {
                (known_from.min(from), known_until.max(read.until))
            }
            (Some(known_from), Some(known_until)) => {
                // The time between the end of the coverage and the start of this window was not
                // read.
                if !read.list_ended {
                    whole_history = false;
                    list_end = None;
                }
                let kept_span = CoveredSpan::behind_gap(known_from, known_until);
                earlier = match (earlier, kept_span) {
                    (Some(one), Some(other)) => Some(one.longer(other)),
                    (one, other) => one.or(other),
                };
                (from, read.until)
            }
            _ => (from, read.until),
        };
        let updated = Self {
            covered_from: Some(covered_from),
            covered_until: Some(covered_until),
            whole_history,
            list_end,
            ..self.clone()
        };
        updated.with_earlier(earlier)
    }
}

/// Time of the last complete read up to the present for each data type, in the order of
/// [`DataType::ALL`]; `None` if there was no such read.
pub type LastReads = [Option<DateTime<Utc>>; 4];

/// Returns the time of the last complete read up to the present for each data type.
///
/// The time is `None` for a data type that has no entry in `coverage` or was never read.
pub fn last_reads(coverage: &[Coverage]) -> LastReads {
    DataType::ALL.map(|data_type| {
        let mut known = coverage.iter().filter(|entry| entry.data_type == data_type);
        known.find_map(|entry| entry.last_sync_at)
    })
}

/// Returns the start and the end of a local date. `offset_seconds` is the offset from UTC in
/// seconds, positive to the east.
///
/// The span is always 24 hours long: WHOOP's records contain offsets and not time zones, so the
/// offset does not change within a date.
pub fn span_of_date(date: NaiveDate, offset_seconds: i32) -> (DateTime<Utc>, DateTime<Utc>) {
    let midnight =
        date.and_time(NaiveTime::MIN).and_utc() - TimeDelta::seconds(i64::from(offset_seconds));
    (midnight, midnight + TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    /// Creates the result of reading a page that contains a record at hour `oldest` and has a
    /// following page.
    fn page(oldest: i64, until: i64) -> WindowRead {
        WindowRead {
            until: at(until),
            oldest: Some(at(oldest)),
            list_ended: false,
            read_at: at(until),
        }
    }

    /// Creates the result of reading the last page of a list at hour `read_at`.
    fn last_page(oldest: Option<i64>, until: i64, read_at: i64) -> WindowRead {
        WindowRead {
            until: at(until),
            oldest: oldest.map(at),
            list_ended: true,
            read_at: at(read_at),
        }
    }

    fn covered(from: i64, until: i64) -> Coverage {
        Coverage::empty(DataType::Sleep).with_read(page(from, until))
    }

    #[test]
    fn spans_that_touch_become_one() {
        let both = covered(10, 20).with_read(page(20, 30));

        assert!(both.contains(at(10), at(30)));
        assert!(!both.contains(at(9), at(30)));
        assert!(!both.contains(at(10), at(31)));
    }

    #[test]
    fn a_gap_between_two_spans_is_not_covered() {
        let after_a_gap = covered(10, 20).with_read(page(25, 30));
        assert!(!after_a_gap.contains(at(10), at(30)));
        assert!(after_a_gap.contains(at(25), at(30)));

        let before_a_gap = covered(25, 30).with_read(page(10, 20));
        assert!(!before_a_gap.contains(at(10), at(20)));
        assert!(before_a_gap.contains(at(25), at(30)));
    }

    #[test]
    fn an_end_of_the_list_is_confirmed_when_it_is_seen_on_another_day() {
        let seen_once = covered(10, 20).with_read(last_page(Some(5), 10, 20));
        assert!(seen_once.contains(at(5), at(20)));
        assert!(!seen_once.contains(at(4), at(20)));
        assert!(seen_once.was_listed(at(-90_000), at(20)));

        let too_early = seen_once.with_read(last_page(Some(5), 5, 39));
        assert!(!too_early.whole_history);

        let another_day = too_early.with_read(last_page(Some(5), 5, 40));
        assert!(another_day.contains(at(-90_000), at(20)));
        assert_eq!(another_day.list_end, None);
    }

    #[test]
    fn a_different_end_of_the_list_restarts_the_confirmation() {
        let seen_once = covered(10, 20).with_read(last_page(Some(5), 10, 20));

        let another_end = seen_once.with_read(last_page(Some(3), 5, 50));

        assert!(!another_end.whole_history);
        assert!(another_end.contains(at(3), at(20)));
        assert_eq!(another_end.list_end.unwrap().seen_at, at(50));
    }

    #[test]
    fn a_further_page_discards_the_end_of_the_list() {
        let seen_once = covered(10, 20).with_read(last_page(Some(5), 10, 20));

        let next_page = seen_once.with_read(page(2, 5));

        assert_eq!(next_page.list_end, None);
        assert!(next_page.contains(at(2), at(20)));
    }

    #[test]
    fn one_empty_answer_covers_nothing() {
        let seen_once = Coverage::empty(DataType::Workout).with_read(last_page(None, 20, 20));
        assert!(!seen_once.contains(at(19), at(20)));
        assert!(seen_once.was_listed(at(0), at(20)));

        let another_day = seen_once.with_read(last_page(None, 44, 44));
        assert!(another_day.contains(at(-90_000), at(44)));
    }

    #[test]
    fn a_record_before_the_start_of_history_resets_the_whole_history() {
        let complete = covered(10, 20)
            .with_read(last_page(Some(10), 11, 20))
            .with_read(last_page(Some(10), 11, 40));
        assert!(complete.whole_history);

        let older = complete.with_read(page(2, 50));

        assert!(!older.whole_history);
        assert!(older.contains(at(2), at(50)));
    }

    #[test]
    fn a_gap_after_the_whole_history_is_not_covered() {
        let complete = covered(10, 20)
            .with_read(last_page(Some(10), 11, 20))
            .with_read(last_page(Some(10), 11, 40));
        assert!(complete.whole_history);

        let after_gap = complete.with_read(page(60, 70));

        assert!(!after_gap.contains(at(30), at(70)));
        assert!(after_gap.contains(at(60), at(70)));
    }

    #[test]
    fn a_record_before_the_start_of_history_does_not_cover_the_time_between() {
        let complete = covered(100, 120)
            .with_read(last_page(Some(100), 101, 120))
            .with_read(last_page(Some(100), 101, 140));

        let on_demand = complete.with_read(page(2, 50));

        assert!(!on_demand.whole_history);
        assert!(!on_demand.contains(at(50), at(120)));
        assert!(on_demand.contains(at(100), at(120)));
    }

    /// Example: a member who never trains, so that every run of the day reads the same empty list
    /// of workouts.
    #[test]
    fn an_empty_list_that_is_read_several_times_a_day_is_confirmed_a_day_later() {
        let mut known = Coverage::empty(DataType::Workout);
        for hour in [8, 14, 20, 23] {
            known = known.with_read(last_page(None, hour, hour));
            assert!(!known.whole_history, "at {hour} o'clock of the first day");
        }

        let next_day = known.with_read(last_page(None, 32, 32));

        assert!(next_day.contains(at(-90_000), at(32)));
    }

    /// Example: an app asks for a member's first days before the backfill has read the time between
    /// those days and the coverage.
    #[test]
    fn an_end_of_the_list_behind_a_gap_is_not_the_start_of_history() {
        let recent = covered(700, 720);

        let once = recent.with_read(last_page(Some(5), 50, 720));
        let another_day = once.with_read(last_page(Some(5), 50, 750));

        for known in [once, another_day] {
            assert_eq!(known, recent);
        }
    }

    #[test]
    fn an_end_of_the_list_that_was_seen_in_the_future_is_ignored() {
        let seen_once = covered(10, 20).with_read(last_page(Some(5), 10, 1_000));

        assert!(!seen_once.has_recent_list_end(at(30)));
        let again = seen_once.with_read(last_page(Some(5), 5, 40));
        assert_eq!(again.list_end.unwrap().seen_at, at(40));
    }

    #[test]
    fn the_first_record_after_a_confirmed_empty_list_leaves_no_gap() {
        let without_workouts = Coverage::empty(DataType::Workout)
            .with_read(last_page(None, 20, 20))
            .with_read(last_page(None, 44, 44));

        let first_workout = without_workouts.with_read(last_page(Some(60), 70, 70));

        assert!(first_workout.contains(at(0), at(70)));
    }

    #[test]
    fn a_date_at_an_offset_starts_earlier_in_the_east() {
        let date = NaiveDate::from_ymd_opt(2025, 1, 20).unwrap();

        let (from, until) = span_of_date(date, 2 * 3600);

        assert_eq!(from.to_rfc3339(), "2025-01-19T22:00:00+00:00");
        assert_eq!(until.to_rfc3339(), "2025-01-20T22:00:00+00:00");
    }

    #[test]
    fn a_long_absence_keeps_what_was_read_before_it() {
        let before_absence = covered(0, 1_000);

        let after_absence = before_absence.with_read(page(5_000, 5_100));

        assert!(after_absence.contains(at(5_000), at(5_100)));
        assert!(after_absence.contains(at(0), at(496)));
        // WHOOP may have changed the records of the last three weeks before the absence after they
        // were read.
        assert!(!after_absence.contains(at(496), at(497)));
        assert!(!after_absence.contains(at(400), at(5_050)));
        let with_list_end = Coverage {
            list_end: Some(ListEnd {
                oldest: None,
                seen_at: at(5_100),
            }),
            ..after_absence.clone()
        };
        assert!(!with_list_end.was_listed(at(2_000), at(2_024)));
        assert!(with_list_end.was_listed(at(0), at(24)));

        let filled = after_absence.with_read(page(497, 5_000));
        assert!(!filled.contains(at(496), at(497)));
        let joined = after_absence.with_read(page(496, 5_000));
        assert_eq!(joined.earlier, None);
        assert!(joined.contains(at(0), at(5_100)));
    }

    #[test]
    fn a_second_absence_keeps_the_longer_of_the_older_spans() {
        let twice = |first: i64, second: i64| {
            let after_absence = covered(0, first).with_read(page(5_000, 5_000 + second));
            after_absence.with_read(page(9_000, 9_100))
        };

        let long_ago = twice(3_000, 1_000);
        assert!(long_ago.contains(at(0), at(2_496)));
        assert!(!long_ago.contains(at(5_000), at(5_001)));

        let lately = twice(1_000, 3_000);
        assert!(!lately.contains(at(0), at(1)));
        assert!(lately.contains(at(5_000), at(7_496)));
    }

    #[test]
    fn a_gap_resets_the_whole_history_until_it_is_filled() {
        let complete = covered(100, 1_000)
            .with_read(last_page(Some(100), 101, 1_000))
            .with_read(last_page(Some(100), 101, 1_020));
        let after_absence = complete.with_read(page(5_000, 5_100));

        assert!(!after_absence.whole_history && !after_absence.contains(at(0), at(50)));
        assert!(after_absence.contains(at(100), at(496)));

        // A member can be without a record for that long only in the list of workouts. WHOOP's list
        // contains the workout at hour 100 and none after it, so the time in between is covered,
        // too.
        let list_ended = complete.with_read(last_page(Some(100), 5_100, 5_100));
        assert!(list_ended.contains(at(0), at(5_100)));
    }

    #[test]
    fn an_earlier_span_that_an_older_version_reached_is_joined() {
        let span = CoveredSpan {
            from: at(10),
            until: at(100),
        };

        let behind = covered(200, 300).with_earlier(Some(span));
        assert_eq!(behind.earlier, Some(span));
        let reached = covered(90, 300).with_earlier(Some(span));
        assert_eq!(
            (reached.covered_from, reached.earlier),
            (Some(at(10)), None)
        );
        let forgotten = Coverage::empty(DataType::Sleep).with_earlier(Some(span));
        assert_eq!(forgotten, Coverage::empty(DataType::Sleep));
    }

    /// Hour at which the member's first record in the model begins.
    const FIRST: i64 = 400;

    /// Maximum hour that any step of the model can reach.
    const LAST: i64 = 12_000;

    /// Model of a data type: its coverage, and for each hour whether the hour was really read.
    struct CoverageModel {
        now: i64,
        coverage: Coverage,
        read: Vec<bool>,
    }

    impl CoverageModel {
        fn new() -> Self {
            Self {
                now: 6_000,
                coverage: Coverage::empty(DataType::Sleep),
                read: vec![false; usize::try_from(LAST).unwrap() + 2_000],
            }
        }

        /// Reads the hours from `from` to `until`.
        ///
        /// If the read reaches the first record, WHOOP's list contains nothing older, and all
        /// earlier hours count as read.
        fn read(&mut self, from: i64, until: DateTime<Utc>) {
            let until_hour = (until - at(0)).num_hours();
            let from = from.min(until_hour);
            let list_ended = from <= FIRST;
            self.coverage = self.coverage.with_read(WindowRead {
                until,
                oldest: (until_hour >= FIRST).then_some(at(from.max(FIRST))),
                list_ended,
                read_at: at(self.now),
            });
            let from = if list_ended { 0 } else { from };
            for hour in from..until_hour {
                self.read[usize::try_from(hour).unwrap()] = true;
            }
        }

        fn step(&mut self, step: ModelStep) {
            match step {
                ModelStep::Window { later, reach } => {
                    self.now += later;
                    self.read(self.now - reach, at(self.now));
                }
                ModelStep::History { reach } => {
                    if let Some(window) = plan::backfill_window(&self.coverage, None, at(self.now))
                    {
                        let from = (window.end - at(0)).num_hours() - reach;
                        self.read(from, window.end);
                    }
                }
                ModelStep::OldDay { age } => {
                    let until = self.now - age;
                    self.read(until - 60, at(until));
                }
            }
        }

        /// Returns an hour that the coverage contains although the hour was not read; `None` if
        /// there is none.
        fn find_unread_covered_hour(&self) -> Option<i64> {
            (0..self.now).find(|hour| {
                self.coverage.contains(at(*hour), at(hour + 1))
                    && !self.read[usize::try_from(*hour).unwrap()]
            })
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum ModelStep {
        Window { later: i64, reach: i64 },
        History { reach: i64 },
        OldDay { age: i64 },
    }

    fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
        let step = prop_oneof![
            (1_i64..100, 40_i64..700).prop_map(|(later, reach)| ModelStep::Window { later, reach }),
            (500_i64..1_000, 40_i64..700)
                .prop_map(|(later, reach)| ModelStep::Window { later, reach }),
            (20_i64..900).prop_map(|reach| ModelStep::History { reach }),
            (0_i64..6_000).prop_map(|age| ModelStep::OldDay { age }),
        ];
        prop::collection::vec(step, 1..7)
    }

    proptest! {
        /// Part of law 3 (late changes arrive): for any reads in any order, the coverage never
        /// contains an unread hour, and the backfill closes every gap.
        #[test]
        fn an_unread_hour_is_never_covered(steps in steps()) {
            let mut model = CoverageModel::new();
            for step in &steps {
                model.step(*step);
                prop_assert_eq!(model.find_unread_covered_hour(), None, "after {:?}: {:?}", step, model.coverage);
                if let Some(span) = model.coverage.earlier {
                    prop_assert!(span.from < span.until);
                    prop_assert!(Some(span.until) < model.coverage.covered_from);
                    prop_assert!(!model.coverage.whole_history);
                }
            }

            model.step(ModelStep::Window { later: 1, reach: 100 });
            for _ in 0..200 {
                model.step(ModelStep::History { reach: 600 });
            }
            model.now += 24;
            for _ in 0..2 {
                model.step(ModelStep::History { reach: 600 });
            }
            prop_assert_eq!(model.find_unread_covered_hour(), None);
            prop_assert!(model.coverage.whole_history, "{:?}", model.coverage);
            prop_assert_eq!(model.coverage.earlier, None);
        }
    }
}
