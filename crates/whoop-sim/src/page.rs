//! Pages of a collection: the query parameters and the page tokens.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{clock, protocol::LimitOverMax};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 25;

/// Query parameters of a request for a page of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CollectionQuery {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) end: Option<DateTime<Utc>>,
}

/// The content of a page token as JSON, such as `{"$":"o@1","o":5}`. `o` is the offset of the page.
#[derive(Serialize, Deserialize)]
struct PageToken {
    #[serde(rename = "$")]
    kind: String,
    o: usize,
}

impl CollectionQuery {
    /// Parses a query; unknown parameters are ignored. Returns `None` for an invalid parameter,
    /// which is answered with status 400.
    pub(crate) fn parse(query: &str, over_max: LimitOverMax) -> Option<Self> {
        let mut page = Self {
            limit: DEFAULT_LIMIT,
            offset: 0,
            start: None,
            end: None,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let limit: usize = value.parse().ok()?;
                    if limit == 0 || (limit > MAX_LIMIT && over_max == LimitOverMax::Reject) {
                        return None;
                    }
                    page.limit = limit.min(MAX_LIMIT);
                }
                "nextToken" => page.offset = decode_page_token(&value)?,
                "start" => page.start = Some(clock::parse(&value)?),
                "end" => page.end = Some(clock::parse(&value)?),
                _ => {}
            }
        }
        Some(page)
    }

    /// Returns whether a record overlaps the requested interval.
    ///
    /// A cycle that began before `start` and was still running at `start` is included. A cycle that
    /// begins exactly at `end` is not included.
    pub(crate) fn covers(
        &self,
        start: DateTime<Utc>,
        end: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> bool {
        let runs_until = end.unwrap_or(now);
        self.start.is_none_or(|from| runs_until >= from) && start < self.end.unwrap_or(now)
    }
}

pub(crate) fn encode_page_token(offset: usize) -> String {
    // Formatted by hand to keep the two keys in WHOOP's order.
    STANDARD.encode(format!(r#"{{"$":"o@1","o":{offset}}}"#))
}

fn decode_page_token(token: &str) -> Option<usize> {
    let bytes = STANDARD.decode(token).ok()?;
    let token: PageToken = serde_json::from_slice(&bytes).ok()?;
    (token.kind == "o@1").then_some(token.o)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Option<CollectionQuery> {
        CollectionQuery::parse(query, LimitOverMax::Reject)
    }

    #[test]
    fn a_token_is_the_padded_base64_of_an_offset() {
        assert_eq!(encode_page_token(5), "eyIkIjoib0AxIiwibyI6NX0=");
        assert_eq!(decode_page_token("eyIkIjoib0AxIiwibyI6NX0="), Some(5));
    }

    #[test]
    fn an_invalid_token_is_refused() {
        for token in ["", "5", "eyIkIjoib0AxIiwibyI6NX0", "eyJvIjo1fQ==", "%%%"] {
            assert_eq!(decode_page_token(token), None, "{token}");
        }
    }

    #[test]
    fn an_invalid_query_is_refused() {
        for query in [
            "limit=26",
            "limit=0",
            "limit=-1",
            "limit=ten",
            "limit=",
            "start=2026-10-01",
            "start=yesterday",
            "end=2026-10-01T00:00:00",
            // A plus sign that is not percent-encoded is decoded as a space.
            "start=2026-10-01T00:00:00+02:00",
            "nextToken=zzz",
        ] {
            assert_eq!(parse(query), None, "{query}");
        }
        assert_eq!(parse("").unwrap().limit, 10);
        assert_eq!(parse("limit=25&next_token=x").unwrap().limit, 25);
    }

    #[test]
    fn the_interval_includes_its_start_and_excludes_its_end() {
        let hour = |h: u32| clock::parse(&format!("2026-10-01T{h:02}:00:00Z")).unwrap();
        let page = parse("start=2026-10-01T08:00:00Z&end=2026-10-01T12:00:00Z").unwrap();
        let now = hour(20);

        assert!(page.covers(hour(6), Some(hour(8)), now));
        assert!(!page.covers(hour(6), Some(hour(7)), now));
        assert!(page.covers(hour(11), Some(hour(13)), now));
        assert!(!page.covers(hour(12), Some(hour(13)), now));
        assert!(page.covers(hour(1), None, now), "a running record");
    }
}
