use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use url::Url;
use whoop_core::{
    DataType,
    plan::PAGE_SIZE,
    record::{Cycle, Record, Recovery, Rejected, Sleep, Workout, read},
};

use crate::{Whoop, WhoopError, call::Call};

/// A record that WHOOP lists page by page, newest first.
pub trait Listed: Record {
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
    fn lies_before(&self) -> DateTime<Utc>;
}

impl Listed for Cycle {
    const PATH: &'static str = "v2/cycle";
    const SCOPE: &'static str = DataType::Cycle.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn lies_before(&self) -> DateTime<Utc> {
        self.start
    }
}

impl Listed for Recovery {
    const PATH: &'static str = "v2/recovery";
    const SCOPE: &'static str = DataType::Recovery.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// A recovery is made after its sleep began.
    fn lies_before(&self) -> DateTime<Utc> {
        self.created_at
    }
}

impl Listed for Sleep {
    const PATH: &'static str = "v2/activity/sleep";
    const SCOPE: &'static str = DataType::Sleep.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn lies_before(&self) -> DateTime<Utc> {
        self.start
    }
}

impl Listed for Workout {
    const PATH: &'static str = "v2/activity/workout";
    const SCOPE: &'static str = DataType::Workout.scope();

    fn sort_key(&self) -> Option<DateTime<Utc>> {
        Some(self.start)
    }

    fn lies_before(&self) -> DateTime<Utc> {
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
pub struct Page<R> {
    pub records: Vec<R>,
    /// What could not be read, with its raw text.
    pub rejected: Vec<Rejected>,
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

impl Whoop {
    /// Reads one page. Records that cannot be read are set aside in it.
    ///
    /// # Errors
    ///
    /// Any [`WhoopError`]; a 404 is one unless the member's profile answers.
    pub async fn page<R: Listed>(
        &self,
        access_token: &SecretString,
        query: &PageQuery,
    ) -> Result<Page<R>, WhoopError> {
        let url = query.write_to(self.api(R::PATH.split('/')));
        let call = Call::get(R::PATH, url, access_token);
        match self.json::<RawPage>(&call).await? {
            Some(raw) => Ok(raw.read()),
            // WHOOP has no such page: its token came from WHOOP itself.
            None if query.next_token.is_some() => Err(WhoopError::Unexpected { status: 404 }),
            None => {
                self.profile(access_token).await?;
                Ok(Page {
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
    fn read<R: Record>(self) -> Page<R> {
        let mut page = Page {
            records: Vec::with_capacity(self.records.len()),
            rejected: Vec::new(),
            next_token: self.next_token.filter(|token| !token.is_empty()),
            not_found: false,
        };
        for raw in &self.records {
            match read(raw) {
                Ok(record) => page.records.push(record),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        page
    }
}

impl PageQuery {
    /// The request says `nextToken`, the reply `next_token`.
    fn write_to(&self, mut url: Url) -> Url {
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", &PAGE_SIZE.to_string());
            query.append_pair("end", &millis(round_up(self.end)));
            if let Some(token) = &self.next_token {
                query.append_pair("nextToken", token);
            }
        }
        url
    }
}

fn millis(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `end` is exclusive: cut off, it would leave out the last millisecond.
fn round_up(instant: DateTime<Utc>) -> DateTime<Utc> {
    let millisecond = TimeDelta::milliseconds(1);
    match instant.duration_trunc(millisecond) {
        Ok(floor) if floor < instant => floor + millisecond,
        _ => instant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Result<Page<Recovery>, serde_json::Error> {
        serde_json::from_str::<RawPage>(body).map(RawPage::read)
    }

    fn written(query: &PageQuery) -> String {
        let url = query.write_to("https://whoop.test/v2/cycle".parse().unwrap());
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
