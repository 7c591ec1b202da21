//! Ping: checks whether WHOOP is reachable, and compares WHOOP's clock with the clock of this
//! machine.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::DATE;
use tokio::time::timeout;
use tracing::Instrument;

use crate::{
    WhoopClient, WhoopError,
    call::{call_span, read_quota, send_traced},
};

/// Result of a ping: WHOOP answered, with any status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingResult {
    pub status: u16,
    pub round_trip: TimeDelta,
    /// Time by which this machine's clock is ahead of WHOOP's clock, with a precision of about a
    /// second; `None` if the answer has no valid `Date` header.
    pub clock_ahead: Option<TimeDelta>,
}

impl WhoopClient {
    /// Requests a member's profile without a token, to check whether WHOOP answers.
    ///
    /// Any status counts as success, including the expected status 401. The request counts against
    /// the quota.
    ///
    /// # Errors
    ///
    /// Returns an error if WHOOP does not answer, or if no permit is available.
    pub async fn ping(&self) -> Result<PingResult, WhoopError> {
        let mut remaining_wait = self.retry_policy.max_wait;
        self.shared
            .api_gate
            .wait_until_open(&mut remaining_wait)
            .await?;
        if let Some(quota_gate) = &self.quota_gate {
            quota_gate.take_permit(&mut remaining_wait).await?;
        }
        let url = self
            .shared
            .config
            .endpoint(["v2", "user", "profile", "basic"]);
        let sent_at = self.shared.clock.now();
        self.requests_sent.fetch_add(1, Ordering::Relaxed);
        let exchange = send_traced(self.shared.http.get(url)).instrument(call_span("reach"));
        let response = timeout(self.retry_policy.call_timeout, exchange)
            .await
            .map_err(|_| WhoopError::TimedOut)??;
        read_quota(self, response.headers()).await;
        let answered_at = self.shared.clock.now();
        let round_trip = answered_at - sent_at;
        let whoop_time = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok())
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.with_timezone(&Utc));
        Ok(PingResult {
            status: response.status().as_u16(),
            round_trip,
            clock_ahead: whoop_time.map(|whoop_time| answered_at - round_trip / 2 - whoop_time),
        })
    }
}
