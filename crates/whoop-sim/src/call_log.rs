//! Log of the HTTP calls that the simulated WHOOP received.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// Maximum number of calls in the log: 20 times WHOOP's day quota of 10,000. When the log is full,
/// the oldest call is removed.
const MAX_LOGGED_CALLS: usize = 200_000;

/// One HTTP request to the simulated API or OAuth server, with the status of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoggedCall {
    /// Number of the call in the log, counted from 1 and never reused.
    ///
    /// `GET /_sim/calls?since=N` returns the calls with a number higher than N.
    pub seq: u64,
    pub side: CallSide,
    /// Time of the answer, by the simulator's clock.
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    pub query: String,
    /// HTTP status of the answer; 0 if the connection was reset without an answer.
    pub status: u16,
    pub whoop_user_id: Option<i64>,
    /// Milliseconds from request to answer, in real time.
    pub millis: u64,
}

/// The server that received a call: WHOOP's API or WHOOP's OAuth server. Only calls to the API
/// count against the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSide {
    Api,
    OAuth,
}

#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: VecDeque<LoggedCall>,
    last_seq: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct CallTotals {
    pub(crate) all: usize,
    pub(crate) api: usize,
    pub(crate) oauth: usize,
    pub(crate) max_api_calls_in_60_seconds: usize,
    /// Sequence number of the newest call. A client that passes it as `since` in its next request
    /// gets only later calls.
    pub(crate) last_seq: u64,
}

impl CallLog {
    pub(crate) fn push(&mut self, mut call: LoggedCall) {
        self.last_seq += 1;
        call.seq = self.last_seq;
        if self.calls.len() == MAX_LOGGED_CALLS {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn clear(&mut self) {
        self.calls.clear();
    }

    pub(crate) fn since(&self, seq: u64) -> impl Iterator<Item = &LoggedCall> {
        self.calls.iter().filter(move |call| call.seq > seq)
    }

    pub(crate) fn totals(&self, since: u64) -> CallTotals {
        let (mut all, mut api, mut max_in_a_minute) = (0, 0, 0);
        let mut minute: VecDeque<DateTime<Utc>> = VecDeque::new();
        for call in self.since(since) {
            all += 1;
            if call.side != CallSide::Api {
                continue;
            }
            api += 1;
            minute.push_back(call.at);
            while minute
                .front()
                .is_some_and(|first| call.at - *first >= TimeDelta::minutes(1))
            {
                minute.pop_front();
            }
            max_in_a_minute = max_in_a_minute.max(minute.len());
        }
        CallTotals {
            all,
            api,
            oauth: all - api,
            max_api_calls_in_60_seconds: max_in_a_minute,
            last_seq: self.last_seq,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(second: i64, side: CallSide) -> LoggedCall {
        LoggedCall {
            seq: 0,
            side,
            at: DateTime::from_timestamp(second, 0).unwrap(),
            method: "GET".to_owned(),
            path: "/developer/v2/cycle".to_owned(),
            query: String::new(),
            status: 200,
            whoop_user_id: None,
            millis: 0,
        }
    }

    #[test]
    fn the_maximum_per_minute_is_rolling_and_excludes_oauth() {
        let mut log = CallLog::default();
        for second in [0, 30, 59, 60, 61, 200] {
            log.push(call(second, CallSide::Api));
        }
        log.push(call(61, CallSide::OAuth));

        let totals = log.totals(0);
        assert_eq!((totals.all, totals.api, totals.oauth), (7, 6, 1));
        assert_eq!(totals.max_api_calls_in_60_seconds, 4);
    }

    #[test]
    fn sequence_numbers_continue_after_the_log_is_cleared() {
        let mut log = CallLog::default();
        log.push(call(0, CallSide::Api));
        log.clear();
        log.push(call(1, CallSide::Api));

        assert_eq!(log.totals(0).all, 1);
        assert_eq!(log.totals(1).all, 1);
        assert_eq!(log.totals(2).all, 0);
    }
}
