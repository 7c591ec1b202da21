//! Faults that a test adds to the simulated WHOOP.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;

/// A fault of the simulated WHOOP, with the requests that it affects.
///
/// A test adds a fault with `WorldHandle::add_fault` or `POST /_sim/faults`.
///
/// Struct update syntax works: `Fault { times: Some(2), ..Fault::status("sleep", 500) }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Affected route: `cycle`, `recovery`, `sleep`, `workout`, `profile`, `body`, `access`,
    /// `token` or `auth`; `api` for all routes that need an access token, `*` for all requests.
    pub route: String,
    pub kind: FaultKind,
    /// WHOOP user id. If present, the fault affects only requests of this member.
    #[serde(default)]
    pub whoop_user_id: Option<i64>,
    /// Id of a record. If present, the fault affects only requests with this id in their path.
    #[serde(default)]
    pub record_id: Option<String>,
    /// Status of the reply, for the kind `status`.
    #[serde(default)]
    pub status: Option<u16>,
    /// Body of the reply, for the kind `status`; empty by default.
    #[serde(default)]
    pub body: Option<String>,
    /// Delay in milliseconds, for the kinds `latency`, `late_answer` and `stall`.
    #[serde(default)]
    pub millis: Option<u64>,
    /// Error of WHOOP's clock in milliseconds, for the kind `clock_skew`; negative if WHOOP's clock
    /// is slow.
    #[serde(default)]
    pub skew_millis: Option<i64>,
    /// Number of requests that the fault still affects. If absent, the fault affects all matching
    /// requests until it is removed.
    #[serde(default)]
    pub times: Option<u32>,
    /// Probability that the fault affects a matching request, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Name of the field that the kind `broken_record` changes; `updated_at` by default.
    #[serde(default)]
    pub field: Option<String>,
    /// Value that the kind `broken_record` sets; the number 17 by default.
    #[serde(default)]
    pub value: Option<Value>,
    /// Whether the kind `broken_record` changes all records of the page instead of the middle one.
    #[serde(default)]
    pub every_record: bool,
}

/// Maximum clock skew: 366 days in milliseconds.
const MAX_SKEW_MILLIS: u64 = 31_622_400_000;

fn always() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Delays the request before it is processed and answered.
    Latency,
    /// Processes the request immediately, but delays the answer.
    LateAnswer,
    /// Answers with the given status and does not process the request.
    Status,
    /// Processes the request and closes the connection without an answer.
    Reset,
    /// Sends half of the answer, then closes the connection.
    Truncate,
    /// Sets a field of a record in the answer to another value, by default one of the wrong type.
    BrokenRecord,
    /// Answers with status 200 and an HTML page.
    NotJson,
    /// Sends half of the answer, then nothing for `millis` (10 minutes by default), then closes the
    /// connection.
    Stall,
    /// Answers with status 429 and with the headers of a used-up quota.
    RateLimited,
    /// Refuses every access token as if it had expired.
    ExpiredToken,
    /// Sends the correct answer, but with the content type of HTML.
    WrongContentType,
    /// Answers with status 404 if the requested page of a collection has no records.
    EmptyNotFound,
    /// Removes all records and the next token from a page of a collection.
    EmptyPage,
    /// Removes `next_token` from a page of a collection, as if the page were the last.
    NoNextToken,
    /// Answers 400 with `{"error": "invalid_request"}`, like WHOOP's token endpoint in an outage.
    InvalidRequest,
    /// Shifts `created_at`, `updated_at` and the `Date` header, as if WHOOP's clock were wrong.
    ClockSkew,
}

impl Fault {
    pub fn new(route: impl Into<String>, kind: FaultKind) -> Self {
        Self {
            route: route.into(),
            kind,
            whoop_user_id: None,
            record_id: None,
            status: None,
            body: None,
            millis: None,
            skew_millis: None,
            times: None,
            probability: 1.0,
            field: None,
            value: None,
            every_record: false,
        }
    }

    pub fn status(route: impl Into<String>, status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::new(route, FaultKind::Status)
        }
    }

    /// Creates a fault that sets a field in every record of the route's answers.
    ///
    /// Tests use it for example for a field or a `score_state` that a client does not know.
    pub fn every_record(route: impl Into<String>, field: &str, value: Value) -> Self {
        Self {
            field: Some(field.to_owned()),
            value: Some(value),
            every_record: true,
            ..Self::new(route, FaultKind::BrokenRecord)
        }
    }

    pub(crate) fn validate(&self) -> Result<(), String> {
        const ROUTES: [&str; 11] = [
            "cycle", "recovery", "sleep", "workout", "profile", "body", "access", "token", "auth",
            "api", "*",
        ];
        if !ROUTES.contains(&self.route.as_str()) {
            return Err(format!("route must be one of {}", ROUTES.join(", ")));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("probability must be from 0 to 1".to_owned());
        }
        match (self.kind, self.status, self.millis) {
            (FaultKind::Status, Some(200..=599), _) => Ok(()),
            (FaultKind::Status, ..) => Err("status must be from 200 to 599".to_owned()),
            (FaultKind::ClockSkew, ..) => match self.skew_millis {
                Some(skew) if skew.unsigned_abs() <= MAX_SKEW_MILLIS => Ok(()),
                _ => Err("clock_skew needs skew_millis of at most 366 days".to_owned()),
            },
            (FaultKind::Latency | FaultKind::LateAnswer, _, None) => {
                Err("latency and late_answer need millis".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The active faults, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults(Vec<Fault>);

impl ActiveFaults {
    pub(crate) fn list(&self) -> &[Fault] {
        &self.0
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the first fault that affects this request, and decrements its `times`.
    ///
    /// A fault affects a matching request with its `probability`. Returns `None` if no fault
    /// affects the request.
    pub(crate) fn trigger(
        &mut self,
        request: &FaultTarget<'_>,
        mut random: impl FnMut() -> f64,
    ) -> Option<Fault> {
        let index = self.0.iter().position(|fault| {
            request.matches(fault) && fault.times != Some(0) && random() < fault.probability
        })?;
        let fault = self.0.get_mut(index)?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        let triggered = fault.clone();
        self.0.retain(|fault| fault.times != Some(0));
        Some(triggered)
    }
}

/// The properties of a request that decide which faults affect it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultTarget<'a> {
    pub(crate) route: &'a str,
    pub(crate) whoop_user_id: Option<i64>,
    pub(crate) path: &'a str,
}

impl FaultTarget<'_> {
    fn matches(&self, fault: &Fault) -> bool {
        let is_route = match fault.route.as_str() {
            "*" => true,
            "api" => !matches!(self.route, "token" | "auth" | ""),
            route => route == self.route,
        };
        let is_member = fault.whoop_user_id.is_none() || fault.whoop_user_id == self.whoop_user_id;
        let is_record = |id: &String| self.path.split('/').any(|part| part == id);
        is_route && is_member && fault.record_id.as_ref().is_none_or(is_record)
    }
}

/// Removes the next token from a page of a collection; for `EmptyPage`, also the records.
///
/// A body that is not a page is returned unchanged.
pub(crate) fn shorten_page(kind: FaultKind, body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let Some(page) = value
        .as_object_mut()
        .filter(|page| page.contains_key("records"))
    else {
        return body.to_owned();
    };
    if kind == FaultKind::EmptyPage {
        page.insert("records".to_owned(), json!([]));
        page.insert("next_token".to_owned(), Value::Null);
    } else {
        page.remove("next_token");
    }
    crate::key_order::to_ordered_json(&value)
}

/// Sets the fault's field in the middle record of a page, or in all its records for `every_record`.
///
/// In a reply that is not a page, the field is set in the reply's JSON object. A body that is not
/// JSON is returned unchanged.
pub(crate) fn break_record(fault: &Fault, body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let field = fault.field.as_deref().unwrap_or("updated_at");
    let new_value = fault.value.clone().unwrap_or_else(|| json!(17));
    let set_field = |record: &mut Value| {
        if let Some(members) = record.as_object_mut() {
            members.insert(field.to_owned(), new_value.clone());
        }
    };
    match value.get_mut("records").and_then(Value::as_array_mut) {
        Some(records) if fault.every_record => records.iter_mut().for_each(set_field),
        Some(records) => {
            // The middle record is changed, because a client must still accept the valid records
            // around it.
            let middle = records.len() / 2;
            records.get_mut(middle).into_iter().for_each(set_field);
        }
        None => set_field(&mut value),
    }
    crate::key_order::to_ordered_json(&value)
}

/// Shifts `created_at` and `updated_at` of the records in a reply, because WHOOP sets them by its
/// own clock.
///
/// The times of measurements do not change, because the strap has its own clock.
pub(crate) fn skew_timestamps(body: &str, by: TimeDelta) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let shift = |record: &mut Value| {
        for key in ["created_at", "updated_at"] {
            let moved = record[key]
                .as_str()
                .and_then(clock::parse)
                .and_then(|at| at.checked_add_signed(by));
            if let Some(moved) = moved {
                record[key] = json!(clock::format_instant(moved));
            }
        }
    };
    match value.get_mut("records").and_then(Value::as_array_mut) {
        Some(records) => records.iter_mut().for_each(shift),
        None => shift(&mut value),
    }
    crate::key_order::to_ordered_json(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_with_times_2_affects_two_requests_and_is_removed() {
        let target = |route| FaultTarget {
            route,
            whoop_user_id: None,
            path: "",
        };
        let mut faults = ActiveFaults::default();
        faults.add(Fault {
            times: Some(2),
            ..Fault::status("sleep", 500)
        });

        assert!(faults.trigger(&target("cycle"), || 0.0).is_none());
        assert!(faults.trigger(&target("sleep"), || 0.0).is_some());
        assert!(faults.trigger(&target("sleep"), || 0.0).is_some());
        assert!(faults.trigger(&target("sleep"), || 0.0).is_none());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn the_probability_decides_whether_a_fault_affects_a_request() {
        let mut faults = ActiveFaults::default();
        faults.add(Fault {
            probability: 0.3,
            ..Fault::status("*", 502)
        });
        let token = FaultTarget {
            route: "token",
            whoop_user_id: None,
            path: "",
        };
        assert!(faults.trigger(&token, || 0.29).is_some());
        assert!(faults.trigger(&token, || 0.3).is_none());
    }

    #[test]
    fn a_fault_affects_only_its_member_and_its_record() {
        let mut faults = ActiveFaults::default();
        faults.add(Fault {
            whoop_user_id: Some(7),
            record_id: Some("93".to_owned()),
            ..Fault::status("api", 404)
        });
        let mut affects = |route, whoop_user_id, path| {
            let target = FaultTarget {
                route,
                whoop_user_id: Some(whoop_user_id),
                path,
            };
            faults.trigger(&target, || 0.0).is_some()
        };

        assert!(affects("cycle", 7, "v2/cycle/93"));
        assert!(affects("recovery", 7, "v2/cycle/93/recovery"));
        assert!(!affects("cycle", 8, "v2/cycle/93"));
        assert!(!affects("cycle", 7, "v2/cycle/9"));
        assert!(!affects("cycle", 7, "v2/cycle"));
        assert!(!affects("token", 7, ""));
    }

    #[test]
    fn a_page_is_shortened_and_a_single_record_is_unchanged() {
        let page = r#"{"records":[{"id":1}],"next_token":"abc"}"#;
        assert_eq!(
            shorten_page(FaultKind::EmptyPage, page),
            r#"{"records":[],"next_token":null}"#
        );
        assert_eq!(
            shorten_page(FaultKind::NoNextToken, page),
            r#"{"records":[{"id":1}]}"#
        );
        let record = r#"{"id":1}"#;
        assert_eq!(shorten_page(FaultKind::EmptyPage, record), record);
    }

    #[test]
    fn the_middle_record_of_a_page_is_broken() {
        let body = r#"{"records":[{"id":1},{"id":2},{"id":3}],"next_token":null}"#;
        let broken = break_record(&Fault::new("cycle", FaultKind::BrokenRecord), body);
        assert_eq!(
            serde_json::from_str::<Value>(&broken).unwrap()["records"],
            json!([{"id": 1}, {"id": 2, "updated_at": 17}, {"id": 3}])
        );
    }
}
