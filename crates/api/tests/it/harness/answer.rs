//! A response of the API, and the checks that every response must pass.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

const NAMESPACE: &str = "urn:whoop-backend:problem:";

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(mut response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = match headers.get(CONTENT_TYPE) {
            // An event stream does not end, so only its beginning is read.
            Some(value) if value == "text/event-stream" => {
                let first = response.chunk().await.unwrap().unwrap_or_default();
                String::from_utf8(first.to_vec()).unwrap()
            }
            _ => response.text().await.unwrap(),
        };
        Self {
            status,
            headers,
            text,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text))
    }

    /// Asserts that the response has this status, and returns its JSON body.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
    }

    /// Asserts that the response is a valid problem, and returns the last part of its `type`.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header(CONTENT_TYPE.as_str()),
            Some("application/problem+json"),
            "{} {}",
            self.status,
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {member} in {problem}");
            assert!(text.len() < 400, "a {member} of {} bytes", text.len());
        }
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.strip_prefix(NAMESPACE)
            .unwrap_or_else(|| panic!("the problem type {kind:?} does not begin with {NAMESPACE}"))
            .to_owned()
    }

    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, kind: &str) {
        assert_eq!(
            (self.status, self.problem().as_str()),
            (status, kind),
            "{}",
            self.text
        );
    }

    /// Asserts that the response is a problem with status 400 about this parameter or field of the
    /// body.
    #[track_caller]
    pub(crate) fn assert_invalid(&self, kind: &str, field: &str) {
        self.assert_problem(400, kind);
        assert_eq!(self.json()["field"], field, "{}", self.text);
    }

    /// Asserts that the response redirects the browser, and returns the address to which it does.
    #[track_caller]
    pub(crate) fn location(&self) -> url::Url {
        assert_eq!(self.status, 303, "{}", self.text);
        self.header("location").unwrap().parse().unwrap()
    }
}
