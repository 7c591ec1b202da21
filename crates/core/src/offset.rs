//! WHOOP's field `timezone_offset`: an offset from UTC such as `+02:00`, not a time zone.
//!
//! Each record contains the offset at which it was recorded. Daylight saving time and travel are
//! therefore already included, and the member's current offset is not used for older records.

use chrono::{DateTime, FixedOffset, NaiveDate, Offset, Utc};

/// Parses an offset of the form `+hh:mm`, `-hh:mm` or `Z`. Returns `None` for any other text.
pub fn parse(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "z") {
        return Some(Utc.fix());
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let hours: i32 = hours.parse().ok()?;
    let minutes: i32 = minutes.parse().ok()?;
    // The greatest offset in use is +14:00. Offsets of 19 hours or more are rejected as invalid.
    if hours > 18 || minutes > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

/// Returns the calendar date of a point in time at an offset from UTC.
///
/// If the offset is absent or invalid, the date in UTC is returned. The service does not guess the
/// member's time zone.
pub fn local_date(instant: DateTime<Utc>, timezone_offset: Option<&str>) -> NaiveDate {
    let offset = timezone_offset.and_then(parse).unwrap_or_else(|| Utc.fix());
    instant.with_timezone(&offset).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_parsed_as_whoop_documents_them() {
        let seconds = |text| parse(text).map(|offset| offset.local_minus_utc());

        assert_eq!(seconds("Z"), Some(0));
        assert_eq!(seconds("+02:00"), Some(7200));
        assert_eq!(seconds("-05:30"), Some(-19800));
        assert_eq!(seconds("+14:00"), Some(50400));
        for bad in [
            "",
            "02:00",
            "+2:00",
            "+25:00",
            "+02:60",
            "Europe/Berlin",
            "+é:00",
            "+02:0é",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
