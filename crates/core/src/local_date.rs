//! Which local date a record belongs to by itself.
//!
//! - A sleep or nap belongs to the date of its end, at its own offset.
//! - A workout belongs to the date of its start, also when it ends after midnight.
//! - A cycle without a main sleep belongs to the date of `start + min(12 h, length / 2)`.
//!
//! A cycle with a main sleep, and every recovery, take their date from the sleep: see
//! [`crate::date_assignment`].

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{offset::local_date, record::Workout};

/// Half of a usual day: a cycle begun at 23:00 belongs to the next date.
const HALF_A_DAY: TimeDelta = TimeDelta::hours(12);

/// The date of a sleep or nap. Without an end it is dated as a running cycle.
pub fn of_sleep(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    local_date(end.unwrap_or(start + HALF_A_DAY), timezone_offset)
}

/// The date of a workout.
pub fn of_workout(workout: &Workout) -> NaiveDate {
    local_date(workout.start, workout.timezone_offset.as_deref())
}

/// The date of a cycle that has no main sleep: that of its middle, at most 12 hours after its
/// start. Of 81 such cycles in eight members' exports this fits all.
pub fn of_sleepless_cycle(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    let half = end.map_or(HALF_A_DAY, |end| (end - start) / 2);
    let middle = start + half.clamp(TimeDelta::zero(), HALF_A_DAY);
    local_date(middle, timezone_offset)
}
