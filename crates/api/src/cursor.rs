//! Cursor of a page of records: the position of the page's last record, encoded as text. The caller
//! sends the cursor to request the next page.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike};
use whoop_storage::records::PageCursor;

use crate::problem::Problem;

/// Separator between the parts of a cursor: date, time and id. The first two parts never contain
/// it.
const SEPARATOR: char = '\n';

pub(crate) fn encode(cursor: &PageCursor) -> String {
    let PageCursor {
        local_date,
        created_at,
        id,
    } = cursor;
    let micros = created_at.timestamp_micros();
    BASE64_URL_SAFE_NO_PAD.encode(format!("{local_date}{SEPARATOR}{micros}{SEPARATOR}{id}"))
}

pub(crate) fn decode(text: &str) -> Result<PageCursor, Problem> {
    parse_cursor(text).ok_or_else(|| {
        Problem::invalid(
            "invalid-cursor",
            "cursor",
            "this is not a cursor of this API; send `next_cursor` of the previous page unchanged",
        )
    })
}

fn parse_cursor(text: &str) -> Option<PageCursor> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.splitn(3, SEPARATOR);
    let cursor = PageCursor {
        local_date: parts.next()?.parse().ok()?,
        created_at: DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?,
        id: parts.next()?.to_owned(),
    };
    // A forged cursor must not cause a database error: PostgreSQL accepts no NUL character in a
    // text, and it supports a smaller range of years than `chrono`.
    let is_valid_id = !cursor.id.contains('\0') && cursor.id.len() < 200;
    let years = 1970..10_000;
    let has_year = |year| years.contains(&year);
    (is_valid_id && has_year(cursor.local_date.year()) && has_year(cursor.created_at.year()))
        .then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_decoded_as_it_was_encoded_and_an_invalid_one_is_refused() {
        let cursor = PageCursor {
            local_date: "2026-03-01".parse().unwrap(),
            created_at: "2026-03-01T08:00:00.123456Z".parse().unwrap(),
            id: "a-b\nc".to_owned(),
        };
        assert_eq!(decode(&encode(&cursor)).unwrap(), cursor);
        let forged = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        for bad in [
            "",
            "x",
            "%%%",
            &forged("2026-03-01"),
            &forged("2026-03-01\n9223372036854775807\nx"),
            &forged("2026-03-01\n0\nx\0"),
            &forged("+200000-03-01\n0\nx"),
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
