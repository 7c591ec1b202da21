//! Counters of the requests to WHOOP that a process has sent, by endpoint and outcome, for metrics.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::WhoopError;

/// Number of requests to one endpoint that had the same outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount {
    /// WHOOP's path with placeholders instead of ids, such as `v2/recovery`.
    pub endpoint: &'static str,
    /// Outcome of the requests: `ok`, `not_found`, `unauthorized`, `forbidden`, `rate_limited`,
    /// `server_error`, `timeout` or `failed`.
    pub outcome: &'static str,
    pub requests: u64,
}

pub(crate) fn outcome_label<T>(answer: &Result<T, WhoopError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(WhoopError::Unauthorized) => "unauthorized",
        Err(WhoopError::Forbidden) => "forbidden",
        Err(WhoopError::RateLimited { .. }) => "rate_limited",
        Err(WhoopError::Server { .. }) => "server_error",
        Err(WhoopError::TimedOut) => "timeout",
        Err(_) => "failed",
    }
}

/// Counters of requests since the start of the process, by endpoint and outcome.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl RequestCounters {
    pub(crate) fn count(&self, endpoint: &'static str, outcome: &'static str) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((endpoint, outcome)).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Vec<RequestCount> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counters
            .iter()
            .map(|((endpoint, outcome), requests)| RequestCount {
                endpoint,
                outcome,
                requests: *requests,
            });
        counts.collect()
    }
}
