use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use whoop_client::{QuotaGate, RateLimit, WhoopClient, WhoopError};

/// Quota gate that grants every permit at once and stores the latest quota headers.
#[derive(Debug, Default)]
pub(crate) struct RecordedLimits(Mutex<Option<RateLimit>>);

impl RecordedLimits {
    /// Returns a client with a new quota gate, and this quota gate, which stores the client's quota
    /// headers.
    pub(crate) fn of(whoop: &WhoopClient) -> (WhoopClient, Arc<Self>) {
        let recorded = Arc::new(Self::default());
        (
            whoop.with_quota_gate(Arc::<Self>::clone(&recorded)),
            recorded,
        )
    }

    pub(crate) fn latest(&self) -> RateLimit {
        self.0.lock().unwrap().clone().unwrap()
    }
}

impl QuotaGate for RecordedLimits {
    fn take_permit<'a>(&'a self, _: &'a mut Duration) -> BoxFuture<'a, Result<(), WhoopError>> {
        async { Ok(()) }.boxed()
    }

    fn on_response_headers<'a>(&'a self, rate_limit: &'a RateLimit) -> BoxFuture<'a, ()> {
        *self.0.lock().unwrap() = Some(rate_limit.clone());
        async {}.boxed()
    }

    fn on_call_outcome(&self, _: bool) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn on_rate_limited(&self, _: Duration, _: bool) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
