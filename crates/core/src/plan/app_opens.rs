//! History of the days on which a member opened the app.

use chrono::{DateTime, TimeDelta, Utc};

/// Number of days for which the history of app opens is kept.
const REMEMBERED_DAYS: u32 = 28;

const FORTNIGHT_DAYS: u32 = 14;

/// The days of the last four weeks on which a member opened the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppOpenHistory {
    pub last: Option<DateTime<Utc>>,
    /// One bit per day in UTC, set if the member opened the app on this day. The lowest bit is the
    /// day of `last`, the next bit is the day before, and so on.
    pub days: u32,
}

impl AppOpenHistory {
    /// Returns the history with an additional app open at the time `now`.
    #[must_use]
    pub fn with_open(self, now: DateTime<Utc>) -> Self {
        let days = self.days_as_of(now);
        Self {
            last: self.last.max(Some(now)),
            days: days | 1,
        }
    }

    /// Returns the bits shifted such that the lowest bit is the day of `now`.
    fn days_as_of(self, now: DateTime<Utc>) -> u32 {
        let Some(last) = self.last else { return 0 };
        let days_since = (now.date_naive() - last.date_naive()).num_days().max(0);
        let shifted = u32::try_from(days_since)
            .ok()
            .and_then(|days_since| self.days.checked_shl(days_since))
            .unwrap_or(0);
        shifted & ((1 << REMEMBERED_DAYS) - 1)
    }

    /// Returns the number of days on which the member opened the app in the 14 days before today.
    pub fn count_days_in_fortnight(self, now: DateTime<Utc>) -> u32 {
        let before_today = self.days_as_of(now) >> 1;
        (before_today & ((1 << FORTNIGHT_DAYS) - 1)).count_ones()
    }

    /// Returns whether the member has not opened the app in the last seven days.
    pub fn is_inactive(self, now: DateTime<Utc>) -> bool {
        self.last
            .is_none_or(|last| now - last >= TimeDelta::days(7))
    }

    /// Returns a weight that is higher for members who are more likely to open the app today.
    ///
    /// The weight is a sum over the days on which the member opened the app. Older days contribute
    /// less.
    pub fn likelihood(self, now: DateTime<Utc>) -> u32 {
        let days = self.days_as_of(now);
        (0..REMEMBERED_DAYS)
            .filter(|day| days & (1 << day) != 0)
            .map(|day| (REMEMBERED_DAYS - day) * (REMEMBERED_DAYS - day))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn opened(days_ago: &[i64]) -> AppOpenHistory {
        days_ago
            .iter()
            .fold(AppOpenHistory::default(), |history, days| {
                history.with_open(noon() - TimeDelta::days(*days))
            })
    }

    #[test]
    fn more_frequent_and_more_recent_app_opens_are_more_likely() {
        let order = [
            opened(&[2, 1, 0]),
            opened(&[1, 0]),
            opened(&[0]),
            opened(&[3]),
            opened(&[20]),
            AppOpenHistory::default(),
        ];
        for pair in order.windows(2) {
            assert!(
                pair[0].likelihood(noon()) > pair[1].likelihood(noon()),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn an_app_open_is_forgotten_after_four_weeks() {
        assert!(opened(&[27]).likelihood(noon()) > 0);
        assert_eq!(opened(&[28]).likelihood(noon()), 0);
        assert_eq!(opened(&[4000]).likelihood(noon()), 0);
    }

    #[test]
    fn two_app_opens_on_a_day_count_once() {
        let twice = opened(&[0]).with_open(noon() + TimeDelta::hours(3));

        assert_eq!(twice.days, opened(&[0]).days);
    }
}
