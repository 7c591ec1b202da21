//! Which day a record belongs to: the member's day, wherever they were.
//!
//! - A sleep belongs to the date on which the member woke, read at the sleep's
//!   own offset; a nap to the date of its end, a workout to that of its start.
//! - A cycle and its recovery belong to the waking day of the night that began
//!   them. Without such a sleep: the date twelve hours after the cycle began.
//!
//! Records arrive in any order, so the day of a cycle is worked out anew from
//! all that is stored whenever one of its records is written. The result is a
//! function of the set, not of the order.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{
    CycleId, SleepId,
    offset::local_date,
    record::{Sleep, Workout},
};

/// Where a cycle has no sleep to tell its waking day, it is dated by the
/// middle of its first day: begun at 23:00, it is tomorrow's.
const TO_THE_MIDDLE_OF_THE_DAY: TimeDelta = TimeDelta::hours(12);

/// What dates a sleep, and through it a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SleepTimes {
    pub id: SleepId,
    pub cycle_id: Option<CycleId>,
    pub start: DateTime<Utc>,
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    pub nap: bool,
    /// Time asleep, or in bed where that is not scored.
    pub weight: TimeDelta,
}

impl From<&Sleep> for SleepTimes {
    fn from(sleep: &Sleep) -> Self {
        Self {
            id: sleep.id.clone(),
            cycle_id: sleep.cycle_id,
            start: sleep.start,
            end: sleep.end,
            timezone_offset: sleep.timezone_offset.clone(),
            nap: sleep.is_nap(),
            weight: sleep.weight(),
        }
    }
}

/// What dates a cycle that has no sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleTimes {
    pub id: CycleId,
    pub start: DateTime<Utc>,
    pub timezone_offset: Option<String>,
}

/// What ties a recovery to its night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryTies {
    pub cycle_id: CycleId,
    pub sleep_id: SleepId,
    pub created_at: DateTime<Utc>,
}

/// The day of a cycle and of its recovery, and the offset it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub local_date: NaiveDate,
    pub timezone_offset: Option<String>,
}

/// The day of a sleep or nap: that of its end.
///
/// A sleep that WHOOP sends without an end is dated as a cycle would be.
pub fn of_sleep(sleep: &SleepTimes) -> NaiveDate {
    let woke = sleep.end.unwrap_or(sleep.start + TO_THE_MIDDLE_OF_THE_DAY);
    local_date(woke, sleep.timezone_offset.as_deref())
}

/// The day of a workout: that of its start, also when it ends after midnight.
pub fn of_workout(workout: &Workout) -> NaiveDate {
    local_date(workout.start, workout.timezone_offset.as_deref())
}

/// The day of a cycle and its recovery, from what is stored of both.
///
/// `sleeps` may hold any sleeps of the member; those of other cycles are
/// passed over. `None` only if neither record is given.
pub fn of_cycle(
    cycle: Option<&CycleTimes>,
    recovery: Option<&RecoveryTies>,
    sleeps: &[SleepTimes],
) -> Option<Anchor> {
    let id = cycle
        .map(|cycle| cycle.id)
        .or(recovery.map(|recovery| recovery.cycle_id))?;
    if let Some(sleep) = night_of(id, recovery, sleeps) {
        return Some(Anchor {
            local_date: of_sleep(sleep),
            timezone_offset: sleep.timezone_offset.clone(),
        });
    }
    if let Some(cycle) = cycle {
        return Some(Anchor {
            local_date: local_date(
                cycle.start + TO_THE_MIDDLE_OF_THE_DAY,
                cycle.timezone_offset.as_deref(),
            ),
            timezone_offset: cycle.timezone_offset.clone(),
        });
    }
    // A recovery that came before its sleep and its cycle: a stand-in until
    // either arrives. WHOOP creates it at upload, hours after waking at worst.
    recovery.map(|recovery| Anchor {
        local_date: local_date(recovery.created_at, None),
        timezone_offset: None,
    })
}

/// The night that began a cycle: the one its recovery was judged from, else
/// the main sleep with the most time asleep, the later one if equal.
fn night_of<'a>(
    id: CycleId,
    recovery: Option<&RecoveryTies>,
    sleeps: &'a [SleepTimes],
) -> Option<&'a SleepTimes> {
    let named = recovery.and_then(|recovery| {
        sleeps
            .iter()
            .find(|sleep| sleep.id == recovery.sleep_id && !sleep.nap)
    });
    named.or_else(|| {
        sleeps
            .iter()
            .filter(|sleep| sleep.cycle_id == Some(id) && !sleep.nap)
            .max_by_key(|sleep| (sleep.weight, sleep.start, sleep.id.0.as_str()))
    })
}
