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
    /// `token`, `auth`, or `*` for all of them.
    pub route: String,
    pub kind: FaultKind,
    /// For `status`.
    #[serde(default)]
    pub status: Option<u16>,
    /// For `status`: the reply's text; default empty.
    #[serde(default)]
    pub body: Option<String>,
    /// For `latency` and `stall`.
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
const MAX_SKEW: u64 = 31_622_400_000;

fn always() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The true answer, late.
    Latency,
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
    /// `created_at`, `updated_at` and the `Date` header are by a clock that is off.
    ClockSkew,
}

impl Fault {
    pub fn new(route: impl Into<String>, kind: FaultKind) -> Self {
        Self {
            route: route.into(),
            kind,
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

    pub(crate) fn check(&self) -> Result<(), String> {
        const ROUTES: [&str; 10] = [
            "cycle", "recovery", "sleep", "workout", "profile", "body", "access", "token", "auth",
            "*",
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
                Some(skew) if skew.unsigned_abs() <= MAX_SKEW => Ok(()),
                _ => Err("clock_skew needs skew_millis, a year at most".to_owned()),
            },
            (FaultKind::Latency, _, None) => Err("latency needs millis".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The faults that are switched on, in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn list(&self) -> &[Fault] {
        &self.0
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that strikes this call, if any: the first that fits and is
    /// lucky. Its count goes down.
    pub(crate) fn strike(&mut self, route: &str, mut dice: impl FnMut() -> f64) -> Option<Fault> {
        let at = self.0.iter().position(|fault| {
            (fault.route == "*" || fault.route == route)
                && fault.times != Some(0)
                && dice() < fault.probability
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
    crate::key_order::print(&value)
}

/// Moves what WHOOP wrote down by its own clock; when something was measured
/// stays, as the strap has a clock of its own.
pub(crate) fn skew(body: &str, by: TimeDelta) -> String {
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
                record[key] = json!(clock::print(moved));
            }
        }
    };
    match value.get_mut("records").and_then(Value::as_array_mut) {
        Some(records) => records.iter_mut().for_each(shift),
        None => shift(&mut value),
    }
    crate::key_order::print(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_with_a_count_strikes_so_often_and_is_gone() {
        let mut faults = Faults::default();
        faults.add(Fault {
            times: Some(2),
            ..Fault::status("sleep", 500)
        });

        assert!(faults.strike("cycle", || 0.0).is_none());
        assert!(faults.strike("sleep", || 0.0).is_some());
        assert!(faults.strike("sleep", || 0.0).is_some());
        assert!(faults.strike("sleep", || 0.0).is_none());
        assert!(faults.list().is_empty());
    }

    #[test]
    fn dice_decide_when_a_fault_is_only_likely() {
        let mut faults = Faults::default();
        faults.add(Fault {
            probability: 0.3,
            ..Fault::status("*", 502)
        });
        assert!(faults.strike("token", || 0.29).is_some());
        assert!(faults.strike("token", || 0.3).is_none());
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
