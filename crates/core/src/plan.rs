//! Planning of reads: determines the windows to read from the state of a member.
//!
//! A call costs the same for 1 record as for 25 records. A window therefore begins as far back as
//! one full page usually reaches, and further pages are read only if they are necessary.

pub mod app_opens;
pub mod day_query;
pub mod run;
pub mod selection;
pub mod webhook_signals;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use day_query::{DayQuery, NightState, RefreshMode};

use crate::{DataType, coverage::Coverage};

/// Number of records per page. This is WHOOP's maximum; WHOOP answers a greater `limit` with status
/// 400.
pub const PAGE_SIZE: usize = 25;

/// Maximum look-back: 21 days before the present. A window is extended back to the end of the
/// coverage, or to a pending score, only within this time. A full page of 25 nights spans about the
/// same time.
///
/// WHOOP scores and edits nights again for days after they ended, and WHOOP's lists can be filtered
/// only by the time of the event and not by the time of the change. A window that began where the
/// previous window ended would therefore miss later scores.
pub const LOOK_BACK: TimeDelta = TimeDelta::days(21);

/// Minimum look-back of every window: 48 hours. Further pages are read if the first page is full
/// and does not reach back as far.
pub(crate) const MIN_LOOK_BACK: TimeDelta = TimeDelta::hours(48);

/// Minimum look-back of the windows of a night run: 7 days.
const MIN_LOOK_BACK_AT_NIGHT: TimeDelta = TimeDelta::days(7);

/// Maximum number of records of one data type that one sync requests by their ids.
///
/// These are records with a pending score that are older than [`LOOK_BACK`], so that no window
/// contains them. Ten records cover a week of missing scores without using much of the quota.
pub const MAX_READS_BY_ID: usize = 10;

/// Length of the history that is read after a member connects, before any scheduled run: 30 days.
pub const BACKFILL_AFTER_CONNECT: TimeDelta = TimeDelta::days(30);

/// Maximum time between the beginning of a night and midnight at the start of the date on which the
/// night ends, at any UTC offset: 36 hours.
pub(crate) const NIGHT_MARGIN: TimeDelta = TimeDelta::hours(36);

/// Time span of one WHOOP list that is read.
///
/// Pages are ordered newest first. The read ends with the page that contains a record older than
/// `must_reach`, or with WHOOP's last page. Requests never contain WHOOP's parameter `start`,
/// because a page costs the same without it, and because only a record older than the window proves
/// that no record of the window is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadWindow {
    /// Start of the window: every record that began at or after this time is read.
    pub must_reach: DateTime<Utc>,
    /// End of the window: only records that began before this time are read.
    pub end: DateTime<Utc>,
}

impl ReadWindow {
    /// Returns the expected number of calls to read the window, for a member with one record per
    /// day.
    ///
    /// Each page is one call, and a full page reaches back about as far as [`LOOK_BACK`].
    pub fn expected_calls(&self) -> u32 {
        let pages = (self.end - self.must_reach).num_seconds() / LOOK_BACK.num_seconds();
        u32::try_from(pages).unwrap_or(0).saturating_add(1)
    }
}

/// Reason for a read from WHOOP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadReason {
    /// The data type of the member was never read before.
    NeverRead,
    /// A scheduled run reads the data type at its fixed time of day (slot).
    Slot,
    /// The member is unlikely to open the app and was not selected in recent runs. All data types
    /// of such a member are read at least every two weeks.
    Fortnight,
    /// An operator or an app requested the read explicitly: by naming the member or a date, or as a
    /// forced read.
    Asked,
    /// A webhook announced a change of the data type.
    Webhook,
    /// The requested day may still change, and the stored data is older than the freshness
    /// interval.
    Stale,
    /// The requested day was never read completely, or a record of the day names a record that is
    /// not stored.
    Missing,
}

/// Read of a window of one data type, which takes one or more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    pub data_type: DataType,
    pub window: ReadWindow,
    pub reason: ReadReason,
}

impl ReadRequest {
    /// Returns the expected number of calls for the read; see [`ReadWindow::expected_calls`].
    pub fn expected_calls(&self) -> u32 {
        self.window.expected_calls()
    }
}

/// Time of day of a scheduled run (slot). A day has four slots.
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

    /// Returns the data types that a run of this slot reads.
    ///
    /// These are the data types that usually changed since the previous slot: sleep and recovery in
    /// the morning, activity in the afternoon and the evening, and all data types at night.
    pub const fn data_types(self) -> &'static [DataType] {
        match self {
            Self::Morning => &[DataType::Recovery, DataType::Sleep],
            Self::Afternoon | Self::Evening => &[DataType::Workout, DataType::Cycle],
            Self::Night => &DataType::ALL,
        }
    }

    /// Returns the local hour at which the run of this slot begins by default.
    pub const fn hour(self) -> u32 {
        match self {
            Self::Morning => 8,
            Self::Afternoon => 14,
            Self::Evening => 20,
            Self::Night => 23,
        }
    }

    /// Returns the slot whose run began most recently before or at this local hour.
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

/// Returns the window to read in a scheduled run, or for an app request if `slot` is `None`.
///
/// The window overlaps the coverage, which is the time span that was read completely, so that no
/// gap remains after some days without a run. The window also reaches back to the oldest record
/// with a pending score. An end of the coverage or a pending score that is more than [`LOOK_BACK`]
/// ago does not extend the window.
///
/// After a longer absence, and for a data type that was never read, the window contains only the
/// newest days, and the backfill ([`backfill_window`]) reads the time before them. A window
/// therefore never costs more than about two pages.
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

/// Returns the window of the next page of history that the backfill reads. The window ends just
/// after the start of the coverage, so that an interrupted backfill continues where it stopped.
///
/// If a long absence left a gap between two covered spans, the gap is read first, beginning at its
/// newer end. When a page reaches the older span, the two spans are joined.
///
/// Returns `None` if WHOOP has no older records, if older records would be outside the retention
/// period (`kept_from`), if WHOOP's list ended and only a read on another day can confirm this end,
/// or if the data type was never read.
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
    // The page contains the record at `covered_from`, which is older than `must_reach`. The read
    // therefore ends after one page.
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
        // The last three weeks before the absence are read again together with the gap.
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
        /// Part of law 3 (late changes arrive): a window reaches back at least 48 hours, or 7 days
        /// at night, and leaves no gap after an absence of up to three weeks.
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
