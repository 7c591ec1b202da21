use std::{fmt::Debug, time::Duration};

use futures::future::BoxFuture;

use crate::{RateLimit, WhoopError};

/// Whoever counts the calls of all processes together.
///
/// Asked before every request to the API, repetitions included. The token
/// endpoint does not count.
pub trait QuotaGate: Debug + Send + Sync {
    /// Waits until one request may be sent, and no longer than `patience`,
    /// which it uses up. The request is to be sent at once.
    ///
    /// # Errors
    ///
    /// [`WhoopError::RateLimited`] where the wait would be longer,
    /// [`WhoopError::NoLeave`] where nobody can be asked.
    fn take_permit<'a>(
        &'a self,
        patience: &'a mut Duration,
    ) -> BoxFuture<'a, Result<(), WhoopError>>;

    /// Hears what a reply said about the quota.
    fn on_response_headers<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()>;

    /// Hears whether WHOOP answered a request; not if with a 5xx or something that cannot be read.
    fn on_call_outcome(&self, is_answered: bool) -> BoxFuture<'_, ()>;

    /// Hears that nothing will be answered for so long; `day` if it is the
    /// day's limit.
    fn on_rate_limited(&self, wait: Duration, day: bool) -> BoxFuture<'_, ()>;
}
