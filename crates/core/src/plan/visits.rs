//! On which days a member opened the app.

use chrono::{DateTime, TimeDelta, Utc};

/// Days that are remembered.
const DAYS: u32 = 28;

const FORTNIGHT: u32 = 14;

/// The days of the last four weeks on which a member opened the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visits {
    pub last: Option<DateTime<Utc>>,
    /// A bit a day in UTC, the lowest for the day of the last visit.
    pub days: u32,
}

impl Visits {
    /// The visits with one more.
    #[must_use]
    pub fn with(self, now: DateTime<Utc>) -> Self {
        let days = self.days_at(now);
        Self {
            last: self.last.max(Some(now)),
            days: days | 1,
        }
    }

    /// The days as seen from another one: the lowest bit is that day's.
    fn days_at(self, now: DateTime<Utc>) -> u32 {
        let Some(last) = self.last else { return 0 };
        let since = (now.date_naive() - last.date_naive()).num_days().max(0);
        let shifted = u32::try_from(since)
            .ok()
            .and_then(|since| self.days.checked_shl(since))
            .unwrap_or(0);
        shifted & ((1 << DAYS) - 1)
    }

    /// On how many days of the last fortnight, today not counted, the member came.
    pub fn days_of_fortnight(self, now: DateTime<Utc>) -> u32 {
        let before_today = self.days_at(now) >> 1;
        (before_today & ((1 << FORTNIGHT) - 1)).count_ones()
    }

    /// Whether the member did not open the app in the last seven days.
    pub fn is_away(self, now: DateTime<Utc>) -> bool {
        self.last
            .is_none_or(|last| now - last >= TimeDelta::days(7))
    }

    /// How likely a visit is today, compared with other members: how often
    /// they came, and what is longer ago counts for less.
    pub fn likelihood(self, now: DateTime<Utc>) -> u32 {
        let days = self.days_at(now);
        (0..DAYS)
            .filter(|day| days & (1 << day) != 0)
            .map(|day| (DAYS - day) * (DAYS - day))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn came(days_ago: &[i64]) -> Visits {
        days_ago.iter().fold(Visits::default(), |visits, days| {
            visits.with(noon() - TimeDelta::days(*days))
        })
    }

    #[test]
    fn whoever_comes_more_often_or_came_later_is_likelier_to_come() {
        let order = [
            came(&[2, 1, 0]),
            came(&[1, 0]),
            came(&[0]),
            came(&[3]),
            came(&[20]),
            Visits::default(),
        ];
        for pair in order.windows(2) {
            assert!(
                pair[0].likelihood(noon()) > pair[1].likelihood(noon()),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn after_four_weeks_a_visit_is_forgotten() {
        assert!(came(&[27]).likelihood(noon()) > 0);
        assert_eq!(came(&[28]).likelihood(noon()), 0);
        assert_eq!(came(&[4000]).likelihood(noon()), 0);
    }

    #[test]
    fn two_visits_on_a_day_count_once() {
        let twice = came(&[0]).with(noon() + TimeDelta::hours(3));

        assert_eq!(twice.days, came(&[0]).days);
    }
}
