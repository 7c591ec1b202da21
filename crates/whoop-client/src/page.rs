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

/// A record that WHOOP lists page by page, newest first.
pub trait ListedRecord: Record {
    /// Below the API's base, without a slash in front.
    const PATH: &'static str;

    /// What a member has to grant for it.
    const SCOPE: &'static str;

    /// What the list is sorted by, where the record tells.
    ///
    /// Recoveries are sorted by the start of their sleep, which they do not
    /// carry.
    fn sort_key(&self) -> Option<DateTime<Utc>>;

    /// An instant at or after this record's place in the list: whatever lies
    /// after it was listed before it.
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

    /// A recovery is made after its sleep began.
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

/// Which page of a list; always of 25 records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Records that began before then.
    pub end: DateTime<Utc>,
    /// `None` for the first page.
    pub next_token: Option<String>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<R> {
    pub records: Vec<R>,
    /// What could not be read, with its raw text.
    pub rejected: Vec<RejectedRecord>,
    /// `None` on the last page.
    pub next_token: Option<String>,
    /// WHOOP said 404 where an empty list belongs.
    ///
    /// Some say it means "nothing there", some say a scope is missing; so it
    /// is an empty page to show, and no proof that records were deleted.
    pub not_found: bool,
}

/// The page as sent. A body without `records` is no page; `null` is an empty
/// one, as `null` is everywhere at WHOOP.
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
    /// Reads one page. Records that cannot be read are set aside in it.
    ///
    /// # Errors
    ///
    /// Any [`WhoopError`]; a 404 is one unless the member's profile answers.
    pub async fn fetch_page<R: ListedRecord>(
        &self,
        access_token: &SecretString,
        query: &PageQuery,
    ) -> Result<ListPage<R>, WhoopError> {
        let url = query.append_to(self.api_url(R::PATH.split('/')));
        let call = ApiCall::get(R::PATH, url, access_token);
        match self.fetch_json::<RawPage>(&call).await? {
            Some(raw) => Ok(raw.parse_records()),
            // WHOOP has no such page: its token came from WHOOP itself.
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
    /// The request says `nextToken`, the reply `next_token`.
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

/// `end` is exclusive: cut off, it would leave out the last millisecond.
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

    fn written(query: &PageQuery) -> String {
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
            written(&query),
            "limit=25&end=2026-03-20T12%3A00%3A00.001Z&nextToken=eyJvIjoyNX0%2B%2F%3D"
        );
    }

    #[test]
    fn a_query_for_everything_names_no_start() {
        let query = PageQuery {
            end: "2026-03-20T12:00:00Z".parse().unwrap(),
            next_token: None,
        };

        assert_eq!(written(&query), "limit=25&end=2026-03-20T12%3A00%3A00.000Z");
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
    fn a_body_without_records_is_no_page() {
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
