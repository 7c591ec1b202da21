//! Which calls to make: from what is known of a member to windows to read.
//!
//! A call costs the same for one record as for 25, so a window asks for as far
//! back as one full page goes and goes on only as far as it must.

pub mod roster;
pub mod visits;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{
    DataType,
    coverage::{Coverage, span_of},
};

/// WHOOP's maximum; asking for more is a 400, not a clamp.
pub const PAGE_SIZE: usize = 25;

/// How far back any window may ask; a full page of nights goes about as far.
///
/// WHOOP rescores and edits nights for days after they end, and `start` filters
/// by when a thing happened, so a window that began where the last one stopped
/// would keep the first, wrong score.
pub const LOOK_BACK: TimeDelta = TimeDelta::days(21);

/// What every window reads, however full the pages are.
const LEAST_LOOK_BACK: TimeDelta = TimeDelta::hours(48);

/// What a night run reads.
const LEAST_LOOK_BACK_AT_NIGHT: TimeDelta = TimeDelta::days(7);

/// What is read the moment a member connects.
pub const FIRST_SYNC: TimeDelta = TimeDelta::days(30);

/// A night that ends on a date may begin a day and a half before it does, at
/// any offset.
const NIGHT_BEFORE: TimeDelta = TimeDelta::hours(36);

/// What to read of one type.
///
/// Pages come newest first. Reading ends with WHOOP's last page, or once a
/// page reaches back past `must_reach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// WHOOP's `start`; `None` asks for everything.
    pub start: Option<DateTime<Utc>>,
    /// Reading may stop at the end of a page that reaches back to here.
    pub must_reach: Option<DateTime<Utc>>,
    /// WHOOP's `end`, the same for every page of the walk.
    pub end: DateTime<Utc>,
}

impl Window {
    /// The calls that reading this takes, for a member with a record a day: a
    /// full page goes back about as far as [`LOOK_BACK`].
    pub fn calls(&self) -> u32 {
        let must_reach = self.must_reach.unwrap_or(self.end);
        let pages = (self.end - must_reach).num_seconds() / LOOK_BACK.num_seconds();
        u32::try_from(pages).unwrap_or(0).saturating_add(1)
    }
}

/// The four runs of a day.
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

    /// What changes most since the slot before: nights in the morning,
    /// activity through the day, everything once at night.
    pub const fn data_types(self) -> &'static [DataType] {
        match self {
            Self::Morning => &[DataType::Recovery, DataType::Sleep],
            Self::Afternoon | Self::Evening => &[DataType::Workout, DataType::Cycle],
            Self::Night => &DataType::ALL,
        }
    }

    /// The slot whose hour (08, 14, 20, 23) was the last to strike.
    pub const fn at_hour(local_hour: u32) -> Self {
        match local_hour {
            8..=13 => Self::Morning,
            14..=19 => Self::Afternoon,
            20..=22 => Self::Evening,
            _ => Self::Night,
        }
    }

    const fn least_look_back(self) -> TimeDelta {
        match self {
            Self::Night => LEAST_LOOK_BACK_AT_NIGHT,
            _ => LEAST_LOOK_BACK,
        }
    }
}

/// The window of a scheduled run, or of a member who is waiting (no slot).
///
/// It overlaps what was read before, so no hole opens after days without a
/// run, and reaches back to the oldest record that still waits for its score.
pub fn window(
    slot: Option<Slot>,
    coverage: &Coverage,
    oldest_pending: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Window {
    let least = slot.map_or(LEAST_LOOK_BACK, Slot::least_look_back);
    let Some(covered_until) = coverage.covered_until else {
        return first_window(now);
    };
    let mut must_reach = (now - least).min(covered_until - LEAST_LOOK_BACK);
    if let Some(pending) = oldest_pending.filter(|&start| start > now - LOOK_BACK) {
        must_reach = must_reach.min(pending);
    }
    Window {
        start: Some((now - LOOK_BACK).min(must_reach)),
        must_reach: Some(must_reach),
        end: now,
    }
}

/// What is read of a type the first time: the last 30 days.
pub fn first_window(now: DateTime<Utc>) -> Window {
    let start = now - FIRST_SYNC;
    Window {
        start: Some(start),
        must_reach: Some(start),
        end: now,
    }
}

/// The next stretch of history: one page older than what is covered.
///
/// Each page is a walk of its own that ends just after the oldest instant
/// known, so a back-fill resumes wherever it was stopped, and records that
/// shift between pages cannot open a hole. `None` when nothing older is left,
/// or is kept.
pub fn history(coverage: &Coverage, kept_from: Option<DateTime<Utc>>) -> Option<Window> {
    if coverage.whole_history {
        return None;
    }
    let covered_from = coverage.covered_from?;
    if kept_from.is_some_and(|kept| covered_from <= kept) {
        return None;
    }
    let end = covered_from + TimeDelta::milliseconds(1);
    // Any page reaches back past its own end, so one page is always enough.
    Some(Window {
        // The night before belongs to the first day that is kept.
        start: kept_from.map(|kept| kept - NIGHT_BEFORE),
        must_reach: Some(end),
        end,
    })
}

/// How much a request for a day may ask of WHOOP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// What is missing or out of date.
    #[default]
    Auto,
    /// Nothing.
    Never,
    /// Everything that belongs to the day.
    Force,
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
        let (from, until) = span_of(self.date, self.offset_seconds);
        if self.is_live() {
            let asked = coverage.last_sync_at.unwrap_or(from).min(self.now);
            self.is_fresh(coverage) && coverage.contains(from.min(asked), asked.min(until))
        } else {
            coverage.contains(from, until)
        }
    }

    /// Whether the type was read within the freshness interval.
    pub fn is_fresh(&self, coverage: &Coverage) -> bool {
        coverage
            .last_sync_at
            .is_some_and(|last| self.now - last < self.freshness)
    }

    /// The windows to read before answering; usually none.
    pub fn calls(&self, coverage: &[Coverage]) -> Vec<(DataType, Window)> {
        coverage
            .iter()
            .filter(|one| match self.refresh {
                Refresh::Never => false,
                Refresh::Force => true,
                Refresh::Auto if self.is_live() => !self.is_fresh(one),
                Refresh::Auto => self.is_recent() && !self.is_known(one),
            })
            .map(|one| (one.data_type, self.window(one)))
            .collect()
    }

    fn window(&self, coverage: &Coverage) -> Window {
        let (from, until) = span_of(self.date, self.offset_seconds);
        let from = from - NIGHT_BEFORE;
        if !self.is_recent() {
            // An old day on demand is read for itself alone.
            let end = (until + NIGHT_BEFORE).min(self.now);
            return Window {
                start: Some(from),
                must_reach: Some(from),
                end,
            };
        }
        let mut window = window(None, coverage, None, self.now);
        if coverage.covered_until.is_none() {
            // Somebody waits: one page now, the rest of the first month later.
            window.must_reach = Some(self.now - LEAST_LOOK_BACK);
        }
        window.must_reach = window.must_reach.map(|reach| {
            if coverage.contains(from, until.min(self.now)) {
                reach
            } else {
                reach.min(from)
            }
        });
        window
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-20T12:00:00Z")
            .unwrap()
            .to_utc()
    }

    fn read_at(last: DateTime<Utc>, back: TimeDelta) -> Coverage {
        let mut coverage = Coverage::none(DataType::Sleep).with(last - back, last, false);
        coverage.last_sync_at = Some(last);
        coverage
    }

    fn query(date: &str, refresh: Refresh) -> DayQuery {
        DayQuery {
            date: date.parse().unwrap(),
            today: "2026-03-20".parse().unwrap(),
            offset_seconds: 3600,
            now: noon(),
            freshness: TimeDelta::minutes(15),
            refresh,
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
    fn a_window_reaches_back_over_the_days_that_no_run_read() {
        let away = read_at(noon() - TimeDelta::days(60), TimeDelta::days(30));

        let window = window(Some(Slot::Morning), &away, None, noon());

        assert_eq!(window.start, Some(noon() - TimeDelta::days(62)));
        assert_eq!(window.must_reach, window.start);
    }

    #[test]
    fn a_window_costs_one_call_for_every_three_weeks() {
        let cost = |days| {
            let must_reach = Some(noon() - TimeDelta::days(days));
            let window = Window {
                start: must_reach,
                must_reach,
                end: noon(),
            };
            window.calls()
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

        let window = window(Some(Slot::Morning), &yesterday, Some(pending), noon());

        assert_eq!(window.must_reach, Some(pending));
    }

    proptest! {
        /// Law 3: 48 hours at the least, 7 days at night, and no hole.
        #[test]
        fn every_window_looks_back_and_joins_what_was_read_before(
            minutes_ago in 0_i64..200_000,
            slot in prop::sample::select(vec![None, Some(Slot::Morning), Some(Slot::Evening), Some(Slot::Night)]),
        ) {
            let last = noon() - TimeDelta::minutes(minutes_ago);
            let window = window(slot, &read_at(last, TimeDelta::days(30)), None, noon());
            let reach = window.must_reach.unwrap();

            prop_assert!(reach <= noon() - TimeDelta::hours(48));
            prop_assert!(reach <= last);
            if slot == Some(Slot::Night) {
                prop_assert!(reach <= noon() - TimeDelta::days(7));
            }
            prop_assert!(window.start.unwrap() <= reach);
            prop_assert_eq!(window.end, noon());
        }
    }
}
