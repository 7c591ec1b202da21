use std::{fmt::Debug, time::Duration};

use futures::future::BoxFuture;

use crate::{RateLimit, WhoopError};

/// Access to the quota ledger, which counts the calls of all processes.
///
/// The client takes a permit before every request to the API, including retries. Requests to the
/// token endpoint need no permit.
pub trait QuotaGate: Debug + Send + Sync {
    /// Waits for a permit for one request, at most for `remaining_wait`, and subtracts the time
    /// that it waited from `remaining_wait`. The caller must send the request immediately
    /// afterwards.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::RateLimited`] if the wait would be longer than `remaining_wait`, and
    /// [`WhoopError::QuotaUnavailable`] if the ledger is unavailable.
    fn take_permit<'a>(
        &'a self,
        remaining_wait: &'a mut Duration,
    ) -> BoxFuture<'a, Result<(), WhoopError>>;

    /// Is called with the quota headers of a reply.
    fn on_response_headers<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()>;

    /// Is called with the outcome of a request. `is_answered` is `false` if WHOOP did not answer,
    /// or answered with a 5xx or with a body that cannot be parsed.
    fn on_call_outcome(&self, is_answered: bool) -> BoxFuture<'_, ()>;

    /// Is called after a reply with status 429: WHOOP answers no call for the time `wait`. If `day`
    /// is `true`, the day limit is used up, otherwise the minute limit.
    fn on_rate_limited(&self, wait: Duration, day: bool) -> BoxFuture<'_, ()>;
}
