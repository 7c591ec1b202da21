use std::{fmt::Debug, time::Duration};

use futures::future::BoxFuture;

use crate::{RateLimit, WhoopError};

/// Access to the quota ledger, which counts the calls of all processes.
///
/// The client takes a permit before every request to the API, including retries. Requests to the
/// token endpoint need none.
pub trait QuotaGate: Debug + Send + Sync {
    /// Waits for a permit for one request, at most `remaining_wait`, and subtracts the wait from
    /// `remaining_wait`. The caller must send the request immediately.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::RateLimited`] if the wait would be longer than `remaining_wait`, and
    /// [`WhoopError::QuotaUnavailable`] if the ledger is unavailable.
    fn take_permit<'a>(
        &'a self,
        remaining_wait: &'a mut Duration,
    ) -> BoxFuture<'a, Result<(), WhoopError>>;

    /// Receives the quota headers of a reply.
    fn on_response_headers<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()>;

    /// Receives the outcome of a request: `false` if WHOOP did not answer, or answered with a 5xx
    /// or with a body that cannot be parsed.
    fn on_call_outcome(&self, is_answered: bool) -> BoxFuture<'_, ()>;

    /// Receives a 429: WHOOP answers no call for `wait`. `day` means that the day limit is used up.
    fn on_rate_limited(&self, wait: Duration, day: bool) -> BoxFuture<'_, ()>;
}
