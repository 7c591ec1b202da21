use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use url::Url;
use whoop_core::{
    DataType,
    plan::PAGE_SIZE,
    record::{Cycle, Record, Recovery, RejectedRecord, Sleep, Workout, parse_record},
};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// Record of one of WHOOP's lists. The lists are divided into pages and sorted newest first.
pub trait ListedRecord: Record {
    /// Path of the list relative to the base URL of the API, without a leading slash.
    const PATH: &'static str;

    /// OAuth scope that a member has to grant before the list can be read.
    const SCOPE: &'static str;

    /// Returns the time by which the list is sorted; `None` if the record does not contain this
    /// time.
    ///
    /// This is the start of the record. Recoveries are sorted by the start of their sleep, which
    /// they do not contain.
    fn sort_key(&self) -> Option<DateTime<Utc>>;

    /// Returns the time by which the list is sorted, or a later time if the record does not contain
    /// it.
    ///
    /// All records with a sort time after the returned time precede this record in the list.
    fn max_sort_key(&self) -> DateTime<Utc>;
}

impl ListedRecord for Cycle {
    const PATH: &'static str = "v2/cycle";
    const SCOPE: &'static str = DataType::Cycle.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn max_sort_key(&self) -> DateTime<Utc> {
        self.start
    }
}

impl ListedRecord for Recovery {
    const PATH: &'static str = "v2/recovery";
    const SCOPE: &'static str = DataType::Recovery.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// WHOOP creates a recovery only after its sleep began, so this time is not before the sort
    /// time.
    fn max_sort_key(&self) -> DateTime<Utc> {
        self.created_at
    }
}

impl ListedRecord for Sleep {
    const PATH: &'static str = "v2/activity/sleep";
    const SCOPE: &'static str = DataType::Sleep.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn max_sort_key(&self) -> DateTime<Utc> {
        self.start
    }
}

impl ListedRecord for Workout {
    const PATH: &'static str = "v2/activity/workout";
    const SCOPE: &'static str = DataType::Workout.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn max_sort_key(&self) -> DateTime<Utc> {
        self.start
    }
}

/// Request for one page of a list. A page has at most 25 records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// End of the time span, exclusive: the page contains only records that began before this time.
    pub end: DateTime<Utc>,
    /// Token of the page, from the previous page; `None` if the page begins at `end`.
    pub next_token: Option<String>,
}

/// One page of a list. The records are sorted newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<R> {
    pub records: Vec<R>,
    /// Records that could not be parsed, with their raw text and the reason.
    pub rejected: Vec<RejectedRecord>,
    /// Token of the next page; `None` if WHOOP's list has no further page.
    pub next_token: Option<String>,
    /// Whether WHOOP answered with status 404 instead of an empty list.
    ///
    /// Reports differ on the meaning of such an answer: it may mean that the member has no records,
    /// or that a scope is missing. It is therefore treated as an empty page, but not as evidence
    /// that records were deleted.
    pub not_found: bool,
}

/// A page as WHOOP sent it, before its records are parsed.
///
/// A body without `records` is an error. `null` means an empty page, because WHOOP uses `null` for
/// absent values everywhere.
#[derive(Deserialize)]
struct RawPage {
    #[serde(deserialize_with = "null_is_empty")]
    records: Vec<Box<RawValue>>,
    next_token: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl WhoopClient {
    /// Fetches one page of a list. Records that cannot be parsed are returned in `rejected`.
    ///
    /// # Errors
    ///
    /// Returns any [`WhoopError`]. Status 404 for a first page is an error only if the member's
    /// profile cannot be fetched either. Status 404 for a page with a token is always an error.
    pub async fn fetch_page<R: ListedRecord>(
        &self,
        access_token: &SecretString,
        query: &PageQuery,
    ) -> Result<ListPage<R>, WhoopError> {
        let url = query.append_to(self.shared.config.endpoint(R::PATH.split('/')));
        let call = ApiCall::get(R::PATH, url, access_token);
        match call.fetch_json::<RawPage>(self).await? {
            Some(raw) => Ok(raw.parse_records()),
            // WHOOP issued the page token itself, so the page must exist.
            None if query.next_token.is_some() => Err(WhoopError::Unexpected { status: 404 }),
            None => {
                self.fetch_profile(access_token).await?;
                Ok(ListPage {
                    records: Vec::new(),
                    rejected: Vec::new(),
                    next_token: None,
                    not_found: true,
                })
            }
        }
    }
}

impl RawPage {
    fn parse_records<R: Record>(self) -> ListPage<R> {
        let mut page = ListPage {
            records: Vec::with_capacity(self.records.len()),
            rejected: Vec::new(),
            next_token: self.next_token.filter(|token| !token.is_empty()),
            not_found: false,
        };
        for raw in &self.records {
            match parse_record(raw) {
                Ok(record) => page.records.push(record),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        page
    }
}

impl PageQuery {
    /// Appends the parameters of the query to the URL of the list.
    ///
    /// WHOOP's names differ: the parameter of the request is `nextToken`, the field of the reply is
    /// `next_token`.
    fn append_to(&self, mut url: Url) -> Url {
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", &PAGE_SIZE.to_string());
            query.append_pair("end", &format_millis(round_up_to_millis(self.end)));
            if let Some(token) = &self.next_token {
                query.append_pair("nextToken", token);
            }
        }
        url
    }
}

fn format_millis(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Rounds a time up to a whole millisecond. WHOOP's parameter `end` is exclusive, so rounding down
/// would exclude a record of the last millisecond.
fn round_up_to_millis(instant: DateTime<Utc>) -> DateTime<Utc> {
    let millisecond = TimeDelta::milliseconds(1);
    match instant.duration_trunc(millisecond) {
        Ok(floor) if floor < instant => floor + millisecond,
        _ => instant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Result<ListPage<Recovery>, serde_json::Error> {
        serde_json::from_str::<RawPage>(body).map(RawPage::parse_records)
    }

    fn query_text(query: &PageQuery) -> String {
        let url = query.append_to("https://whoop.test/v2/cycle".parse().unwrap());
        url.query().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_query_names_25_records_utc_milliseconds_and_an_escaped_token() {
        let query = PageQuery {
            end: "2026-03-20T12:00:00.000001Z".parse().unwrap(),
            next_token: Some("eyJvIjoyNX0+/=".to_owned()),
        };

        assert_eq!(
            query_text(&query),
            "limit=25&end=2026-03-20T12%3A00%3A00.001Z&nextToken=eyJvIjoyNX0%2B%2F%3D"
        );
    }

    #[test]
    fn a_query_without_a_token_has_only_limit_and_end() {
        let query = PageQuery {
            end: "2026-03-20T12:00:00Z".parse().unwrap(),
            next_token: None,
        };

        assert_eq!(
            query_text(&query),
            "limit=25&end=2026-03-20T12%3A00%3A00.000Z"
        );
    }

    #[test]
    fn an_absent_null_or_empty_token_means_the_last_page() {
        for token in ["", r#","next_token":null"#, r#","next_token":"""#] {
            let page = page(&format!(r#"{{"records":[]{token}}}"#)).unwrap();
            assert_eq!(page.next_token, None, "{token}");
        }
        assert_eq!(
            page(r#"{"records":null,"next_token":"eyJv"}"#)
                .unwrap()
                .next_token
                .as_deref(),
            Some("eyJv")
        );
    }

    #[test]
    fn a_body_without_records_is_an_error() {
        for body in [
            "{}",
            r#"{"message":"hello"}"#,
            "[]",
            "null",
            r#"{"records":{}}"#,
        ] {
            assert!(page(body).is_err(), "{body}");
        }
    }
}
