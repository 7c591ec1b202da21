//! The simulator's clock, which can be frozen, moved, or run faster than real time.

use std::time::Instant;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

/// Clock that starts at the configured `now` and advances with the configured `speed`.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    set_at: Instant,
    sim_at: DateTime<Utc>,
    speed: f64,
}

impl SimClock {
    pub(crate) fn new(now: Option<DateTime<Utc>>, speed: f64) -> Self {
        Self {
            set_at: Instant::now(),
            sim_at: now.unwrap_or_else(system_now),
            speed,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let real = self.set_at.elapsed().as_secs_f64() * self.speed * 1_000.0;
        let passed = TimeDelta::milliseconds(crate::number::round_to_int(real));
        self.sim_at
            .checked_add_signed(passed)
            .unwrap_or(self.sim_at)
    }

    /// Sets the clock to `now`. The clock then runs on from `now` with the same speed.
    pub(crate) fn set(&mut self, now: DateTime<Utc>) {
        self.set_at = Instant::now();
        self.sim_at = now;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the simulator reads the machine's clock"
)]
pub(crate) fn system_now() -> DateTime<Utc> {
    Utc::now()
}

/// Formats an instant as WHOOP does: in UTC, with `Z` and three decimals of a second.
pub(crate) fn format_instant(instant: DateTime<Utc>) -> String {
    // This function does not use chrono's format strings. Parsing a format string for each of a
    // million instants would take most of the simulator's startup time.
    let (date, time) = (instant.date_naive(), instant.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        instant.timestamp_subsec_millis().min(999),
    )
}

/// Parses an RFC 3339 instant; returns `None` for any other text.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|instant| instant.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_with_speed_zero_changes_only_when_it_is_set() {
        let noon = parse("2026-10-01T12:00:00Z").unwrap();
        let mut clock = SimClock::new(Some(noon), 0.0);
        assert_eq!(clock.now(), noon);

        let later = noon + TimeDelta::hours(5);
        clock.set(later);
        assert_eq!(clock.now(), later);
    }

    #[test]
    fn whole_seconds_still_print_three_decimals() {
        let noon = parse("2026-10-01T14:00:00+02:00").unwrap();
        assert_eq!(format_instant(noon), "2026-10-01T12:00:00.000Z");
    }
}
