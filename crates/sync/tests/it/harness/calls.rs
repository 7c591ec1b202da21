//! The calls that the simulator has logged.

use url::form_urlencoded;
use whoop_core::DataType;
use whoop_sim::{CallSide, LoggedCall};

use super::Stage;

/// Returns the path of WHOOP's list for a data type.
pub(crate) fn list_of(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Recovery => "/developer/v2/recovery",
        DataType::Sleep => "/developer/v2/activity/sleep",
        DataType::Workout => "/developer/v2/activity/workout",
        DataType::Cycle => "/developer/v2/cycle",
    }
}

pub(crate) fn parameter(call: &LoggedCall, name: &str) -> Option<String> {
    form_urlencoded::parse(call.query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

impl Stage {
    /// Returns the logged calls to the data API, which count against the quota.
    pub(crate) fn api_calls(&self) -> Vec<LoggedCall> {
        self.calls_to(CallSide::Api)
    }

    /// Returns the logged requests to the token endpoint.
    pub(crate) fn token_calls(&self) -> Vec<LoggedCall> {
        self.calls_to(CallSide::OAuth)
    }

    fn calls_to(&self, side: CallSide) -> Vec<LoggedCall> {
        let calls = self.world().calls().into_iter();
        calls.filter(|call| call.side == side).collect()
    }

    /// Returns the calls for pages of a list, in the order in which they were made.
    pub(crate) fn pages_of(&self, data_type: DataType) -> Vec<LoggedCall> {
        let calls = self.api_calls().into_iter();
        calls
            .filter(|call| call.path == list_of(data_type))
            .collect()
    }

    /// Returns the number of times that a list was read from its first page on.
    pub(crate) fn list_reads(&self, data_type: DataType) -> usize {
        let mut walks = 0;
        let mut last = String::new();
        for page in self.pages_of(data_type) {
            let end = parameter(&page, "end").unwrap_or_default();
            // Within one read, each later page has an earlier `end` than the page before, or it has
            // a page token.
            if parameter(&page, "nextToken").is_none() && end >= last {
                walks += 1;
            }
            last = end;
        }
        walks
    }
}
