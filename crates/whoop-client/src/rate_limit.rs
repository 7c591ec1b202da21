use std::{fmt::Display, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

const MINUTE: Duration = Duration::from_secs(60);

/// Length of the longest window that WHOOP documents: one day. A header with a longer wait is
/// ignored.
const DAY: Duration = Duration::from_secs(86_400);

/// State of the WHOOP app's quota, as the headers of one reply report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Maximum number of calls in the window that is nearest to being used up.
    pub limit: u64,
    /// Number of calls that remain in this window.
    pub remaining: u64,
    /// Time until this window resets, counted from `reported_at`.
    pub reset: Duration,
    /// All limits, each with the length of its window.
    pub windows: Vec<(u64, Duration)>,
    pub reported_at: DateTime<Utc>,
}

impl RateLimit {
    /// Returns whether `limit` is the limit of the day window.
    pub fn is_day_limit(&self) -> bool {
        is_day_window(&self.windows, Some(self.limit))
    }
}

fn is_day_window(windows: &[(u64, Duration)], limit: Option<u64>) -> bool {
    let window = windows.iter().find(|(number, _)| Some(*number) == limit);
    window.is_some_and(|(_, length)| *length > MINUTE)
}

/// Quota headers of one reply. A field is `None` if its header is absent or invalid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QuotaHeaders {
    limit: Option<u64>,
    windows: Vec<(u64, Duration)>,
    remaining: Option<u64>,
    reset: Option<Duration>,
    retry_after: Option<Duration>,
}

impl QuotaHeaders {
    pub(crate) fn from_headers(headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let (limit, windows) = header_text(headers, "x-ratelimit-limit")
            .map(parse_limits)
            .unwrap_or_default();
        Self {
            limit,
            windows,
            remaining: header_text(headers, "x-ratelimit-remaining").and_then(parse_number),
            reset: header_text(headers, "x-ratelimit-reset").and_then(parse_seconds),
            retry_after: header_text(headers, RETRY_AFTER.as_str())
                .and_then(|text| parse_seconds(text).or_else(|| parse_retry_date(text, now))),
        }
    }

    pub(crate) fn rate_limit(&self, reported_at: DateTime<Utc>) -> Option<RateLimit> {
        Some(RateLimit {
            limit: self.limit?,
            remaining: self.remaining?,
            reset: self.reset?,
            windows: self.windows.clone(),
            reported_at,
        })
    }

    /// Returns the time for which WHOOP answers no further call; `None` if the headers do not show
    /// that no call remains.
    pub(crate) fn exhausted_for(&self) -> Option<Duration> {
        let reset = self.reset.filter(|_| self.remaining == Some(0))?;
        Some(at_least_one_second(reset))
    }

    /// Returns the time to wait after a reply with status 429: the value of `Retry-After`,
    /// otherwise the time until the reset, otherwise one minute.
    pub(crate) fn retry_delay(&self) -> Duration {
        at_least_one_second(self.retry_after.or(self.reset).unwrap_or(MINUTE))
    }

    /// Returns whether the day limit is used up, and not the minute limit. A wait of more than a
    /// minute is also evidence of this.
    pub(crate) fn is_day_limit(&self, wait: Duration) -> bool {
        wait > MINUTE || is_day_window(&self.windows, self.limit)
    }
}

/// Returns `wait`, but at least one second, because a reset in 0 seconds means "within this
/// second".
fn at_least_one_second(wait: Duration) -> Duration {
    wait.max(Duration::from_secs(1))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parse_number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Parses a number of seconds. A number of more than one day is ignored, because it is probably a
/// point in time.
fn parse_seconds(text: &str) -> Option<Duration> {
    parse_number(text)
        .map(Duration::from_secs)
        .filter(|wait| *wait <= DAY)
}

/// Parses the second format that HTTP allows for `Retry-After`, a date, and returns the time until
/// this date.
fn parse_retry_date(text: impl AsRef<str> + Display, now: DateTime<Utc>) -> Option<Duration> {
    let date = DateTime::parse_from_rfc2822(text.as_ref()).ok()?.to_utc();
    let wait = (date - now).to_std().ok()?;
    Some(wait).filter(|wait| *wait <= DAY)
}

/// Parses a header such as `100, 100;window=60, 10000;window=86400`.
///
/// Returns the limit that is nearest to being used up (the first number), and each limit with the
/// length of its window in seconds.
fn parse_limits(text: &str) -> (Option<u64>, Vec<(u64, Duration)>) {
    let mut nearest = None;
    let mut windows = Vec::new();
    for part in text.split(',') {
        let mut pieces = part.split(';');
        let Some(limit) = pieces.next().and_then(parse_number) else {
            continue;
        };
        let window = pieces
            .find_map(|piece| piece.trim().strip_prefix("window="))
            .and_then(parse_number);
        match window {
            Some(length) => windows.push((limit, Duration::from_secs(length))),
            None => nearest = nearest.or(Some(limit)),
        }
    }
    (nearest, windows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const MINUTES: &str = "100, 100;window=60, 10000;window=86400";
    const DAYS: &str = "10000, 100;window=60, 10000;window=86400";

    fn now() -> DateTime<Utc> {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn quota(headers: &[(&'static str, &str)]) -> QuotaHeaders {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        QuotaHeaders::from_headers(&headers, now())
    }

    fn all_three(limit: &str, remaining: &str, reset: &str) -> QuotaHeaders {
        quota(&[
            ("x-ratelimit-limit", limit),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", reset),
        ])
    }

    #[test]
    fn the_headers_are_read_as_whoop_documents_them() {
        let quota = all_three(MINUTES, "99", "60");

        assert_eq!(
            quota.rate_limit(now()),
            Some(RateLimit {
                limit: 100,
                remaining: 99,
                reset: MINUTE,
                windows: vec![(100, MINUTE), (10_000, DAY)],
                reported_at: now(),
            })
        );
        assert_eq!(quota.exhausted_for(), None);
    }

    #[test]
    fn no_remaining_calls_means_wait_until_the_reset() {
        let quota = all_three(MINUTES, "0", "37");
        let wait = quota.exhausted_for().unwrap();

        assert_eq!(wait, Duration::from_secs(37));
        assert!(!quota.is_day_limit(wait));
        assert_eq!(
            all_three(MINUTES, "0", "0").exhausted_for(),
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn the_day_limit_is_recognized_by_the_first_number_or_by_a_long_wait() {
        let by_number = all_three(DAYS, "0", "41230");
        assert!(by_number.is_day_limit(Duration::from_secs(41_230)));
        assert!(by_number.is_day_limit(Duration::from_secs(5)));

        let by_wait = quota(&[]);
        assert!(by_wait.is_day_limit(Duration::from_secs(61)));
        assert!(!by_wait.is_day_limit(MINUTE));
    }

    #[test]
    fn the_wait_after_a_429_is_its_retry_after_or_its_reset_or_a_minute() {
        let at = "Fri, 20 Mar 2026 12:00:09 GMT";

        assert_eq!(
            quota(&[("retry-after", "7"), ("x-ratelimit-reset", "30")]).retry_delay(),
            Duration::from_secs(7)
        );
        assert_eq!(
            quota(&[("retry-after", at)]).retry_delay(),
            Duration::from_secs(9)
        );
        assert_eq!(
            quota(&[("x-ratelimit-reset", "30")]).retry_delay(),
            Duration::from_secs(30)
        );
        assert_eq!(quota(&[]).retry_delay(), MINUTE);
    }

    #[test]
    fn a_timestamp_instead_of_seconds_is_ignored() {
        let quota = all_three(MINUTES, "0", "1774008000");

        assert_eq!(quota.exhausted_for(), None);
        assert_eq!(quota.retry_delay(), MINUTE);
    }

    #[test]
    fn one_invalid_header_does_not_affect_the_others() {
        let quota = all_three("lots", "0", "12");

        assert_eq!(quota.rate_limit(now()), None);
        assert_eq!(quota.exhausted_for(), Some(Duration::from_secs(12)));
    }

    proptest! {
        #[test]
        fn no_header_is_an_error_and_no_wait_is_longer_than_a_day(
            limit in "[ -~]{0,60}", remaining in "[ -~]{0,20}", reset in "[ -~0-9]{0,20}", after in "[ -~]{0,40}",
        ) {
            let quota = quota(&[
                ("x-ratelimit-limit", &limit),
                ("x-ratelimit-remaining", &remaining),
                ("x-ratelimit-reset", &reset),
                ("retry-after", &after),
            ]);
            prop_assert!(quota.retry_delay() <= DAY);
            prop_assert!(quota.exhausted_for().unwrap_or_default() <= DAY);
        }
    }
}
