//! Conditions under which calls to WHOOP are delayed or fail.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HOUR_SECONDS: i64 = 60 * 60;

/// Conditions of a simulation: slow token refreshes, members whose calls fail, and outages of
/// WHOOP.
#[derive(Debug, Clone, PartialEq)]
pub struct CallConditions {
    /// Duration of a token refresh. The refresh does not count against the quota, but the calls
    /// that need the new token start later.
    pub refresh_duration: TimeDelta,
    /// Share of the members for whom WHOOP answers every call with a 5xx, 0 to 1.
    pub failing_share: f64,
    pub outages: Vec<Outage>,
}

impl CallConditions {
    /// Returns conditions without failures and without delays by token refreshes.
    pub const fn ideal() -> Self {
        Self {
            refresh_duration: TimeDelta::zero(),
            failing_share: 0.0,
            outages: Vec::new(),
        }
    }
}

impl Default for CallConditions {
    fn default() -> Self {
        Self {
            refresh_duration: TimeDelta::milliseconds(700),
            failing_share: 0.01,
            outages: Vec::new(),
        }
    }
}

/// Outage: a time span in which WHOOP answers every call with a 5xx.
///
/// WHOOP's token endpoint still answers during the outage. This is the case with more calls,
/// because without a valid token no call would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Time from the beginning of the simulation to the beginning of the outage.
    pub begins_after: TimeDelta,
    pub duration: TimeDelta,
}

impl Outage {
    /// Creates an outage of one hour. `day` counts from 1; `hour` is in UTC.
    pub fn one_hour(day: u32, hour: u32) -> Self {
        let days = TimeDelta::days(i64::from(day) - 1);
        Self {
            begins_after: days + TimeDelta::hours(hour.into()),
            duration: TimeDelta::hours(1),
        }
    }

    /// Creates `per_month` outages of one hour per 30 days.
    ///
    /// The simulated days are divided into equal parts with one outage each. The seed determines
    /// the time of the outage within each part.
    pub fn spread_evenly(per_month: u32, days: u32, seed: u64) -> Vec<Self> {
        let count = i64::from(days) * i64::from(per_month) / 30;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let interval = i64::from(days) * 24 * HOUR_SECONDS / count.max(1);
        (0..count)
            .map(|number| Self {
                begins_after: TimeDelta::seconds(
                    number * interval + rng.random_range(0..(interval - HOUR_SECONDS).max(1)),
                ),
                duration: TimeDelta::hours(1),
            })
            .collect()
    }

    /// Returns the beginning and the end of the outage in a simulation that begins at the time
    /// `begins`.
    pub(crate) fn span(self, begins: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let from = begins + self.begins_after;
        (from, from + self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_spread_evenly_and_depend_only_on_the_seed() {
        let outages = Outage::spread_evenly(2, 60, 5);

        assert_eq!(outages.len(), 4);
        assert_eq!(outages, Outage::spread_evenly(2, 60, 5));
        assert_ne!(outages, Outage::spread_evenly(2, 60, 6));
        for (number, outage) in (0..).zip(&outages) {
            let (from, until) = (
                TimeDelta::days(15 * number),
                TimeDelta::days(15 * (number + 1)),
            );
            assert!((from..until).contains(&outage.begins_after), "{outages:?}");
        }
        assert_eq!(Outage::spread_evenly(1, 29, 5), []);
    }
}
