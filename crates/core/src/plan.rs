//! Planning of reads: derives the windows to read from the state of a member.
//!
//! A call costs the same for 1 record as for 25. So a window begins as far back as a full page
//! usually reaches, and further pages are read only if necessary.

pub mod app_opens;
pub mod day_query;
pub mod run;
pub mod selection;
pub mod webhook_signals;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use day_query::{DayQuery, NightState, RefreshMode};

use crate::{DataType, coverage::Coverage};

/// Page size: WHOOP's maximum. WHOOP answers a greater limit with a 400.
pub const PAGE_SIZE: usize = 25;

/// Maximum look-back of a window; a full page of nights reaches about as far.
///
/// WHOOP scores and edits nights again for days after they end, and its `start` parameter filters
/// by the time of the event. A window that began at the end of the previous one would therefore
/// miss later scores.
pub const LOOK_BACK: TimeDelta = TimeDelta::days(21);

/// Minimum look-back of every window, even if the first page is full before it.
pub(crate) const MIN_LOOK_BACK: TimeDelta = TimeDelta::hours(48);

/// Minimum look-back of the windows of a night run.
const MIN_LOOK_BACK_AT_NIGHT: TimeDelta = TimeDelta::days(7);

/// Maximum number of records of a data type that one sync requests by id.
///
/// These are records with a pending score that are older than [`LOOK_BACK`]. The maximum covers a week
/// of missing scores without using much of the quota.
pub const MAX_READS_BY_ID: usize = 10;

/// Length of the history that is read after a connect, before any scheduled run.
pub const BACKFILL_AFTER_CONNECT: TimeDelta = TimeDelta::days(30);

/// Maximum time between the beginning of a night and the start of the date on which it ends, at any
/// offset.
pub(crate) const NIGHT_MARGIN: TimeDelta = TimeDelta::hours(36);

/// The part of one list that is read.
///
/// Pages are ordered newest first. The read ends with the page that shows a record older than
/// `must_reach`, or with WHOOP's last page. Requests never have a `start`: a page costs the same
/// without it, and a page that shows an older record proves that no record after that one is
/// missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadWindow {
    /// Start of the window: every record since then is read.
    pub must_reach: DateTime<Utc>,
    /// End of the window: only records that began before then are read.
    pub end: DateTime<Utc>,
}

impl ReadWindow {
    /// Returns the expected number of calls for a member with one record per day: a full page
    /// reaches back about as far as [`LOOK_BACK`].
    pub fn expected_calls(&self) -> u32 {
        let pages = (self.end - self.must_reach).num_seconds() / LOOK_BACK.num_seconds();
        u32::try_from(pages).unwrap_or(0).saturating_add(1)
    }
}

/// The reason for a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadReason {
    /// The data type was never read.
    NeverRead,
    /// The scheduled run of a slot reads the data type.
    Slot,
    /// The member has not opened the app for two weeks.
    Fortnight,
    /// An operator or an app named the member or a date, or requested a forced read.
    Asked,
    /// A webhook announced a change.
    Webhook,
    /// The day may still change, and its stored data is stale.
    Stale,
    /// The day was never read completely.
    Missing,
}

/// A read of one data type, which takes one or more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    pub data_type: DataType,
    pub window: ReadWindow,
    pub reason: ReadReason,
}

impl ReadRequest {
    /// Returns the expected number of calls; see [`ReadWindow::expected_calls`].
    pub fn expected_calls(&self) -> u32 {
        self.window.expected_calls()
    }
}

/// The four scheduled runs of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    Morning,
    Afternoon,
    Evening,
    Night,
}

impl Slot {
    pub const ALL: [Self; 4] = [Self::Morning, Self::Afternoon, Self::Evening, Self::Night];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Morning => "morning",
            Self::Afternoon => "afternoon",
            Self::Evening => "evening",
            Self::Night => "night",
        }
    }

    /// Returns the data types that changed most since the previous slot: sleep and recovery in the
    /// morning, activity during the day, all data types at night.
    pub const fn data_types(self) -> &'static [DataType] {
        match self {
            Self::Morning => &[DataType::Recovery, DataType::Sleep],
            Self::Afternoon | Self::Evening => &[DataType::Workout, DataType::Cycle],
            Self::Night => &DataType::ALL,
        }
    }

    /// Returns the local hour at which the run begins by default.
    pub const fn hour(self) -> u32 {
        match self {
            Self::Morning => 8,
            Self::Afternoon => 14,
            Self::Evening => 20,
            Self::Night => 23,
        }
    }

    /// Returns the slot that began most recently at this local hour.
    pub fn at_hour(local_hour: u32) -> Self {
        let mut latest_first = Self::ALL.into_iter().rev();
        latest_first
            .find(|slot| slot.hour() <= local_hour)
            .unwrap_or(Self::Night)
    }

    const fn min_look_back(self) -> TimeDelta {
        match self {
            Self::Night => MIN_LOOK_BACK_AT_NIGHT,
            _ => MIN_LOOK_BACK,
        }
    }
}

/// Returns the window of a scheduled run, or of an app request (without a slot).
///
/// It overlaps the coverage, so that no gap opens after days without a run, and reaches back to the
/// oldest record with a pending score. After an absence of more than [`LOOK_BACK`] it reads only
/// the newest days, as for a data type that was never read: the backfill ([`backfill_window`])
/// reads the time before them. So no window costs more than about two pages.
pub fn sync_window(
    slot: Option<Slot>,
    coverage: &Coverage,
    oldest_pending: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> ReadWindow {
    let reach = now - LOOK_BACK;
    let mut must_reach = now - slot.map_or(MIN_LOOK_BACK, Slot::min_look_back);
    if let Some(until) = coverage.covered_until.filter(|until| *until >= reach) {
        must_reach = must_reach.min(until - MIN_LOOK_BACK);
    }
    if let Some(pending) = oldest_pending.filter(|&start| start > reach) {
        must_reach = must_reach.min(pending);
    }
    ReadWindow {
        must_reach,
        end: now,
    }
}

/// Returns the next page of history: it ends just behind the start of the coverage, so that a
/// backfill resumes at the point where it stopped.
///
/// A gap after a long absence is filled first, from its newer end. When a page reaches the span
/// behind the gap, the two spans become one.
///
/// Returns `None` if WHOOP has no older records, if older records are not kept, or while the end of
/// WHOOP's list is not confirmed on another day.
pub fn backfill_window(
    coverage: &Coverage,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<ReadWindow> {
    if coverage.whole_history || coverage.has_recent_list_end(now) {
        return None;
    }
    let covered_from = coverage.covered_from?;
    if kept_from.is_some_and(|kept| covered_from <= kept) {
        return None;
    }
    let end = covered_from + TimeDelta::milliseconds(1);
    // The record at `covered_from` is older than this, so one page is enough.
    Some(ReadWindow {
        must_reach: end,
        end,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn noon() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-20T12:00:00Z")
            .unwrap()
            .to_utc()
    }

    pub(super) fn read_at(last: DateTime<Utc>, back: TimeDelta) -> Coverage {
        Coverage {
            last_sync_at: Some(last),
            covered_from: Some(last - back),
            covered_until: Some(last),
            ..Coverage::empty(DataType::Sleep)
        }
    }

    #[test]
    fn a_window_reaches_back_over_the_days_that_no_run_read() {
        let coverage = read_at(noon() - TimeDelta::days(20), TimeDelta::days(30));

        let window = sync_window(Some(Slot::Morning), &coverage, None, noon());

        assert_eq!(window.must_reach, noon() - TimeDelta::days(22));
    }

    #[test]
    fn after_a_long_absence_and_at_the_first_read_only_the_newest_days_are_read() {
        let two_years_ago = noon() - TimeDelta::days(730);
        let absent = read_at(two_years_ago, TimeDelta::days(30));
        let never = Coverage::empty(DataType::Sleep);

        for coverage in [absent, never] {
            let of_slot = |slot| sync_window(slot, &coverage, None, noon());

            assert_eq!(of_slot(None).must_reach, noon() - TimeDelta::hours(48));
            let night = of_slot(Some(Slot::Night));
            assert_eq!(night.must_reach, noon() - TimeDelta::days(7));
        }
    }

    #[test]
    fn the_gap_of_a_long_absence_is_read_before_older_history() {
        let absent = read_at(noon() - TimeDelta::days(100), TimeDelta::days(300));
        let page = |oldest, until| crate::coverage::WindowRead {
            oldest: Some(noon() - TimeDelta::days(oldest)),
            until,
            list_ended: false,
            read_at: noon(),
        };
        let mut known = absent.with_read(page(25, noon()));
        // The three weeks before the absence are read again.
        for oldest in [50, 75, 100, 120, 121] {
            assert!(known.earlier.is_some(), "{oldest}");
            let next = backfill_window(&known, None, noon()).unwrap();
            assert_eq!(
                Some(next.must_reach),
                known
                    .covered_from
                    .map(|from| from + TimeDelta::milliseconds(1))
            );
            known = known.with_read(page(oldest, next.end));
        }

        assert_eq!(known.earlier, None);
        let next = backfill_window(&known, None, noon()).unwrap();
        assert_eq!(
            next.end,
            noon() - TimeDelta::days(400) + TimeDelta::milliseconds(1)
        );
    }

    #[test]
    fn a_window_costs_one_call_for_every_three_weeks() {
        let cost = |days| {
            let window = ReadWindow {
                must_reach: noon() - TimeDelta::days(days),
                end: noon(),
            };
            window.expected_calls()
        };

        assert_eq!(cost(0), 1);
        assert_eq!(cost(7), 1);
        assert_eq!(cost(30), 2);
        assert_eq!(cost(62), 3);
    }

    #[test]
    fn a_window_reaches_back_to_a_score_that_is_still_pending() {
        let yesterday = read_at(noon() - TimeDelta::days(1), TimeDelta::days(30));
        let pending = noon() - TimeDelta::days(10);

        let window = sync_window(Some(Slot::Morning), &yesterday, Some(pending), noon());

        assert_eq!(window.must_reach, pending);
    }

    proptest! {
        /// Law 3: a window reaches back at least 48 hours, 7 days at night, and there is no gap
        /// after an absence of up to three weeks.
        #[test]
        fn every_window_looks_back_leaves_no_gap_and_costs_at_most_two_pages(
            minutes_ago in 0_i64..200_000,
            slot in prop::sample::select(vec![None, Some(Slot::Morning), Some(Slot::Evening), Some(Slot::Night)]),
        ) {
            let last = noon() - TimeDelta::minutes(minutes_ago);
            let window = sync_window(slot, &read_at(last, TimeDelta::days(30)), None, noon());
            let reach = window.must_reach;

            prop_assert!(reach <= noon() - TimeDelta::hours(48));
            prop_assert!(reach <= last - TimeDelta::hours(48) || last < noon() - LOOK_BACK);
            if slot == Some(Slot::Night) {
                prop_assert!(reach <= noon() - TimeDelta::days(7));
            }
            prop_assert_eq!(window.end, noon());
            prop_assert!(window.expected_calls() <= 2);
        }
    }
}
