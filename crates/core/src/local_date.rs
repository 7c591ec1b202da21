//! Local date of a single record, determined from this record alone.
//!
//! - A sleep or nap belongs to the date on which it ends, at its own UTC offset.
//! - A workout belongs to the date on which it starts, even if it ends after midnight.
//! - A cycle without a main sleep belongs to the date of the time `start + min(12 h, length / 2)`.
//!
//! A cycle with a main sleep takes its date from this sleep, and a recovery has the date of its
//! cycle. These dates depend on other records; [`crate::date_assignment`] determines them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{offset::local_date, record::Workout};

/// Half the length of a usual cycle: 12 hours.
///
/// The date of a running cycle is the date 12 hours after its start. A cycle that begins at 23:00
/// therefore belongs to the next date.
const HALF_A_DAY: TimeDelta = TimeDelta::hours(12);

/// Returns the local date of a sleep or nap: the date on which it ends.
///
/// If WHOOP sent no end, the date is the date 12 hours after the start.
pub fn of_sleep(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    local_date(end.unwrap_or(start + HALF_A_DAY), timezone_offset)
}

/// Returns the local date of a workout: the date on which it starts.
pub fn of_workout(workout: &Workout) -> NaiveDate {
    local_date(workout.start, workout.timezone_offset.as_deref())
}

/// Returns the local date of a cycle without a main sleep: the date of the middle of the cycle.
///
/// The date is never later than the date 12 hours after the start of the cycle. This rule gives the
/// right date for all 81 cycles without a main sleep in the data exports of eight members.
pub fn of_sleepless_cycle(
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
    timezone_offset: Option<&str>,
) -> NaiveDate {
    let half = end.map_or(HALF_A_DAY, |end| (end - start) / 2);
    let middle = start + half.clamp(TimeDelta::zero(), HALF_A_DAY);
    local_date(middle, timezone_offset)
}
