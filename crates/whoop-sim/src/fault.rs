//! Things that go wrong on purpose.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;

/// One fault, as `POST /_sim/faults` and `WorldHandle::fault` take it.
///
/// Made for struct update syntax:
/// `Fault { times: Some(2), ..Fault::status("sleep", 500) }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `cycle`, `recovery`, `sleep`, `workout`, `profile`, `body`, `access`,
    /// `token`, `auth`; `api` for all that take an access token, `*` for all.
    pub route: String,
    pub kind: FaultKind,
    /// Strikes only requests of this member.
    #[serde(default)]
    pub whoop_user_id: Option<i64>,
    /// Strikes only requests for this record by its id.
    #[serde(default)]
    pub record_id: Option<String>,
    /// For `status`.
    #[serde(default)]
    pub status: Option<u16>,
    /// For `status`: the reply's text; default empty.
    #[serde(default)]
    pub body: Option<String>,
    /// Delay of `latency`, `late_answer` and `stall`.
    #[serde(default)]
    pub millis: Option<u64>,
    /// For `clock_skew`: how far WHOOP's clock is ahead, or behind when negative.
    #[serde(default)]
    pub skew_millis: Option<i64>,
    /// How often it still strikes; absent: until it is taken away.
    #[serde(default)]
    pub times: Option<u32>,
    /// How likely it strikes, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// For `broken_record`: which member of the record; default `updated_at`.
    #[serde(default)]
    pub field: Option<String>,
    /// For `broken_record`: what to put there; default a number.
    #[serde(default)]
    pub value: Option<Value>,
    /// For `broken_record`: all records of the page instead of the middle one.
    #[serde(default)]
    pub every_record: bool,
}

/// A year of milliseconds; beyond it nobody's clock is wrong by accident.
const MAX_SKEW_MILLIS: u64 = 31_622_400_000;

fn always() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The request waits, then has its effect and its answer.
    Latency,
    /// The request has its effect at once; the answer is late.
    LateAnswer,
    /// Another status instead of the answer.
    Status,
    /// The connection ends without an answer.
    Reset,
    /// Half of the answer, then the connection ends.
    Truncate,
    /// A member of a record has the wrong type, or any other value.
    BrokenRecord,
    /// 200 with a page of HTML.
    NotJson,
    /// Half of the answer, then nothing for a long time.
    Stall,
    /// 429 with the headers of a spent quota.
    RateLimited,
    /// Any access token is refused, as when it is too old.
    ExpiredToken,
    /// The true answer, named HTML.
    WrongContentType,
    /// A collection without a record answers 404.
    EmptyNotFound,
    /// A page of a collection has no record and no next token, whatever there is.
    EmptyPage,
    /// A page of a collection lacks `next_token`, as if it were the last.
    NoNextToken,
    /// 400 with `{"error": "invalid_request"}`, as WHOOP's token endpoint answers during an outage.
    InvalidRequest,
    /// `created_at`, `updated_at` and the `Date` header are by a clock that is off.
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

    /// Puts a value into every record of a route's pages, such as an unknown
    /// field or an unknown word for `score_state`.
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
                _ => Err("clock_skew needs skew_millis, a year at most".to_owned()),
            },
            (FaultKind::Latency | FaultKind::LateAnswer, _, None) => {
                Err("latency and late_answer need millis".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The faults that are switched on, in the order they were given.
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

    /// The fault that strikes this request, if any: the first that fits and is
    /// lucky. Its count goes down.
    pub(crate) fn trigger(
        &mut self,
        request: &FaultTarget<'_>,
        mut dice: impl FnMut() -> f64,
    ) -> Option<Fault> {
        let at = self.0.iter().position(|fault| {
            request.matches(fault) && fault.times != Some(0) && dice() < fault.probability
        })?;
        let fault = self.0.get_mut(at)?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        let struck = fault.clone();
        self.0.retain(|fault| fault.times != Some(0));
        Some(struck)
    }
}

/// The properties of a request by which faults select it.
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

/// Takes the records, or only the next token, out of a page of a collection; any other body
/// stays as it is.
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

/// Breaks a record of a page, or the one object of another reply.
///
/// A body that is no JSON object stays as it is.
pub(crate) fn break_record(fault: &Fault, body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    let field = fault.field.as_deref().unwrap_or("updated_at");
    let wrong = fault.value.clone().unwrap_or_else(|| json!(17));
    let spoil = |record: &mut Value| {
        if let Some(members) = record.as_object_mut() {
            members.insert(field.to_owned(), wrong.clone());
        }
    };
    match value.get_mut("records").and_then(Value::as_array_mut) {
        Some(records) if fault.every_record => records.iter_mut().for_each(spoil),
        Some(records) => {
            // The middle one: good records before and after it must survive.
            let middle = records.len() / 2;
            records.get_mut(middle).into_iter().for_each(spoil);
        }
        None => spoil(&mut value),
    }
    crate::key_order::to_ordered_json(&value)
}

/// Moves what WHOOP wrote down by its own clock; when something was measured
/// stays, as the strap has a clock of its own.
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
    fn a_fault_with_a_count_strikes_so_often_and_is_gone() {
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
    fn dice_decide_when_a_fault_is_only_likely() {
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
    fn a_fault_strikes_only_the_member_and_the_record_that_it_names() {
        let mut faults = ActiveFaults::default();
        faults.add(Fault {
            whoop_user_id: Some(7),
            record_id: Some("93".to_owned()),
            ..Fault::status("api", 404)
        });
        let mut strikes = |route, whoop_user_id, path| {
            let target = FaultTarget {
                route,
                whoop_user_id: Some(whoop_user_id),
                path,
            };
            faults.trigger(&target, || 0.0).is_some()
        };

        assert!(strikes("cycle", 7, "v2/cycle/93"));
        assert!(strikes("recovery", 7, "v2/cycle/93/recovery"));
        assert!(!strikes("cycle", 8, "v2/cycle/93"));
        assert!(!strikes("cycle", 7, "v2/cycle/9"));
        assert!(!strikes("cycle", 7, "v2/cycle"));
        assert!(!strikes("token", 7, ""));
    }

    #[test]
    fn a_page_loses_its_records_or_its_next_token_and_a_record_stays_whole() {
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
